//! What a marked function looks like: who runs it, what it takes, what it gives.

use crate::attributes::{Mark, Options};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Error, Expr, FnArg, GenericArgument, Ident, ImplItemFn, Pat, PathArguments, Receiver, ReceiverKind,
    Result, ReturnType, Type,
};

/// How a function is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Async,
    Blocking,
    Inline,
}

/// One parameter besides `&self`.
pub(crate) enum Parameter {
    /// `&Context` or `Context`.
    Context { by_reference: bool },
    /// `Args(pattern): Args<T>`.
    Args { ty: Box<Type> },
    /// An argument of its own.
    Named(Box<Named>),
}

pub(crate) struct Named {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) default: Option<Expr>,
}

/// What a function gives.
pub(crate) struct Output {
    /// The type, or the one inside `Result`.
    pub(crate) ty: Type,
    pub(crate) is_result: bool,
}

/// A function that answers calls.
pub(crate) struct Function {
    pub(crate) name: Ident,
    pub(crate) mode: Mode,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

impl Function {
    /// Reads the function, and takes from its parameters what only the macro understands.
    pub(crate) fn read(mark: Mark, options: &Options, item: &mut ImplItemFn) -> Result<Self> {
        let signature = &mut item.sig;
        let what = mark.name();
        if let Some(generic) = signature.generics.params.first() {
            return Err(Error::new_spanned(generic, format!("a {what} cannot be generic; name the types")));
        }
        let inline = options.flag("inline")?.unwrap_or(false);
        let mode = match (&signature.asyncness, inline) {
            (Some(keyword), true) => {
                return Err(Error::new_spanned(
                    keyword,
                    "an inline function is ready at once and cannot be async: remove `async` or `inline`",
                ));
            }
            (Some(_), false) => Mode::Async,
            (None, true) => Mode::Inline,
            (None, false) => Mode::Blocking,
        };
        check_receiver(what, signature.receiver(), signature.ident.span())?;
        let parameters = signature.inputs.iter_mut().filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => Some(parameter(typed)),
        });
        let parameters = parameters.collect::<Result<Vec<_>>>()?;
        Ok(Self { name: signature.ident.clone(), mode, parameters, output: Output::of(&signature.output) })
    }

    /// The arguments that clients send one by one.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Named> {
        self.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Named(named) => Some(&**named),
            _ => None,
        })
    }

    /// The call of the function, and how it is run. The arguments are in scope under their names; `work` turns
    /// `__result`, a value of the function's type, into a reply.
    pub(crate) fn run(&self, work: &TokenStream) -> TokenStream {
        let name = &self.name;
        let arguments = self.parameters.iter().map(|parameter| match parameter {
            Parameter::Context { by_reference: true } => quote!(&__context),
            Parameter::Context { by_reference: false } => quote!(::core::clone::Clone::clone(&__context)),
            Parameter::Args { .. } => quote!(::mcp_plugin_api::Args(__arguments)),
            Parameter::Named(named) => {
                let name = &named.name;
                quote!(#name)
            }
        });
        match self.mode {
            Mode::Async => quote! {
                __call.run_async(move |__plugin, __context| async move {
                    let _ = &__context;
                    let __result = __plugin.#name(#(#arguments),*).await;
                    #work
                })
            },
            mode => {
                let run = if mode == Mode::Inline { quote!(run_inline) } else { quote!(run_blocking) };
                let context = if self.takes_context_by_value_or_reference() {
                    quote!(let __context = ::core::clone::Clone::clone(__context);)
                } else {
                    quote!(let _ = __context;)
                };
                quote! {
                    __call.#run(move |__plugin, __context| {
                        #context
                        let __result = __plugin.#name(#(#arguments),*);
                        #work
                    })
                }
            }
        }
    }

    fn takes_context_by_value_or_reference(&self) -> bool {
        self.parameters.iter().any(|parameter| matches!(parameter, Parameter::Context { .. }))
    }
}

fn check_receiver(what: &str, receiver: Option<&Receiver>, span: Span) -> Result<()> {
    match receiver {
        None => Err(Error::new(span, format!("a {what} takes `&self` first"))),
        Some(receiver) => match receiver.kind {
            ReceiverKind::Reference(_, _, None) => Ok(()),
            ReceiverKind::Reference(..) => Err(Error::new_spanned(
                receiver,
                format!("a {what} takes `&self`: calls run side by side, so keep what changes behind a `Mutex`"),
            )),
            _ => Err(Error::new_spanned(receiver, format!("a {what} takes `&self`"))),
        },
    }
}

fn parameter(typed: &mut syn::PatType) -> Result<Parameter> {
    if let Some(by_reference) = is_context(&typed.ty) {
        return Ok(Parameter::Context { by_reference });
    }
    if let Some(ty) = inside(&typed.ty, "Args") {
        return Ok(Parameter::Args { ty: Box::new(ty) });
    }
    if let Type::Reference(reference) = &*typed.ty {
        return Err(Error::new_spanned(
            reference,
            "an argument is owned: write `String` for `&str`, `Vec<T>` for `&[T]`, and `T` for `&T`",
        ));
    }
    let Pat::Ident(pattern) = &*typed.pat else {
        return Err(Error::new_spanned(
            &typed.pat,
            "an argument needs a name; for one type with all arguments write `Args(it): Args<YourType>`",
        ));
    };
    let mut attributes = Vec::new();
    let mut default = None;
    for attribute in typed.attrs.drain(..) {
        if attribute.path().is_ident("default") {
            default = Some(
                attribute
                    .parse_args::<Expr>()
                    .map_err(|error| Error::new(error.span(), "give the default a value: `#[default(3)]`"))?,
            );
        } else {
            attributes.push(attribute);
        }
    }
    Ok(Parameter::Named(Box::new(Named { name: pattern.ident.clone(), ty: (*typed.ty).clone(), attributes, default })))
}

fn is_context(ty: &Type) -> Option<bool> {
    let (ty, by_reference) = match ty {
        Type::Reference(reference) => (&*reference.elem, true),
        other => (other, false),
    };
    ends_with(ty, "Context").then_some(by_reference)
}

/// Whether a type's path ends with a name.
pub(crate) fn ends_with(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == name))
}

/// The first type argument of a type whose path ends with a name.
pub(crate) fn inside(ty: &Type, name: &str) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if last.ident != name {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

impl Output {
    pub(crate) fn of(output: &ReturnType) -> Self {
        match output {
            ReturnType::Default => Self { ty: syn::parse_quote!(()), is_result: false },
            ReturnType::Type(_, ty) => match inside(ty, "Result") {
                Some(inner) => Self { ty: inner, is_result: true },
                None => Self { ty: (**ty).clone(), is_result: false },
            },
        }
    }

    /// The function's `result` as a `Result` with the crate's error.
    pub(crate) fn as_result(&self) -> TokenStream {
        if self.is_result {
            quote!(__result.map_err(::core::convert::Into::<::mcp_plugin_api::Error>::into))
        } else {
            quote!(::core::result::Result::<_, ::mcp_plugin_api::Error>::Ok(__result))
        }
    }
}
