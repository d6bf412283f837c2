//! Whether a file may be opened at all: by its digest, or by a signature of somebody whom the operator trusts.
//!
//! Both are judged on the bytes of the private copy that is opened, never on the file in the plugin folder, which somebody
//! may swap in between. Signatures are minisign's (Ed25519 over BLAKE2b), so that its tools read and write them too.

use super::Digest;
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKeyBox, SignatureBox};
use std::io::Cursor;
use std::sync::Arc;

/// Which files may be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Any that lies in the plugin folder.
    #[default]
    Any,
    /// Those whose SHA-256 the configuration names.
    Pinned,
    /// Those that somebody has signed whose key the configuration names.
    Signed,
}

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(String);

impl TrustedKey {
    /// The key of a text: its Base64, or a whole `.pub` file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let base64 = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        PublicKey::from_base64(base64).ok()?;
        Some(Self(base64.to_owned()))
    }

    fn key(&self) -> Option<PublicKey> {
        PublicKey::from_base64(&self.0).ok()
    }
}

/// What the operator says of a plugin's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustRule {
    /// Which files may be opened.
    pub trust: Trust,
    /// Digests that count. Where any are named, no other file is opened, whatever else is said.
    pub pins: Vec<Digest>,
    /// Keys that count.
    pub keys: Arc<[TrustedKey]>,
}

/// Why a file may not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No digest is named.
    #[error(
        "only pinned files are opened, and this plugin has no pin: set sha256 = [\"{digest}\"] for it to open this one"
    )]
    NoPin {
        /// The file's.
        digest: Digest,
    },
    /// Its digest is not among those that are named.
    #[error("its SHA-256 is {digest}, which is not pinned: add it to the plugin's `sha256` if this file is meant")]
    OtherDigest {
        /// The file's.
        digest: Digest,
    },
    /// It has no signature.
    #[error("only signed files are opened, and it has no signature: put one beside it, as {file}.minisig")]
    NoSignature {
        /// The file's name.
        file: String,
    },
    /// Its signature cannot be read.
    #[error("its signature cannot be read: {reason}")]
    BadSignature {
        /// Why.
        reason: String,
    },
    /// No trusted key has signed these bytes.
    #[error("its signature is not one by a key in `trusted_keys` over this very file")]
    NotTrusted,
}

impl TrustRule {
    /// Whether any bytes will do.
    pub(super) fn takes_any(&self) -> bool {
        self.trust == Trust::Any && self.pins.is_empty()
    }

    /// Judges what has this digest. Where its bytes themselves must be looked at, gives the signature that they must have:
    /// `signature`, which is the text of the `.minisig` file of `file`.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub(super) fn judge<'a>(
        &self,
        file: &str,
        digest: Digest,
        signature: Option<&'a str>,
    ) -> Result<Option<&'a str>, TrustError> {
        if self.pins.is_empty() && self.trust == Trust::Pinned {
            return Err(TrustError::NoPin { digest });
        }
        if !self.pins.is_empty() && !self.pins.contains(&digest) {
            return Err(TrustError::OtherDigest { digest });
        }
        if self.trust != Trust::Signed {
            return Ok(None);
        }
        signature.map(Some).ok_or_else(|| TrustError::NoSignature { file: file.to_owned() })
    }

    /// Holds bytes to have a signature by a trusted key.
    ///
    /// # Errors
    /// [`TrustError::BadSignature`] and [`TrustError::NotTrusted`].
    pub(super) fn verify(&self, bytes: &[u8], signature: &str) -> Result<(), TrustError> {
        verify(bytes, signature, &self.keys)
    }
}

/// Whether one of the keys has signed these bytes.
///
/// # Errors
/// [`TrustError::BadSignature`] and [`TrustError::NotTrusted`].
pub fn verify(bytes: &[u8], signature: &str, keys: &[TrustedKey]) -> Result<(), TrustError> {
    let signature =
        SignatureBox::from_string(signature).map_err(|error| TrustError::BadSignature { reason: error.to_string() })?;
    let signed_by = |key: &PublicKey| minisign::verify(key, &signature, Cursor::new(bytes), true, false, false).is_ok();
    if keys.iter().filter_map(TrustedKey::key).any(|key| signed_by(&key)) {
        Ok(())
    } else {
        Err(TrustError::NotTrusted)
    }
}

