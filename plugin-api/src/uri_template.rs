//! RFC 6570 URI templates, matched backwards: from a URI to the values of its variables.
//!
//! Supported are the operators whose expansion can be undone without guessing: simple `{a}` and `{a,b}`, reserved
//! `{+a}`, fragment `{#a}`, path `{/a}`, label `{.a}`, and the queries `{?a,b}` and `{&a}`.

use std::collections::BTreeMap;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression { operator: Operator, names: Vec<String> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Simple,
    Reserved,
    Fragment,
    Path,
    Label,
    Query,
    QueryMore,
}

/// Why a text is no template: the byte at which it fails, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Offset in bytes.
    pub at: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for TemplateError {}

impl UriTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// Where and why the text is none, or uses a modifier (`*`, `:3`) that cannot be undone.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        let at = |rest: &str| text.len() - rest.len();
        while !rest.is_empty() {
            let Some(open) = rest.find(['{', '}']) else {
                parts.push(Part::Literal(rest.to_owned()));
                break;
            };
            if rest.as_bytes()[open] == b'}' {
                return Err(TemplateError { at: at(&rest[open..]), reason: "a '}' without its '{'" });
            }
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            rest = &rest[open + 1..];
            let close = rest.find('}').ok_or(TemplateError { at: at(rest), reason: "a '{' without its '}'" })?;
            parts.push(expression(&rest[..close]).map_err(|reason| TemplateError { at: at(rest), reason })?);
            rest = &rest[close + 1..];
        }
        Ok(Self { parts })
    }

    /// The names of the variables, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .flat_map(|part| match part {
                Part::Literal(_) => [].as_slice(),
                Part::Expression { names, .. } => names.as_slice(),
            })
            .map(String::as_str)
    }

    /// The values of the variables in a URI, percent-decoded; nothing when the URI is not of this template.
    #[must_use]
    pub fn matches(&self, uri: &str) -> Option<BTreeMap<String, String>> {
        let mut search = Search { values: BTreeMap::new(), steps_left: MAX_STEPS };
        match_parts(&self.parts, uri, &mut search).then_some(search.values)
    }
}

/// Steps that matching one URI may take. Variables side by side are tried in every split, and the URI is a client's.
const MAX_STEPS: u32 = 10_000;

/// The state of matching one URI.
struct Search {
    values: BTreeMap<String, String>,
    steps_left: u32,
}

fn expression(body: &str) -> Result<Part, &'static str> {
    let (operator, names) = match body.as_bytes().first() {
        None => return Err("an empty expression"),
        Some(b'+') => (Operator::Reserved, &body[1..]),
        Some(b'#') => (Operator::Fragment, &body[1..]),
        Some(b'/') => (Operator::Path, &body[1..]),
        Some(b'.') => (Operator::Label, &body[1..]),
        Some(b'?') => (Operator::Query, &body[1..]),
        Some(b'&') => (Operator::QueryMore, &body[1..]),
        Some(b';') => return Err("the operator ';' is not supported"),
        Some(_) => (Operator::Simple, body),
    };
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
    };
    if !names.iter().all(is_name) {
        return Err("a variable's name may hold letters, digits, '_' and '.' only");
    }
    Ok(Part::Expression { operator, names })
}

fn match_parts(parts: &[Part], uri: &str, search: &mut Search) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return uri.is_empty();
    };
    match part {
        Part::Literal(literal) => uri.strip_prefix(literal.as_str()).is_some_and(|uri| match_parts(rest, uri, search)),
        Part::Expression { operator: operator @ (Operator::Query | Operator::QueryMore), names } => {
            match_query(*operator == Operator::Query, names, rest, uri, search)
        }
        Part::Expression { operator, names } => match_names(*operator, names, rest, uri, search),
    }
}

