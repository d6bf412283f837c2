//! From HTML to what a model reads: the article of a page, as Markdown.

use dom_smoothie::{Config, Readability, TextMode};
use std::sync::mpsc;
use std::time::Duration;

/// Elements that a page may have.
const MAX_ELEMENTS: usize = 50_000;

/// Elements that may stand in each other. What reads pages takes a frame of the stack for each, and time that grows with their
/// square.
const MAX_DEPTH: usize = 512;

/// Enough for all elements of a page in each other, if a page deceives [`is_deep`].
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// How long reading a page may take.
const MAX_TIME: Duration = Duration::from_secs(20);

/// What is said where a page has nothing to read.
pub(crate) const NOTHING: &str = "<error>Page failed to be simplified from HTML</error>";

/// Whether an answer is a page: it says so, or says nothing, or begins like one.
pub(crate) fn is_page(content_type: &str, text: &str) -> bool {
    let beginning: String = text.chars().take(100).collect();
    content_type.is_empty()
        || content_type.to_ascii_lowercase().contains("text/html")
        || beginning.to_lowercase().contains("<html")
}

/// The article of a page. Its links count from `url`.
pub(crate) fn markdown(html: &str, url: &str) -> String {
    if is_deep(html) {
        return NOTHING.to_owned();
    }
    let (html, url) = (html.to_owned(), url.to_owned());
    let (send, article_comes) = mpsc::channel();
    let reading = std::thread::Builder::new().name("page".to_owned()).stack_size(STACK_BYTES);
    // A page that takes longer is read to its end for nobody: its elements are bounded.
    let begun = reading.spawn(move || drop(send.send(article(&html, &url))));
    let text = begun.ok().and_then(|_| article_comes.recv_timeout(MAX_TIME).ok().flatten());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

fn article(html: &str, url: &str) -> Option<String> {
    let config = Config { max_elements_to_parse: MAX_ELEMENTS, text_mode: TextMode::Markdown, ..Config::default() };
    let found = Readability::new(html, Some(url), Some(config)).ok()?.parse().ok()?;
    Some(plain_links(found.text_content.trim()))
}

/// Links as they are to be fetched: `&amp;` in them means `&`, which Markdown's readers know and models do not.
fn plain_links(text: &str) -> String {
    let mut pieces = text.split("](");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (target, rest) = piece.split_once(')').unwrap_or((piece, ""));
        plain.push_str("](");
        plain.push_str(&target.replace("&amp;", "&"));
        plain.push_str(&piece[target.len()..piece.len() - rest.len()]);
        plain.push_str(rest);
    }
    plain
}

/// Whether more elements stand in each other than a page has that somebody wrote. It counts too many rather than too few: what
/// is not closed where it should be, and what stands in comments.
fn is_deep(html: &str) -> bool {
    // Those that have no end, those whose end may be left out, and those of drawings that end themselves.
    const NO_END: &[&str] = &[
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "p",
        "li", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "option", "optgroup", "colgroup", "rp", "rt",
        "html", "head", "body", "path", "circle", "rect", "line", "use", "polygon", "polyline", "ellipse", "stop",
    ];
    let mut open: Vec<String> = Vec::new();
    for piece in html.split('<').skip(1) {
        let (is_end, rest) = piece.strip_prefix('/').map_or((false, piece), |rest| (true, rest));
        let name: String =
            rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        if name.is_empty() || NO_END.contains(&name.as_str()) {
            continue;
        }
        if !is_end {
            open.push(name);
        } else if let Some(at) = open.iter().rposition(|it| *it == name) {
            open.remove(at);
        }
        if open.len() > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{NOTHING, is_deep, markdown, plain_links};

    #[test]
    fn pages_of_nothing_but_depth_are_left_unread() {
        for name in ["b", "div", "ul", "blockquote"] {
            for count in [4_000, 40_000] {
                let page = format!("<html><body>{}text", format!("<{name}>").repeat(count));
                assert_eq!(markdown(&page, "http://h/"), NOTHING, "{name} {count}");
            }
        }
        // What deceives the count is read nevertheless, and within its time.
        let page = format!("<html><body>{}text", "<path>".repeat(4_000));
        assert_eq!(markdown(&page, "http://h/"), "text");
        for count in [40_000, 800_000] {
            let page = format!("<html><body>{}text", "<path>".repeat(count));
            assert!(
                ["text", NOTHING].contains(&markdown(&page, "http://h/").as_str()),
                "it ends, and so does nothing else"
            );
        }
        assert!(is_deep(&"<b></x>".repeat(600)), "what is closed and was not open closes nothing");
        assert!(!is_deep(&"<p>a<li>b<br>".repeat(9000)) && !is_deep(&"<div><b>x</b></div>".repeat(9000)));
    }

    #[test]
    fn links_are_as_they_are_fetched() {
        assert_eq!(plain_links("a &amp; [b](/x?y=1&amp;z=2) c"), "a &amp; [b](/x?y=1&z=2) c");
        assert_eq!(plain_links("[b](/x&amp;"), "[b](/x&");
    }
}
