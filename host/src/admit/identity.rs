//! Who asks over HTTP: whoever a reverse proxy says, where one does.

use crate::call::Principal;

/// How it is known who asks.
#[derive(Debug, Clone, Default)]
pub struct IdentityRule(Option<String>);

/// A request that does not say who asks, where it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proxy in front of this server did not say who asks")]
pub struct Unidentified;

/// Bytes of a user's name.
const MAX_NAME_BYTES: usize = 512;

impl IdentityRule {
    /// A proxy says it in this header. Nothing if that is no name of a header.
    #[must_use]
    pub fn from_header(header: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = !header.is_empty() && header.len() <= 128 && header.bytes().all(fits);
        is_name.then(|| Self(Some(header.to_ascii_lowercase())))
    }

    /// The header that says it, in lower case.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Who asks, by all values of that header.
    ///
    /// # Errors
    /// [`Unidentified`] when there is not exactly one, or it is no plain text.
    pub fn principal<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> Result<Principal, Unidentified> {
        if self.0.is_none() {
            return Ok(Principal::Anyone);
        }
        let (Some(name), None) = (values.next(), values.next()) else {
            return Err(Unidentified);
        };
        let name = std::str::from_utf8(name).map_err(|_| Unidentified)?.trim();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(Unidentified);
        }
        Ok(Principal::User(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_taken_where_a_header_is_named() {
        let rule = IdentityRule::from_header("X-User").unwrap();
        let of = |values: &[&'static [u8]]| rule.principal(values.iter().copied());
        assert_eq!(rule.header(), Some("x-user"));
        assert_eq!(of(&[b"ada"]), Ok(Principal::User("ada".into())));
        assert_eq!(of(&[b" ada "]), Ok(Principal::User("ada".into())));
        for values in [vec![], vec![b"ada".as_slice(), b"bob"], vec![b"".as_slice()], vec![b"\xff".as_slice()]] {
            assert_eq!(of(&values), Err(Unidentified), "{values:?}");
        }
        assert!(IdentityRule::from_header("no header").is_none());
    }

    #[test]
    fn without_a_header_anyone_asks() {
        assert_eq!(IdentityRule::default().principal([b"ada".as_slice()].into_iter()), Ok(Principal::Anyone));
    }
}
