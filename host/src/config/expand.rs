//! `${VAR}` and `${VAR:-default}` in values.

/// Expands the variables of a text, as `look_up` knows them. `$$` is a dollar sign.
///
/// # Errors
/// Names the variable that is not set, or says that a brace is open.
pub(super) fn expand(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let close = after.find('}').ok_or("a '${' without its '}'")?;
            let (name, default) = match after[..close].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&after[..close], None),
            };
            match look_up(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned)) {
                Some(value) => expanded.push_str(&value),
                None => return Err(format!("the environment variable '{name}' is not set")),
            }
            rest = &after[close + 1..];
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let look_up = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        assert_eq!(expand(text, &look_up), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn variables_and_defaults_expand() {
        check("${HOME}/x", Ok("/home/me/x"));
        check("${PORT:-3000}", Ok("3000"));
        check("${HOME:-x}${HOME}", Ok("/home/me/home/me"));
        check("${PORT:-}", Ok(""));
        check("a$b $$ {}", Ok("a$b $ {}"));
        check("${PORT}", Err("the environment variable 'PORT' is not set"));
        check("${PORT", Err("a '${' without its '}'"));
    }
}
