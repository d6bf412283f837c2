//! What plugins should not do.

#![allow(unsafe_code, reason = "the C function is here to print behind Rust's back")]
#![allow(clippy::print_stdout, reason = "that is the point")]

unsafe extern "C" {
    fn everything_print();
}

/// Prints to standard output, from Rust and from C.
pub(crate) fn print() {
    println!("printed from Rust");
    // SAFETY: the function takes nothing, gives nothing and only prints.
    unsafe { everything_print() };
}
