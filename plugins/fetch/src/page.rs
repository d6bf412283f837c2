//! From HTML to what a model reads: the article of a page, as Markdown.

use dom_smoothie::{Config, Readability, TextMode};

/// Elements of a page that one page may have.
const MAX_ELEMENTS: usize = 100_000;

/// What is said where a page has nothing to read.
pub(crate) const NOTHING: &str = "<error>Page failed to be simplified from HTML</error>";

/// Whether an answer is a page: it says so, or says nothing, or begins like one.
pub(crate) fn is_page(content_type: &str, text: &str) -> bool {
    let beginning: String = text.chars().take(100).collect();
    content_type.is_empty() || content_type.contains("text/html") || beginning.to_lowercase().contains("<html")
}

/// The article of a page.
pub(crate) fn markdown(html: &str) -> String {
    article(html).filter(|text| !text.is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

fn article(html: &str) -> Option<String> {
    let config = Config { max_elements_to_parse: MAX_ELEMENTS, text_mode: TextMode::Markdown, ..Config::default() };
    let found = Readability::new(html, None, Some(config)).ok()?.parse().ok()?;
    Some(found.text_content.trim().to_owned())
}
