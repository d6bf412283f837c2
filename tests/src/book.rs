//! The Rust of the book, compiled and run as tests of documentation.

/// The first plugin.
#[doc = include_str!("../../docs/quick-start-author.md")]
pub struct QuickStart;

/// Writing a plugin.
#[doc = include_str!("../../docs/plugins.md")]
pub struct Plugins;

/// Testing a plugin.
#[doc = include_str!("../../docs/testing.md")]
pub struct Testing;

/// The front page.
#[doc = include_str!("../../README.md")]
pub struct Readme;
