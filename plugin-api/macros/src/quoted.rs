//! Options as the code that passes them on.

use crate::attributes::Options;
use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::{Error, Expr, Ident, LitStr, Result, parse2};

/// Text as an `Option<&str>`.
pub(super) fn quoted(text: Option<&String>) -> TokenStream {
    match text {
        None => quote!(::core::option::Option::<&str>::None),
        Some(text) => quote!(::core::option::Option::Some(#text)),
    }
}

/// An option's expression as an `Option`.
pub(super) fn some(expr: Option<&Expr>) -> TokenStream {
    match expr {
        None => quote!(::core::option::Option::None),
        Some(expr) => quote!(::core::option::Option::Some(#expr)),
    }
}

/// The media type of pages (MCP Apps).
pub(super) const APP_MIME_TYPE: &str = "text/html;profile=mcp-app";

pub(super) fn check_page(uri: &LitStr) -> Result<()> {
    if uri.value().starts_with("ui://") {
        return Ok(());
    }
    Err(Error::new_spanned(uri, "the URI of a page begins with `ui://`"))
}

/// The fields of `meta(...)`, as an `Option` of a map.
pub(super) fn metas(options: &Options) -> TokenStream {
    if options.meta.is_empty() {
        return quote!(::core::option::Option::None);
    }
    let pairs = options.meta.iter().map(|(key, value)| quote!((#key.to_owned(), (#value).into())));
    quote!(::core::option::Option::Some(::core::iter::FromIterator::<(::std::string::String, ::mcp_plugin_api::serde_json::Value)>::from_iter([#(#pairs),*])))
}

pub(super) fn icons(options: &Options) -> Result<TokenStream> {
    Ok(match options.string("icon")? {
        None => quote!(::core::option::Option::None),
        Some(icon) => quote! {
            ::core::option::Option::Some(::std::vec![::mcp_plugin_api::Icon {
                src: #icon.to_owned(),
                mime_type: ::core::option::Option::None,
                sizes: ::core::option::Option::None,
                theme: ::core::option::Option::None,
            }])
        },
    })
}

pub(super) fn tool_hints(options: &Options) -> Result<TokenStream> {
    let mut fields = TokenStream::new();
    for (option, field) in [
        ("read_only", "read_only_hint"),
        ("destructive", "destructive_hint"),
        ("idempotent", "idempotent_hint"),
        ("open_world", "open_world_hint"),
    ] {
        if let Some(value) = options.flag(option)? {
            let field = format_ident!("{field}");
            fields.extend(quote!(#field: ::core::option::Option::Some(#value),));
        }
    }
    Ok(quote!(private::ToolHints { #fields ..::core::default::Default::default() }))
}

/// How a tool's calls become tasks; nothing where they do not.
pub(super) fn task(options: &Options) -> Result<Option<TokenStream>> {
    let restart = word(options, "restart", &[("fail", "Fail"), ("rerun", "Rerun")])?;
    let asks_first = options.flag("asks_first")?;
    let support = [("never", "Never"), ("optional", "Optional"), ("required", "Required")];
    let support = match word(options, "task", &support)? {
        Some(support) if support != "Never" => support,
        _ => {
            for (name, is_there) in [("restart", restart.is_some()), ("asks_first", asks_first == Some(true))] {
                if let Some(option) = options.name(name).filter(|_| is_there) {
                    let message =
                        format!("`{name}` is about tasks: add `task = \"optional\"` or `task = \"required\"`");
                    return Err(Error::new_spanned(option, message));
                }
            }
            return Ok(None);
        }
    };
    let is_inline = options.flag("inline")?.unwrap_or(false);
    if let Some(inline) = options.name("inline").filter(|_| is_inline) {
        let message = "an `inline` function is over at once, and so is never a task: leave one of them out";
        return Err(Error::new_spanned(inline, message));
    }
    let on_restart = restart.unwrap_or_else(|| format_ident!("Fail"));
    let asks_first = asks_first.unwrap_or(false);
    Ok(Some(quote!(private::TaskDefinition {
        support: private::TaskSupport::#support,
        on_restart: private::OnRestart::#on_restart,
        asks_first: #asks_first,
    })))
}

/// An option that is one of several words, as the variant that it stands for.
fn word(options: &Options, name: &str, words: &[(&str, &str)]) -> Result<Option<Ident>> {
    let Some(text) = options.string(name)? else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| *word == text.value()) {
        Some((_, variant)) => Ok(Some(format_ident!("{variant}"))),
        None => {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(Error::new_spanned(&text, format!("`{name}` is one of {}", known.join(", "))))
        }
    }
}

/// What the plugin needs where it is confined, one want on each line.
pub(super) fn wants(options: &Options) -> Result<String> {
    const KINDS: &[&str] = &["read", "write", "network", "env", "memory", "cpu_time", "files", "subprocesses"];
    let Some(expr) = options.expr("wants")? else {
        return Ok(String::new());
    };
    let Expr::Array(array) = expr else {
        return Err(Error::new_spanned(expr, "write a list: `wants = [\"network 443\", \"env API_KEY\"]`"));
    };
    let mut lines = Vec::new();
    for item in &array.elems {
        let want: LitStr = parse2(item.to_token_stream())?;
        let text = want.value();
        let kind = text.split(' ').next().unwrap_or_default();
        if !KINDS.contains(&kind) || text.contains('\n') {
            let message = format!("'{kind}' cannot be wanted; what can be begins with one of: {}", KINDS.join(", "));
            return Err(Error::new_spanned(want, message));
        }
        lines.push(text);
    }
    Ok(lines.join("\n"))
}
