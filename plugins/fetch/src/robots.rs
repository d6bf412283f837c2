//! What a `robots.txt` says of a path (RFC 9309). It is a stranger's text: whatever is in it, an answer takes a bounded time.

/// Bytes of a line that are read: a longer one is no rule of anybody's.
const MAX_LINE_BYTES: usize = 1024;

/// Bytes of a path that rules are held to. What is beyond them is as if it were not there.
const MAX_PATH_BYTES: usize = 2048;

/// Whether the text lets a program of this name fetch a path, which may have a query. `is_over` is asked between two rules; where it
/// says so, nobody waits for the answer, and there is none.
pub(crate) fn allows(text: &str, program: &str, path: &str, is_over: impl Fn() -> bool) -> Option<bool> {
    // A star of a path is no star of a pattern.
    let path = plain(&path.as_bytes()[..path.len().min(MAX_PATH_BYTES)]).replace('*', "%2A").into_bytes();
    let program = token(program);
    let (mut own, mut everyone) = (Verdict::default(), Verdict::default());
    // Whom the group that is being read is for, and whether its rules have begun.
    let (mut is_own, mut is_everyone, mut has_rules) = (false, false, false);
    for line in text.trim_start_matches('\u{feff}').split(['\n', '\r']) {
        if is_over() {
            return None;
        }
        if line.len() > MAX_LINE_BYTES {
            continue;
        }
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if key.eq_ignore_ascii_case("user-agent") {
            if std::mem::take(&mut has_rules) {
                (is_own, is_everyone) = (false, false);
            }
            is_own |= !program.is_empty() && token(value).eq_ignore_ascii_case(program);
            is_everyone |= value == "*" || value.starts_with("* ");
            own.is_there |= is_own;
        } else if key.eq_ignore_ascii_case("allow") || key.eq_ignore_ascii_case("disallow") {
            has_rules = true;
            // A rule for nobody here, or about no path.
            if value.is_empty() || !(is_own || is_everyone) {
                continue;
            }
            let pattern = plain(value.as_bytes());
            if !matches(pattern.as_bytes(), &path) {
                continue;
            }
            for (verdict, _) in [(&mut own, is_own), (&mut everyone, is_everyone)].into_iter().filter(|(_, is)| *is) {
                verdict.take(pattern.len(), key.eq_ignore_ascii_case("allow"));
            }
        }
    }
    Some(if own.is_there { own.allows() } else { everyone.allows() })
}

/// What the rules of a group come to.
#[derive(Default)]
struct Verdict {
    /// There is such a group.
    is_there: bool,
    /// The bytes of the longest rule that holds, and whether it allows.
    rule: Option<(usize, bool)>,
}

impl Verdict {
    /// The longest rule holds, and of two as long the one that allows.
    fn take(&mut self, length: usize, allows: bool) {
        self.rule = self.rule.max(Some((length, allows)));
    }

    fn allows(&self) -> bool {
        self.rule.is_none_or(|(_, allows)| allows)
    }
}

/// The name that a program has in these texts: letters, `-` and `_`.
fn token(name: &str) -> &str {
    name.split(|it: char| !(it.is_ascii_alphabetic() || it == '-' || it == '_')).next().unwrap_or_default()
}

/// A path or a pattern in the one way in which both are compared (RFC 9309, 2.2.2): what need not be escaped is not, and the rest
/// with large digits.
fn plain(text: &[u8]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = match behind {
            [high, low, ..] if byte == b'%' => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if escaped.is_some() { &behind[2..] } else { behind };
        match escaped {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => written.push(byte.into()),
            Some(byte) => written.push_str(&format!("%{byte:02X}")),
            None if byte.is_ascii() => written.push(byte.into()),
            None => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a path begins as the pattern says: `*` stands for anything, `$` at the end for the path's end. Takes as many steps as
/// both have bytes, multiplied, at most: only the last `*` is ever tried again.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, is_whole) = match pattern.strip_suffix(b"$") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let (mut at, mut from) = (0, 0);
    // Behind the last star of the pattern, and where of the path it is tried.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if at == pattern.len() && (!is_whole || from == path.len()) {
            return true;
        }
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, from));
        } else if at < pattern.len() && pattern.get(at) == path.get(from) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((behind, tried)) = star.filter(|(_, tried)| *tried < path.len()) {
            star = Some((behind, tried + 1));
            (at, from) = (behind, tried + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::allows;
    use std::time::{Duration, SystemTime};

    #[track_caller]
    fn check(text: &str, path: &str, expected: bool) {
        assert_eq!(allows(text, "mcp-host-fetch", path, || false), Some(expected), "{path} of {text:?}");
    }

    #[test]
    fn the_longest_rule_of_ones_own_group_holds() {
        let text = "User-agent: *\nDisallow: /\n\nuser-agent: Other\nUSER-AGENT: MCP-Host-Fetch/2.0 # us\n\
                    Disallow: /a # not this\nAllow: /a/b\nDisallow: /a/b/c\nSitemap: x\nAllow: /a/b/c\n";
        for (path, expected) in [("/", true), ("/a", false), ("/a/x", false), ("/a/b", true), ("/a/b/c?d", true)] {
            check(text, path, expected);
        }
        assert_eq!(allows(text, "somebody", "/x", || false), Some(false), "the group of everyone");
        check("Disallow: /\n", "/x", true);
        check("User-agent: *\nDisallow:\n", "/x", true);
        check("", "/x", true);
        check("\u{feff}User-agent: * \rDisallow: /x\r", "/x", false);
        check("User-agent: mcp-host\nDisallow: /\n", "/x", true);
        check("User-agent: mcp-host-fetch\nDisallow: /a\nUser-agent: mcp-host-fetch\nDisallow: /b\n", "/b", false);
        check("User-agent: mcp-host-fetch\n\nUser-agent: *\nDisallow: /\n", "/b", false);
    }

    #[test]
    fn versions_are_no_part_of_a_name() {
        assert_eq!(allows("User-agent: bot2\nDisallow: /\n", "bot2", "/x", || false), Some(false));
    }

    #[test]
    fn stars_ends_and_escapes() {
        let text = "User-agent: *\nDisallow: /*.gif$\nDisallow: /a*b*c\nDisallow: /\u{e4}\nDisallow: /%c3%b6\n\
                    Disallow: /%70rivate\nDisallow: /star%2a\n";
        for (path, expected) in [
            ("/x.gif", false),
            ("/x.gif?y", true),
            ("/x.gif.gif", false),
            ("/axxbxxc", false),
            ("/axxbxx", true),
            ("/%C3%A4", false),
            ("/%C3%B6", false),
            ("/%c3%b6", false),
            ("/priv%61te", false),
            ("/star*", false),
            ("/starx", true),
        ] {
            check(text, path, expected);
        }
        check("User-agent: *\nDisallow: /*\nAllow: /$\n", "/", true);
        check("User-agent: *\nDisallow: *\n", "/x", false);
    }

    #[test]
    fn a_text_that_means_harm_takes_little_time_and_harms_nothing() {
        let began = SystemTime::now();
        // Of each, most of the path is held to most of the rule, again and again.
        let rules = format!("Disallow: /*{}b\n", "a".repeat(1000)).repeat(20);
        let text = format!("User-agent: *\n{}\n{rules}", "Disallow: \u{e4}".repeat(3000));
        let path = format!("/{}", "a".repeat(60_000));
        check(&text, &path, true);
        assert!(began.elapsed().unwrap() < Duration::from_secs(20));
        assert_eq!(allows(&text, "x", &path, || true), None);
    }
}
