//! Where a page ended (2025-era U-09): opaque to clients, and good for any later snapshot.

use super::Place;

/// The place of the last item of a page. Items that come and go do not disturb it, because the order is the plugins'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub Place);

impl Cursor {
    /// The cursor as clients carry it.
    #[must_use]
    pub fn encode(&self) -> String {
        let text = format!("{}/{}", self.0.index, self.0.plugin);
        text.bytes().fold(String::with_capacity(text.len() * 2), |mut hex, byte| {
            hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            hex
        })
    }

    /// The cursor that a client carried, unless it is none of ours.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect();
        let text = String::from_utf8(bytes?).ok()?;
        let (index, plugin) = text.split_once('/')?;
        let known = !plugin.is_empty();
        known.then_some(Self(Place { index: index.parse().ok()?, plugin: plugin.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_client() {
        let cursor = Cursor(Place { plugin: "every-thing".into(), index: 41 });
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for text in ["", "x", "zz", "412f", "2f61", "ff", "é", "7"] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }
}
