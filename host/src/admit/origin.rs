//! Host and Origin (2025-era H-02): a web page that the user visits must not reach a server on the user's machine, not
//! even under a name that it has pointed at 127.0.0.1.

/// Which `Host` and `Origin` headers are let in.
#[derive(Debug, Clone, Default)]
pub struct HostRule {
    /// Names that `Host` may have besides those of the loopback, in lower case, without port.
    hosts: Vec<String>,
    /// Origins besides those of the loopback, such as `https://app.example.com`, in lower case.
    origins: Vec<String>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginRefused {
    /// There is no `Host`, or more than one.
    #[error("exactly one Host header is needed")]
    NotOneHost,
    /// The `Host` is none of ours.
    #[error("this Host is not served here; add it to http.allowed_hosts if it should be")]
    ForeignHost,
    /// There is more than one `Origin`.
    #[error("at most one Origin header is allowed")]
    ManyOrigins,
    /// The `Origin` is a foreign page.
    #[error("this Origin is not allowed; add it to http.allowed_origins if it should be")]
    ForeignOrigin,
}

impl HostRule {
    /// The loopback's names, and these.
    #[must_use]
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Judges the values of all `Host` and `Origin` headers of a request.
    ///
    /// # Errors
    /// See [`OriginRefused`].
    pub fn check<'a>(
        &self,
        mut hosts: impl Iterator<Item = &'a [u8]>,
        mut origins: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), OriginRefused> {
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(OriginRefused::NotOneHost);
        };
        let host = std::str::from_utf8(host).map_err(|_| OriginRefused::ForeignHost)?.to_ascii_lowercase();
        let name = without_port(&host).ok_or(OriginRefused::ForeignHost)?;
        if !is_loopback(name) && !self.hosts.iter().any(|known| known == name) {
            return Err(OriginRefused::ForeignHost);
        }
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err(OriginRefused::ManyOrigins),
            (Some(origin), None) => {
                let origin = std::str::from_utf8(origin).map_err(|_| OriginRefused::ForeignOrigin)?;
                self.check_origin(&origin.to_ascii_lowercase())
            }
        }
    }

    fn check_origin(&self, origin: &str) -> Result<(), OriginRefused> {
        if self.origins.iter().any(|known| known == origin) {
            return Ok(());
        }
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        match authority.and_then(without_port) {
            Some(name) if is_loopback(name) => Ok(()),
            _ => Err(OriginRefused::ForeignOrigin),
        }
    }
}

fn is_loopback(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// The name in `name:port`, unless that is neither.
fn without_port(authority: &str) -> Option<&str> {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) if authority.starts_with('[') && authority.ends_with(']') => authority,
        Some(_) => return None,
        None => authority,
    };
    let plain = !name.is_empty() && !name.contains(['/', '@', '?', '#', '\\']);
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hosts: &[&str], origins: &[&str], expected: Result<(), OriginRefused>) {
        let rule = HostRule::new(&["mcp.example.com".to_owned()], &["https://App.example.com".to_owned()]);
        let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let (hosts, origins) = (bytes(hosts), bytes(origins));
        let judged = rule.check(hosts.iter().map(Vec::as_slice), origins.iter().map(Vec::as_slice));
        assert_eq!(judged, expected, "{hosts:?} {origins:?}");
    }

    #[test]
    fn the_loopback_and_configured_names_are_let_in() {
        for host in
            ["localhost", "localhost:3000", "127.0.0.1:80", "[::1]", "[::1]:80", "LOCALHOST", "MCP.example.com:1"]
        {
            check(&[host], &[], Ok(()));
        }
        for origin in ["http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]:1", "https://app.example.com"] {
            check(&["localhost"], &[origin], Ok(()));
        }
    }

    #[test]
    fn foreign_and_malformed_ones_are_not() {
        use OriginRefused::{ForeignHost, ForeignOrigin, ManyOrigins, NotOneHost};
        for host in
            ["evil.example.com", "localhost.evil.com", "127.0.0.1.evil.com:80", "a@localhost", "", "localhost:", "::1"]
        {
            check(&[host], &[], Err(ForeignHost));
        }
        for origin in [
            "http://evil.example.com",
            "null",
            "http://localhost.evil.com",
            "ftp://localhost",
            "http://localhost/x",
            "",
        ] {
            check(&["localhost"], &[origin], Err(ForeignOrigin));
        }
        check(&[], &[], Err(NotOneHost));
        check(&["localhost", "localhost"], &[], Err(NotOneHost));
        check(&["localhost"], &["http://localhost", "http://localhost"], Err(ManyOrigins));
    }
}
