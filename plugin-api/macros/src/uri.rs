//! The parameters of a URI template, as far as the macro needs them.

/// The names of the parameters, in order.
pub(crate) fn parameters(uri: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut rest = uri;
    while let Some(open) = rest.find(['{', '}']) {
        if rest.as_bytes()[open] == b'}' {
            return Err("this URI has a '}' without its '{'".to_owned());
        }
        rest = &rest[open + 1..];
        let close = rest.find('}').ok_or("this URI has a '{' without its '}'")?;
        let body = rest[..close].strip_prefix(['+', '#', '/', '.', '?', '&']).unwrap_or(&rest[..close]);
        for name in body.split(',') {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(format!(
                    "'{{{}}}' is not a parameter: write `{{name}}` with letters, digits and '_'",
                    &rest[..close]
                ));
            }
            names.push(name.to_owned());
        }
        rest = &rest[close + 1..];
    }
    Ok(names)
}
