//! How the arguments of a call come into scope as the function's own.

use crate::function::{Function, Parameter, inside};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Error, Expr, Lit, Result};

/// The type of a tool's arguments: its declaration, its name, and how its values come into scope.
pub(crate) fn tool_arguments(function: &Function) -> Result<(TokenStream, TokenStream, TokenStream)> {
    let whole = function.parameters.iter().find_map(|parameter| match parameter {
        Parameter::Args { ty } => Some(ty),
        _ => None,
    });
    let refuse = quote! {
        ::core::result::Result::Ok(arguments) => arguments,
        ::core::result::Result::Err(refused) => return refused,
    };
    if let Some(ty) = whole {
        if let Some(named) = function.named().next() {
            return Err(Error::new_spanned(
                &named.name,
                "take the arguments one by one, or all of them in `Args<T>`, not both",
            ));
        }
        return Ok((
            quote!(),
            ty.to_token_stream(),
            quote!(let __arguments: #ty = match __call.arguments() { #refuse };),
        ));
    }
    let mut fields = TokenStream::new();
    let mut defaults = TokenStream::new();
    for named in function.named() {
        let (name, ty, attributes) = (&named.name, &named.ty, &named.attributes);
        if let Some(default) = &named.default {
            let function = format_ident!("default_of_{}", name.unraw());
            let path = function.to_string();
            let value = default_value(default);
            fields.extend(quote!(#[serde(default = #path)]));
            defaults.extend(quote!(fn #function() -> #ty { #value }));
        }
        fields.extend(quote!(#(#attributes)* #name: #ty,));
    }
    let names: Vec<_> = function.named().map(|named| &named.name).collect();
    let declaration = quote! {
        #defaults
        #[derive(private::serde::Deserialize, private::schemars::JsonSchema)]
        #[serde(crate = "::mcp_plugin_api::__private::serde", deny_unknown_fields)]
        #[schemars(crate = "::mcp_plugin_api::__private::schemars")]
        struct Arguments { #fields }
    };
    let take = quote!(let Arguments { #(#names),* } = match __call.arguments() { #refuse };);
    Ok((declaration, quote!(Arguments), take))
}

/// Brings the variables of a URI, or the arguments of a prompt, into scope.
pub(crate) fn take_variables(function: &Function) -> Result<TokenStream> {
    let mut take = TokenStream::new();
    for parameter in &function.parameters {
        let named = match parameter {
            Parameter::Context { .. } => continue,
            Parameter::Args { ty } => {
                return Err(Error::new_spanned(ty, "take these arguments one by one: they are text"));
            }
            Parameter::Named(named) => named,
        };
        let (name, ty, text) = (&named.name, &named.ty, named.name.unraw().to_string());
        let value = match (inside(ty, "Option"), &named.default) {
            (Some(_), _) => quote!(__call.optional_variable(#text)),
            (None, Some(default)) => {
                let default = default_value(default);
                quote!(__call.optional_variable(#text).map(|value| value.unwrap_or_else(|| #default)))
            }
            (None, None) => quote!(__call.variable(#text)),
        };
        take.extend(quote! {
            let #name: #ty = match #value {
                ::core::result::Result::Ok(value) => value,
                ::core::result::Result::Err(refused) => return refused,
            };
        });
    }
    Ok(take)
}

/// A default of the argument's own type: numbers and truths as they are, text and lists turned into it.
fn default_value(default: &Expr) -> TokenStream {
    let number = match default {
        Expr::Unary(negated) => &negated.expr,
        other => other,
    };
    match number {
        Expr::Lit(literal) if matches!(literal.lit, Lit::Int(_) | Lit::Float(_) | Lit::Bool(_)) => quote!(#default),
        _ => quote!(::core::convert::From::from(#default)),
    }
}
