//! Session ids.

use std::fmt;

/// Names a session: 128 random bits, written as 32 hexadecimal digits (2025-era H-20).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0_u8; 16];
        getrandom::fill(&mut bits)?;
        let mut digits = [0_u8; 32];
        for (index, byte) in bits.iter().enumerate() {
            digits[2 * index] = b"0123456789abcdef"[usize::from(byte >> 4)];
            digits[2 * index + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Ok(Self(digits))
    }

    /// The id that a client sent, unless it cannot be one of ours.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(Self)
    }

    /// As it is written in headers.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Holding an id is holding the session, so it is not for logs.
impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}
