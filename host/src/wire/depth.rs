//! How deep JSON is nested, found without parsing it: deep JSON must be refused before anything recurses into it.

/// Whether `json` nests arrays and objects more than `max` deep. The bytes need not be valid JSON.
#[must_use]
pub fn exceeds_depth(json: &[u8], max: usize) -> bool {
    let mut depth = 0_usize;
    let mut index = 0;
    while let Some(&byte) = json.get(index) {
        index += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => index = end_of_string(json, index),
            _ => {}
        }
    }
    false
}

/// The index behind the string that begins before `index`.
fn end_of_string(json: &[u8], mut index: usize) -> usize {
    while let Some(found) = json.get(index..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        index += found + 1;
        if json[index - 1] == b'"' {
            return index;
        }
        // The escaped byte cannot end the string.
        index += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, max: usize, expected: bool) {
        assert_eq!(exceeds_depth(json.as_bytes(), max), expected, "{json}");
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        check("[[[]]]", 3, false);
        check("[[[]]]", 2, true);
        check(r#"{"a":[{"b":1}],"c":[]}"#, 3, false);
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        check(r#"["[[[[", "\"[[[", "\\"]"#, 1, false);
        check(r#"["\\", [[]]]"#, 2, true);
        check(r#"["unfinished [[["#, 1, false);
        check("\"\\", 1, false);
    }
}
