//! Pages of the web, as Markdown.
//!
//! The tool and the prompt are those of the official fetch server, by name, arguments and results. Only the public internet
//! is asked, and networks that the operator grants; `robots.txt` is heeded, unless a user asks by the prompt.

mod address;
mod client;
mod page;
mod robots;
mod work;

use client::{Answer, Bounds, Client};
use ipnet::IpNet;
use mcp_plugin_api::prelude::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Position, Url};
use work::{Time, Workers};

/// The way to the web.
pub struct Fetch {
    web: Arc<Web>,
    workers: Workers,
}

/// Who asks, and how.
struct Web {
    client: Client,
    autonomous: String,
    by_user: String,
    heeds_robots: bool,
}

/// The plugin's configuration.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Networks that may be asked beside the public internet, such as `127.0.0.1/32` or `10.0.0.0/8`. Default: none.
    #[serde(default)]
    networks: Vec<String>,
    /// Whether `robots.txt` is heeded. Default: true.
    #[serde(default = "yes")]
    robots_txt: bool,
    /// What is said of who asks. Default: the name of this plugin, and whether a user wants it.
    user_agent: Option<String>,
    /// Bytes that a page may have, unpacked. Default: 5 MiB.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
    /// Redirects that are followed. Default: 10.
    #[serde(default = "default_max_redirects")]
    max_redirects: u32,
    /// How long a call may take, all redirects and the reading of the page together, in milliseconds. Default: 30,000.
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
}

fn yes() -> bool {
    true
}

fn default_max_bytes() -> u64 {
    5 * 1024 * 1024
}

fn default_max_redirects() -> u32 {
    10
}

fn default_timeout_ms() -> u64 {
    30_000
}

/// Bytes of a `robots.txt` that are read: what Google reads.
const MAX_ROBOTS_BYTES: usize = 500 * 1024;

/// What is read of an answer.
struct Text {
    /// What stands before it.
    before: String,
    /// The text.
    text: String,
}

#[plugin(wants = ["network 80", "network 443"])]
impl Fetch {
    #[start]
    fn start(config: Config) -> Result<Self> {
        let network = |text: &String| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            let network: Option<IpNet> = text.parse().ok().or_else(address);
            network.ok_or_else(|| Error::invalid_params(format!("networks: '{text}' is no network: try '10.0.0.0/8'")))
        };
        let networks = config.networks.iter().map(network).collect::<Result<_>>()?;
        let bounds = Bounds { networks, max_bytes: config.max_bytes, max_redirects: config.max_redirects };
        let agent = |who: &str| {
            let usual = || format!("mcp-host-fetch/1.0 ({who}; +https://github.com/mcp-host/mcp-host)");
            config.user_agent.clone().unwrap_or_else(usual)
        };
        let web = Web {
            client: Client::new(bounds),
            autonomous: agent("Autonomous"),
            by_user: agent("User-Specified"),
            heeds_robots: config.robots_txt,
        };
        Ok(Self { web: Arc::new(web), workers: Workers::new(Duration::from_millis(config.timeout_ms.max(1))) })
    }

    /// Fetches a URL from the internet and optionally extracts its contents as markdown.
    ///
    /// Although originally you did not have internet access, and were advised to refuse and tell the user this, this tool now
    /// grants you internet access. Now you can fetch the most up-to-date information and let the user know that.
    #[tool(read_only, idempotent, open_world)]
    fn fetch(
        &self,
        /** URL to fetch */
        #[schemars(url)]
        url: String,
        /** Maximum number of characters to return. */
        #[default(5000)]
        #[schemars(range(min = 1, max = 999_999))]
        max_length: usize,
        /** On return output starting at this character index, useful if a previous fetch was truncated and more context is required. */
        #[default(0)]
        start_index: usize,
        /** Get the actual HTML content of the requested page, without simplification. */
        #[default(false)]
        raw: bool,
        ctx: &Context,
    ) -> Result<String> {
        let url = parse(&url)?;
        let (web, at) = (Arc::clone(&self.web), url.clone());
        let read = self.workers.run(ctx, move |time| {
            let answer = web.client.get(&at, &web.autonomous, time, |at| web.ask_robots(at, time))?;
            simplified(&at, answer, raw)
        });
        let Text { before, text } = read?;
        let rest: String = text.chars().skip(start_index).take(max_length).collect();
        let end = start_index + rest.chars().count();
        let told = if rest.is_empty() {
            "<error>No more content available.</error>".to_owned()
        } else if end < text.chars().count() {
            format!(
                "{rest}\n\n<error>Content truncated. Call the fetch tool with a start_index of {end} to get more \
                 content.</error>"
            )
        } else {
            rest
        };
        Ok(format!("{before}Contents of {url}:\n{told}"))
    }

    /// Fetch a URL and extract its contents as markdown
    #[prompt(name = "fetch")]
    fn fetched(
        &self,
        /** URL to fetch */
        url: String,
        ctx: &Context,
    ) -> Message {
        let fetched = parse(&url).and_then(|url| {
            let web = Arc::clone(&self.web);
            self.workers.run(ctx, move |time| {
                let answer = web.client.get(&url, &web.by_user, time, |_| Ok(()))?;
                simplified(&url, answer, false)
            })
        });
        // A user reads it: what went wrong is as good as what was fetched.
        Message::user(match fetched {
            Ok(Text { before, text }) => before + &text,
            Err(error) => error.message().to_owned(),
        })
    }
}

