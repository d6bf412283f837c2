//! From HTML to what a model reads: the article of a page, as Markdown.

use dom_smoothie::{Config, Readability, TextMode};

/// Elements that a page may have.
const MAX_ELEMENTS: usize = 50_000;

/// Elements that may stand in each other. What reads pages takes a frame of the stack for each, and time that grows with their
/// square.
const MAX_DEPTH: usize = 512;

/// Elements that a page may become. Marks that are not closed (`<b>`) are made anew in whatever comes behind them.
const MAX_MADE: usize = 5 * MAX_ELEMENTS;

/// Marks that are made anew.
const MARKS: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

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
    let text = if is_large(html) { None } else { article(html, url) };
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

fn article(html: &str, url: &str) -> Option<String> {
    let config = Config { max_elements_to_parse: MAX_ELEMENTS, text_mode: TextMode::Markdown, ..Config::default() };
    let mut page = Readability::new(html, Some(url), Some(config)).ok()?;
    // What deceives the look at the text.
    let is_deep =
        page.doc.root().descendants_it().any(|node| node.ancestors_it(Some(MAX_DEPTH + 1)).count() > MAX_DEPTH);
    if is_deep {
        return None;
    }
    Some(plain_links(page.parse().ok()?.text_content.trim()))
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

/// Whether a page has more elements, or more of them in each other, than one that somebody wrote. It counts what is not closed where
/// it should be, and what stands in comments.
fn is_large(html: &str) -> bool {
    // Those that have no end, those whose end may be left out, and those of drawings that end themselves.
    const NO_END: &[&str] = &[
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "p",
        "li", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "option", "optgroup", "colgroup", "rp", "rt",
        "html", "head", "body", "path", "circle", "rect", "line", "use", "polygon", "polyline", "ellipse", "stop",
    ];
    let mut open: Vec<String> = Vec::new();
    let (mut elements, mut marks, mut made) = (0, 0, 0);
    for piece in html.split('<').skip(1) {
        let (is_end, rest) = piece.strip_prefix('/').map_or((false, piece), |rest| (true, rest));
        let name: String =
            rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        elements += usize::from(!name.is_empty() && !is_end);
        made += 1 + marks;
        if elements > MAX_ELEMENTS || made > MAX_MADE {
            return true;
        }
        if name.is_empty() || NO_END.contains(&name.as_str()) {
            continue;
        }
        let is_mark = MARKS.contains(&name.as_str());
        if !is_end {
            open.push(name);
            marks += usize::from(is_mark);
        } else if let Some(at) = open.iter().rposition(|it| *it == name) {
            open.remove(at);
            marks -= usize::from(is_mark);
        }
        if open.len() > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, MAX_ELEMENTS, NOTHING, is_large, markdown, plain_links};
    use crate::work::STACK_BYTES;

    #[test]
    fn pages_of_nothing_but_depth_are_left_unread() {
        for name in ["b", "div", "ul", "blockquote"] {
            for count in [4_000, 40_000] {
                let page = format!("<html><body>{}text", format!("<{name}>").repeat(count));
                assert_eq!(markdown(&page, "http://h/"), NOTHING, "{name} {count}");
            }
        }
        // What deceives the count is found when it is read.
        for count in [400, 4_000, 40_000, 800_000] {
            let page = format!("<html><body>{}text", "<path>".repeat(count));
            assert_eq!(markdown(&page, "http://h/"), if count == 400 { "text" } else { NOTHING }, "{count}");
        }
        assert!(is_large(&"<b></x>".repeat(600)), "what is closed and was not open closes nothing");
        assert!(is_large(&"<p>".repeat(MAX_ELEMENTS + 1)));
        assert!(!is_large(&"<p>a<li>b<br>".repeat(9000)) && !is_large(&"<div><b>x</b></div>".repeat(9000)));
    }

    #[test]
    fn the_largest_pages_are_read_with_a_quarter_of_the_stack() {
        let on_small_stack = |page: String| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES / 4);
            thread.spawn(move || markdown(&page, "http://h/")).unwrap().join().unwrap()
        };
        let deep = "<path>".repeat(MAX_DEPTH - 20);
        let page = format!("<html><body>{deep}{}text", "<div></div>".repeat(MAX_ELEMENTS - MAX_DEPTH - 20));
        assert_eq!(on_small_stack(page), "text");
        for name in ["ul><li", "ol><li", "blockquote", "b", "em", "a href=/x", "div", "table><tr><td", "span"] {
            let count = (MAX_DEPTH - 12) / (1 + name.matches('<').count() * 2);
            let page = format!("<html><body>{}text that is read", format!("<{name}>").repeat(count));
            let told = on_small_stack(page);
            assert!(told.contains("text that is read"), "{name}: {told}");
        }
    }

    #[test]
    fn marks_that_are_made_anew_are_bounded() {
        let open: String = (0..400).map(|number| format!("<b id=x{number}>")).collect();
        let page = format!("<html><body><p>{open}</p>{}", "<p>x".repeat(49_000));
        assert_eq!(markdown(&page, "http://h/"), NOTHING);
        assert!(!is_large(&"<p><b>x</b> <i>y</i>".repeat(9000)));
    }

    #[test]
    fn links_are_as_they_are_fetched() {
        assert_eq!(plain_links("a &amp; [b](/x?y=1&amp;z=2) c"), "a &amp; [b](/x?y=1&z=2) c");
        assert_eq!(plain_links("[b](/x&amp;"), "[b](/x&");
    }
}
