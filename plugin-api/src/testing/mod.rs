//! Test a plugin without a host: its code, the library that was built of it, and what it tells clients of itself.
//!
//! A [`Kit`] starts the plugin as a host would. A [`Script`] says what the client answers, and keeps what the plugin told it.
//!
//! # Beside the code
//! [`Kit::start`] starts the code itself, on the same path up to the boundary:
//!
//! ```
//! use mcp_plugin_api::prelude::*;
//! use mcp_plugin_api::testing::{Kit, Script};
//! use mcp_plugin_api::serde_json::json;
//!
//! #[derive(Default)]
//! struct Hello;
//!
//! #[plugin]
//! impl Hello {
//!     /// Greets whoever the user names.
//!     #[tool]
//!     async fn greet(&self, ctx: &Context) -> Result<String> {
//!         let answer = ctx.elicit("name", "Who are you?", Form::new().required("name", Field::text())).await?;
//!         Ok(answer.accepted().map_or("nobody".to_owned(), |form| format!("Hello, {}!", form["name"].as_str().unwrap_or(""))))
//!     }
//! }
//!
//! # fn main() {
//! let kit = Kit::start::<Hello>(json!({})).unwrap();
//! let script = Script::new().accept("name", json!({"name": "Ada"}));
//! let result = kit.tool("greet", json!({}), &script).unwrap();
//! assert_eq!(result.content, [Content::text("Hello, Ada!")]);
//! # }
//! ```
//!
//! # The library
//! [`Kit::load`] loads what cargo builds, from a test in `tests/`, and everything crosses the boundary as it will in a host:
//!
//! ```no_run
//! use mcp_plugin_api::serde_json::json;
//! use mcp_plugin_api::testing::{Kit, Script};
//!
//! #[test]
//! fn the_library_greets() {
//!     let kit = Kit::load(json!({})).unwrap();
//!     assert_eq!(kit.tool("greet", json!({"name": "Ada"}), &Script::new()).unwrap().text(), "Hello, Ada!");
//! }
//!
//! #[test]
//! fn the_definitions_are_those_that_were_reviewed() {
//!     Kit::load(json!({})).unwrap().assert_definitions("tests/definitions.json");
//! }
//! ```
//!
//! # Definitions
//! [`Kit::assert_definitions`] holds what clients are told against a file that is kept with the code: a changed description or
//! schema is a change for every client, and for operators who approve definitions. `UPDATE_DEFINITIONS=1 cargo test` writes it.

mod definitions;
mod kit;
mod script;

pub use kit::Kit;
pub use script::{Said, Script};
