//! Misuse of the macros is a compile error that says what to write instead.

#[test]
fn misuse_is_told() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