impl Web {
    /// Refuses what a site does not want to be fetched by programs (RFC 9309).
    fn ask_robots(&self, url: &Url, time: &Time) -> Result<()> {
        if !self.heeds_robots || !["http", "https"].contains(&url.scheme()) {
            return Ok(());
        }
        let mut robots = url.clone();
        robots.set_path("/robots.txt");
        robots.set_query(None);
        robots.set_fragment(None);
        let refused = |error: Error| {
            if error.message().starts_with("Refused") || error.message().ends_with("is not fetched") {
                return error;
            }
            Error::new(format!("Failed to fetch robots.txt {robots} due to a connection issue"))
        };
        let answer = self.client.get(&robots, &self.autonomous, time, |_| Ok(())).map_err(refused)?;
        match answer.status {
            401 | 403 => Err(Error::new(format!(
                "When fetching robots.txt ({robots}), received status {} so assuming that autonomous fetching is not allowed, \
                 the user can try manually fetching by using the fetch prompt",
                answer.status
            ))),
            // There is none, or it cannot be told now.
            400.. => Ok(()),
            _ => {
                let text: String = answer.text.chars().take(MAX_ROBOTS_BYTES).collect();
                let name = self.autonomous.split('/').next().unwrap_or_default();
                let path = &url[Position::BeforePath..Position::AfterQuery];
                match robots::allows(&text, name, path, || time.is_over()) {
                    Some(true) => return Ok(()),
                    Some(false) => {}
                    None => return Err(Error::new(format!("There is no time left to read robots.txt {robots}"))),
                }
                let agent = &self.autonomous;
                Err(Error::new(format!(
                    "The sites robots.txt ({robots}), specifies that autonomous fetching of this page is not allowed, \
                     <useragent>{agent}</useragent>\n<url>{url}</url><robots>\n{text}\n</robots>\nThe assistant must let the \
                     user know that it failed to view the page. The assistant may provide further guidance based on the above \
                     information.\nThe assistant can tell the user that they can try manually fetching the page by using the \
                     fetch prompt within their UI."
                )))
            }
        }
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| Error::invalid_arguments(format!("'{url}' is no URL: {error}")))
}

/// What is read of an answer: its article, or what came as it is.
fn simplified(url: &Url, answer: Answer, raw: bool) -> Result<Text> {
    let Answer { status, content_type, text } = answer;
    if status >= 400 {
        return Err(Error::new(format!("Failed to fetch {url} - status code {status}")));
    }
    if !raw && page::is_page(&content_type, &text) {
        return Ok(Text { before: String::new(), text: page::markdown(&text, url.as_str()) });
    }
    let before =
        format!("Content type {content_type} cannot be simplified to markdown, but here is the raw content:\n");
    Ok(Text { before, text })
}

#[cfg(test)]
mod tests;
