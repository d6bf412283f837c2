//! "Did you mean …": the name that is closest to one that does not exist.

/// The closest of `names`, if it is close enough to be meant.
#[must_use]
pub fn closest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const CLOSE_ENOUGH: f64 = 0.72;
    // Comparing is quadratic in the length, and `wanted` is a client's.
    const MAX_CHARS: usize = 128;
    let wanted: String = wanted.chars().take(MAX_CHARS).collect();
    let lower = wanted.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= CLOSE_ENOUGH)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = ["greet", "test_simple_text", "read_file"];
        assert_eq!(closest("gret", names).as_deref(), Some("greet"));
        assert_eq!(closest("ReadFile", names).as_deref(), Some("read_file"));
        assert_eq!(closest("zzz", names), None);
    }
}
