//! Whether a plugin's metadata fits this host.

use super::InspectError;
use mcp_plugin_api::abi::{KIND, Metadata};
use semver::Version;

/// The version of `mcp-plugin-api` that this host is built with.
const HOST_API: &str = "1.0.0";

/// Judges metadata, from a file that nothing has been run of.
///
/// # Errors
/// What does not fit, and what to do.
pub(super) fn check(metadata: &Metadata) -> Result<(), InspectError> {
    if !is_plugin_name(&metadata.name) {
        return Err(InspectError::BadName { name: metadata.name.chars().take(80).collect() });
    }
    if metadata.abi != KIND {
        return Err(InspectError::OtherAbi { found: metadata.abi.clone(), expected: KIND });
    }
    let (Ok(plugin), Ok(host)) = (Version::parse(&metadata.api), Version::parse(HOST_API)) else {
        return Err(InspectError::BadApiVersion { found: metadata.api.clone() });
    };
    if plugin.major > host.major {
        return Err(InspectError::ApiTooNew { found: metadata.api.clone(), host: HOST_API });
    }
    if plugin.major < host.major {
        return Err(InspectError::ApiTooOld { found: metadata.api.clone(), host: HOST_API });
    }
    Ok(())
}

/// Names are used in config keys, logs and folders.
fn is_plugin_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed) && !name.starts_with('.')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use mcp_plugin_api::abi::PanicMode;

    /// Metadata that fits.
    pub(in crate::plugin) fn metadata() -> Metadata {
        Metadata {
            format: 1,
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            abi: KIND.to_owned(),
            level: 1,
            api: "1.7.3".to_owned(),
            panic: PanicMode::Unwind,
            wants: Vec::new(),
        }
    }

    #[test]
    fn any_version_of_the_same_major_fits() {
        assert!(check(&metadata()).is_ok());
        assert!(check(&Metadata { level: 99, ..metadata() }).is_ok(), "levels are compared by layout");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refused = |metadata: Metadata| check(&metadata).unwrap_err().to_string();
        assert_eq!(
            refused(Metadata { abi: "c-2".to_owned(), ..metadata() }),
            "it speaks the ABI 'c-2', this host speaks 'abi_stable-0.11'"
        );
        assert!(refused(Metadata { api: "2.0.0".to_owned(), ..metadata() }).contains("update mcp-host"));
        assert!(refused(Metadata { api: "0.9.0".to_owned(), ..metadata() }).contains("rebuild the plugin"));
        assert!(refused(Metadata { name: "../x".to_owned(), ..metadata() }).contains("no usable name"));
    }
}
