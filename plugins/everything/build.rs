//! Builds the C function that prints, for `test_prints_to_stdout`.

fn main() {
    println!("cargo:rerun-if-changed=src/print.c");
    cc::Build::new().file("src/print.c").compile("everything_print");
}
