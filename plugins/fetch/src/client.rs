//! Asking over HTTP, within bounds: of addresses, of redirects, of bytes and of time.

use crate::address::is_allowed;
use crate::work::Time;
use ipnet::IpNet;
use mcp_plugin_api::{Error, Result};
use std::io::Read as _;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::Url;

/// Bounds of what is asked.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Networks that may be asked beside the public internet.
    pub(crate) networks: Vec<IpNet>,
    /// Bytes of an answer, unpacked.
    pub(crate) max_bytes: u64,
    /// Redirects that are followed.
    pub(crate) max_redirects: u32,
}

/// Asks.
pub(crate) struct Client {
    agent: Agent,
    bounds: Bounds,
}

/// An answer.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The media type, as it came; empty where none did.
    pub(crate) content_type: String,
    /// What was sent, as text.
    pub(crate) text: String,
}

/// What comes of one request.
enum Step {
    Answer(Answer),
    Redirect(Url),
}

/// Looks names up, and gives none of the addresses that may not be asked.
#[derive(Debug)]
struct Guard {
    networks: Vec<IpNet>,
    names: DefaultResolver,
}

/// What the guard says of a name; carried through the client's own errors.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        // One that is refused refuses all: which of them is connected to is not for a name server to choose.
        let refused = found.iter().find(|address| !is_allowed(address.ip(), &self.networks));
        match refused {
            None => Ok(found),
            Some(address) => {
                let host = uri.host().unwrap_or_default();
                let told = format!(
                    "{host} resolves to {}, which is not a public address. The operator grants networks in \
                     plugins.fetch.config.networks.",
                    address.ip()
                );
                Err(ureq::Error::Io(std::io::Error::other(Refused(told))))
            }
        }
    }
}

impl Client {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy would look names up itself, and connect to whatever it finds.
            .proxy(None)
            .max_response_header_size(64 * 1024)
            .build();
        let guard = Guard { networks: bounds.networks.clone(), names: DefaultResolver::default() };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), guard), bounds }
    }

    /// Asks for a page, and for where it has moved to. `before` may refuse each address before it is asked.
    pub(crate) fn get(
        &self,
        url: &Url,
        user_agent: &str,
        time: &Time,
        mut before: impl FnMut(&Url) -> Result<()>,
    ) -> Result<Answer> {
        let mut at = url.clone();
        for _ in 0..=self.bounds.max_redirects {
            before(&at)?;
            match self.ask(&at, user_agent, time)? {
                Step::Answer(answer) => return Ok(answer),
                Step::Redirect(next) => at = next,
            }
        }
        Err(Error::new(format!("Failed to fetch {url}: there are more than {} redirects", self.bounds.max_redirects)))
    }

    fn ask(&self, url: &Url, user_agent: &str, time: &Time) -> Result<Step> {
        check(url)?;
        let failed = |error: ureq::Error| told(url, &error);
        let request = self.agent.get(url.as_str()).header(header::USER_AGENT, user_agent).header(header::ACCEPT, "*/*");
        let left = time.left().ok_or_else(|| Error::new(format!("Failed to fetch {url}: its time is over")))?;
        let mut response = request.config().timeout_global(Some(left)).build().call().map_err(failed)?;
        let status = response.status();
        let field = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let moved = field(header::LOCATION).filter(|_| status.is_redirection() && status.as_u16() != 304);
        if let Some(to) = moved {
            let next =
                url.join(&to).map_err(|_| Error::new(format!("Failed to fetch {url}: it redirects to nowhere")))?;
            return Ok(Step::Redirect(next));
        }
        let content_type = field(header::CONTENT_TYPE).unwrap_or_default();
        let max = self.bounds.max_bytes;
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Error::new(format!("Failed to fetch {url}: {error}")))?;
        if bytes.len() as u64 > max {
            return Err(Error::new(format!("Failed to fetch {url}: it has more than {max} bytes, which are allowed")));
        }
        Ok(Step::Answer(Answer { status: status.as_u16(), text: text(&content_type, &bytes), content_type }))
    }
}

/// The web, and no files or mail; and nothing that would send a password, and tell it again.
fn check(url: &Url) -> Result<()> {
    if !["http", "https"].contains(&url.scheme()) {
        return Err(Error::new(format!("Failed to fetch {url}: only http and https are fetched")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::new("Failed to fetch: a URL with a user or a password in it is not fetched"));
    }
    Ok(())
}

/// Why nothing came, for the model.
fn told(url: &Url, error: &ureq::Error) -> Error {
    if let ureq::Error::Io(io) = error
        && let Some(refused) = io.get_ref().and_then(|inner| inner.downcast_ref::<Refused>())
    {
        return Error::new(format!("Refused to fetch {url}: {refused}"));
    }
    Error::new(format!("Failed to fetch {url}: {error}"))
}

/// Bytes as text, in the character set that is announced; else UTF-8. What is none of it becomes U+FFFD.
fn text(content_type: &str, bytes: &[u8]) -> String {
    let announced = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_owned())
    });
    // A page may say it itself, near its beginning.
    let of_page = || {
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
        let (before, rest) = beginning.split_once("charset=")?;
        let label: String = rest
            .trim_start_matches(['"', '\''])
            .chars()
            .take_while(|it| it.is_ascii_alphanumeric() || "-_:".contains(*it))
            .collect();
        before.contains("<meta").then_some(label)
    };
    let announced = announced.or_else(of_page);
    let encoding = announced.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    encoding.unwrap_or(encoding_rs::UTF_8).decode(bytes).0.into_owned()
}
