//! The keys that states are sealed with: the first seals, all of them open, so that keys can be changed while clients are
//! on their way.

use super::ledger::make_whole;
use crate::rt::is_exposed;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The keys, the one that seals first.
#[derive(Clone)]
pub struct Keys(Vec<(KeyId, XChaCha20Poly1305)>);

/// Names a key without telling it.
type KeyId = [u8; ID_BYTES];

const ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// The form of sealed bytes: this, the key's id, the nonce, and what is sealed.
const FORM: u8 = 1;

/// What stands before what is sealed.
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: it cannot be read or written", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: it does not hold a key of {} bytes", .0.display(), Keys::BYTES)]
    NoKey(PathBuf),
    /// Others than its owner can read the file.
    #[error("{}: others can read it; make it private with 'chmod 600', or remove it for a new one", .0.display())]
    Exposed(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Bytes of a key.
    pub const BYTES: usize = 32;

    /// Keys of these bytes, of which the first seals.
    #[must_use]
    pub fn new(first: [u8; Self::BYTES], more: &[[u8; Self::BYTES]]) -> Self {
        let keyed = |key: &[u8; Self::BYTES]| {
            let digest = Sha256::new().chain_update(b"mcp-host request-state key id").chain_update(key).finalize();
            let mut id = [0; ID_BYTES];
            id.copy_from_slice(&digest[..ID_BYTES]);
            (id, XChaCha20Poly1305::new(&Key::from(*key)))
        };
        Self(std::iter::once(&first).chain(more).map(keyed).collect())
    }

    /// A key that lives as long as this process.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn ephemeral() -> Result<Self, KeyError> {
        Ok(Self::new(random()?, &[]))
    }

    /// The key in a file that its owner alone can read, which is made if it does not exist. On Windows, who can read it is
    /// left to the folder.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn of_file(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        if !path.exists() {
            make_whole(path, &random::<{ Self::BYTES }>()?).map_err(failed)?;
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        if is_exposed(&file.metadata().map_err(failed)?) {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        file.take(Self::BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let key = <[u8; Self::BYTES]>::try_from(bytes).map_err(|_| KeyError::NoKey(path.to_owned()))?;
        Ok(Self::new(key, &[]))
    }

    /// Seals bytes.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        // There is a first one: `new` takes it by itself.
        let (id, cipher) = self.0.first().ok_or(KeyError::NoRandom)?;
        let head: Vec<u8> = [FORM].into_iter().chain(*id).chain(nonce).collect();
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &head });
        let sealed = sealed.map_err(|_| KeyError::NoRandom)?;
        Ok([head, sealed].concat())
    }

    /// Opens what one of the keys has sealed; nothing if none has, or a bit was changed.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = sealed.split_at_checked(HEAD_BYTES)?;
        let (form, rest) = head.split_first()?;
        let (id, nonce) = rest.split_at_checked(ID_BYTES)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
        if *form != FORM {
            return None;
        }
        let mut named = self.0.iter().filter(|(known, _)| known == id);
        named.find_map(|(_, cipher)| cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: head }).ok())
    }
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = ([1; Keys::BYTES], [2; Keys::BYTES]);
        let by_old = Keys::new(old, &[]).seal(b"state").unwrap();
        let both = Keys::new(new, &[old]);
        assert_eq!(both.open(&by_old).as_deref(), Some(b"state".as_slice()));
        let by_both = both.seal(b"state").unwrap();
        assert_eq!(Keys::new(new, &[]).open(&by_both).as_deref(), Some(b"state".as_slice()));
        assert_eq!(Keys::new(old, &[]).open(&by_both), None);
        assert_ne!(both.seal(b"state").unwrap(), by_both);
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/request-state.key");
        let sealed = Keys::of_file(&path).unwrap().seal(b"state").unwrap();
        assert_eq!(Keys::of_file(&path).unwrap().open(&sealed).as_deref(), Some(b"state".as_slice()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(Keys::of_file(&path), Err(KeyError::NoKey(_))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(Keys::of_file(&path), Err(KeyError::Exposed(_))));
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
