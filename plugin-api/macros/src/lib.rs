//! The attribute macros of `mcp-plugin-api`. Use them through that crate; the macro is documented there.
//!
//! `attributes` reads what the author wrote in `#[...]`, `function` what the functions look like, `expand` writes the
//! code, `quoted` the options in it. Misuse is a compile error that says what to write instead.

mod arguments;
mod attributes;
mod expand;
mod function;
mod quoted;
mod skills;
mod uri;

use proc_macro::TokenStream;

/// Makes a plugin of an `impl` block: its marked functions become tools, resources, prompts and completions.
///
/// Options: `name` (default: the package's), `version` (the package's), `description`, `instructions` (for the model),
/// `wants` (what it needs where it is confined, such as `["network 443", "env API_KEY"]`: shown to the operator, who grants
/// it).
///
/// | mark | makes | options |
/// |---|---|---|
/// | `#[tool]` | a tool | `name`, `title`, `inline`, `read_only`, `destructive`, `idempotent`, `open_world`, `icon`, `input_schema`, `output_schema`, `meta("key" = value)` |
/// | `#[resource("uri")]` | a resource; with `{parameters}` a template | `name`, `title`, `mime`, `inline`, `icon`, `priority`, `size` |
/// | `#[resources]` | a list of resources that may change: `fn(&self) -> Result<Vec<Resource>>` | |
/// | `#[prompt]` | a prompt | `name`, `title`, `inline`, `icon` |
/// | `#[complete(prompt = "…", argument = "…")]` | proposals for an argument; `template = "…"` for a template's | `inline` |
/// | `#[start]` | makes the plugin from its configuration: `fn(Config, Host) -> Result<Self>`; without it, `Default`, outside the runtime | |
/// | `#[stop]` | ends its work: `fn(&self)` | |
///
/// The doc comment of a function is its description; a first line `# …` is its title. Doc comments of arguments describe
/// them.
#[proc_macro_attribute]
pub fn plugin(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::plugin(options.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a type usable as arguments, result, form or configuration: it serializes, deserializes and has a schema.
///
/// The same as deriving `Serialize`, `Deserialize` and `JsonSchema`, without `serde` and `schemars` in the plugin's
/// manifest. Doc comments of fields describe them; `#[serde(…)]` and `#[schemars(…)]` attributes work as ever.
#[proc_macro_attribute]
pub fn model(_options: TokenStream, item: TokenStream) -> TokenStream {
    expand::model(item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