/// A fresh pair of keys, as the texts of a secret file and of a public one.
///
/// # Errors
/// What went wrong, for people.
pub fn new_keys(password: Option<String>) -> Result<(String, String), String> {
    let told = |error: minisign::PError| error.to_string();
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let KeyPair { pk, sk } = pair.map_err(told)?;
    let secret = sk.to_box(Some("mcp-host secret key")).map_err(told)?.into_string();
    Ok((secret, pk.to_box().map_err(told)?.into_string()))
}

/// Signs bytes with the key of a secret file. `comment` is signed too, and shown by who verifies.
///
/// # Errors
/// What went wrong, for people.
pub fn sign(bytes: &[u8], secret: &str, password: Option<String>, comment: &str) -> Result<String, String> {
    let told = |error: minisign::PError| error.to_string();
    let sealed = SecretKeyBox::from_string(secret).map_err(told)?;
    let secret = match password {
        Some(password) => sealed.into_secret_key(Some(password)).map_err(told)?,
        None => sealed
            .into_unencrypted_secret_key()
            .map_err(|error| format!("{error}; if the key has a password, set MCP_HOST_KEY_PASSWORD"))?,
    };
    let signature = minisign::sign(None, &secret, Cursor::new(bytes), Some(comment), Some("signature of mcp-host"));
    Ok(signature.map_err(told)?.into_string())
}

/// The key of a `.pub` file, in the form in which the configuration names it.
#[must_use]
pub fn public_key(text: &str) -> Option<String> {
    PublicKeyBox::from_string(text).ok()?.into_public_key().ok().map(|key| key.to_base64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(trust: Trust, pins: &[Digest], keys: &[&str]) -> TrustRule {
        let keys = keys.iter().map(|key| TrustedKey::parse(key).unwrap()).collect();
        TrustRule { trust, pins: pins.to_vec(), keys }
    }

    #[test]
    fn a_pin_is_a_pin_under_any_policy() {
        let (right, wrong) = (Digest::of(b"plugin"), Digest::of(b"other"));
        let judge = |trust, pins: &[Digest]| {
            rule(trust, pins, &[]).judge("x.so", right, None).map(|signature| assert_eq!(signature, None))
        };
        assert_eq!(judge(Trust::Any, &[]), Ok(()));
        assert_eq!(judge(Trust::Any, &[wrong, right]), Ok(()));
        assert_eq!(judge(Trust::Any, &[wrong]), Err(TrustError::OtherDigest { digest: right }));
        assert_eq!(judge(Trust::Pinned, &[]), Err(TrustError::NoPin { digest: right }));
        assert_eq!(judge(Trust::Pinned, &[right]), Ok(()));
    }

    #[test]
    fn a_signature_counts_for_its_bytes_and_its_key_alone() {
        let (secret, public) = new_keys(None).unwrap();
        let (_, other) = new_keys(None).unwrap();
        let signature = sign(b"plugin", &secret, None, "x.so").unwrap();
        let judge = |key: &str, bytes: &[u8], signature: Option<&str>| {
            let rule = rule(Trust::Signed, &[], &[key]);
            let signature = rule.judge("x.so", Digest::of(bytes), signature)?.unwrap();
            rule.verify(bytes, signature)
        };
        assert_eq!(judge(&public, b"plugin", Some(&signature)), Ok(()));
        assert_eq!(judge(&public, b"Plugin", Some(&signature)), Err(TrustError::NotTrusted));
        assert_eq!(judge(&other, b"plugin", Some(&signature)), Err(TrustError::NotTrusted));
        assert_eq!(judge(&public, b"plugin", None), Err(TrustError::NoSignature { file: "x.so".to_owned() }));
        assert!(matches!(judge(&public, b"plugin", Some("none")), Err(TrustError::BadSignature { .. })));
        let renamed = signature.replace("x.so", "y.so");
        assert_eq!(judge(&public, b"plugin", Some(&renamed)), Err(TrustError::NotTrusted), "the comment is signed too");
    }

    #[test]
    fn a_key_with_a_password_needs_it() {
        let (secret, public) = new_keys(Some("open sesame".to_owned())).unwrap();
        assert!(sign(b"x", &secret, None, "x").unwrap_err().contains("MCP_HOST_KEY_PASSWORD"));
        assert!(sign(b"x", &secret, Some("wrong".to_owned()), "x").is_err());
        let signature = sign(b"x", &secret, Some("open sesame".to_owned()), "x").unwrap();
        let keys = [TrustedKey::parse(&public_key(&public).unwrap()).unwrap()];
        assert_eq!(verify(b"x", &signature, &keys), Ok(()));
    }
}