/// Matches the variables of one expression one after the other, the longest value first.
fn match_names(operator: Operator, names: &[String], rest: &[Part], uri: &str, search: &mut Search) -> bool {
    let Some((name, more)) = names.split_first() else {
        return match_parts(rest, uri, search);
    };
    let (before, between) = match operator {
        Operator::Path => ("/", "/"),
        Operator::Label => (".", "."),
        Operator::Fragment => ("#", ","),
        _ => ("", ","),
    };
    let Some(body) = uri.strip_prefix(before) else {
        return false;
    };
    let reserved = matches!(operator, Operator::Reserved | Operator::Fragment);
    let longest = body.find(|character: char| !is_value_character(character, reserved)).unwrap_or(body.len());
    for end in (1..=longest).rev().filter(|end| body.is_char_boundary(*end)) {
        search.steps_left = search.steps_left.saturating_sub(1);
        if search.steps_left == 0 {
            return false;
        }
        let tail = &body[end..];
        let matched = if more.is_empty() {
            match_parts(rest, tail, search)
        } else if matches!(operator, Operator::Path | Operator::Label) {
            match_names(operator, more, rest, tail, search)
        } else {
            tail.strip_prefix(between).is_some_and(|tail| match_names(Operator::Simple, more, rest, tail, search))
        };
        // Decoded last: it costs as much as the value is long, and most splits do not fit.
        if matched && let Some(value) = percent_decode(&body[..end]) {
            search.values.insert(name.clone(), value);
            return true;
        }
    }
    false
}

/// A query's variables are all optional and come in any order.
fn match_query(first: bool, names: &[String], rest: &[Part], uri: &str, search: &mut Search) -> bool {
    let (query, tail) = match uri.strip_prefix(if first { '?' } else { '&' }) {
        None => ("", uri),
        Some(query) => query.split_at(query.find('#').unwrap_or(query.len())),
    };
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(value) = percent_decode(value) else {
            return false;
        };
        if !names.iter().any(|known| known == name) || found.insert(name.to_owned(), value).is_some() {
            return false;
        }
    }
    if !match_parts(rest, tail, search) {
        return false;
    }
    search.values.extend(found);
    true
}

fn is_value_character(character: char, reserved: bool) -> bool {
    match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '.' | '_' | '~' | '%' => true,
        ':' | '/' | '?' | '#' | '[' | ']' | '@' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' => {
            reserved || matches!(character, ':' | '@' | '!' | '$' | '\'' | '(' | ')' | '*' | '+' | ';' | '=')
        }
        // Lenient: many clients send other letters as they are.
        other => !other.is_ascii(),
    }
}

/// Undoes percent-encoding; nothing where it is broken or not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let digits = tail.get(..2)?;
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, uri: &str, expected: Option<&[(&str, &str)]>) {
        let found = UriTemplate::parse(template).unwrap().matches(uri);
        let expected =
            expected.map(|pairs| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        assert_eq!(found, expected, "{template} against {uri}");
    }

    #[test]
    fn values_are_found() {
        check("test://template/{id}/data", "test://template/123/data", Some(&[("id", "123")]));
        check("test://template/{id}/data", "test://template/1/2/data", None);
        check("test://template/{id}/data", "test://template//data", None);
        check("db://{table}/{row}", "db://a/b", Some(&[("table", "a"), ("row", "b")]));
        check("file:///{+path}", "file:///a/b%20c.txt", Some(&[("path", "a/b c.txt")]));
        check("x://{a,b}", "x://1,2", Some(&[("a", "1"), ("b", "2")]));
        check("x://h{/a,b}", "x://h/1/2", Some(&[("a", "1"), ("b", "2")]));
        check("x://h{.ext}", "x://h.tar", Some(&[("ext", "tar")]));
        check("x://h{#part}", "x://h#top/1", Some(&[("part", "top/1")]));
        check("x://h{?q,n}", "x://h?n=2&q=a%26b", Some(&[("q", "a&b"), ("n", "2")]));
        check("x://h{?q,n}", "x://h", Some(&[]));
        check("x://h{?q}", "x://h?z=1", None);
        check("x://{name}.txt", "x://a.b.txt", Some(&[("name", "a.b")]));
        check("x://{name}", "x://%zz", None);
        check("x://{name}", "x://%ff", None);
    }

    #[test]
    fn bad_templates_are_refused_with_the_place() {
        assert_eq!(UriTemplate::parse("a{b"), Err(TemplateError { at: 2, reason: "a '{' without its '}'" }));
        assert_eq!(UriTemplate::parse("a}b"), Err(TemplateError { at: 1, reason: "a '}' without its '{'" }));
        assert_eq!(UriTemplate::parse("a{}"), Err(TemplateError { at: 2, reason: "an empty expression" }));
        assert!(UriTemplate::parse("a{b*}").is_err());
    }
}
