//! The code of a plugin.

use crate::arguments::{take_variables, tool_arguments};
use crate::attributes::{Doc, Mark, Options, check_name};
use crate::function::{Function, Output, ends_with, inside};
use crate::quoted::{APP_MIME_TYPE, check_page, icons, metas, quoted, some, task, tool_hints, wants};
use crate::skills;
use crate::uri;
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use std::collections::HashSet;
use syn::ext::IdentExt as _;
use syn::{Attribute, Error, FnArg, ImplItem, ImplItemFn, ItemImpl, LitStr, Result, Type, parse2};

/// Expands `#[plugin(...)]`.
pub(crate) fn plugin(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let whole = item.clone();
    let mut block: ItemImpl = parse2(item).map_err(|error| {
        // What is wrong inside of a block is told where it is wrong.
        let is_block = whole.clone().into_iter().any(|token| matches!(token, TokenTree::Ident(word) if word == "impl"));
        if is_block {
            return error;
        }
        Error::new_spanned(&whole, "put `#[plugin]` on an `impl` block: `#[plugin] impl MyPlugin { ... }`")
    })?;
    if let Some((path, _)) = &block.trait_ {
        return Err(Error::new_spanned(path, "put `#[plugin]` on the type's own `impl` block, not on one of a trait"));
    }
    if let Some(generic) = block.generics.params.first() {
        return Err(Error::new_spanned(generic, "a plugin cannot be generic: a library exports one plugin"));
    }
    let options: Options = parse2(options)?;
    options.check(&["name", "version", "description", "instructions", "cache", "skills", "wants"], "#[plugin]")?;
    let mut code = Code::default();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            code.read(function)?;
        }
    }
    code.check_references()?;
    code.write(&options, &block)
}

/// Expands `#[model]`.
pub(crate) fn model(item: TokenStream) -> Result<TokenStream> {
    let parsed: syn::DeriveInput =
        parse2(item.clone()).map_err(|_| Error::new_spanned(&item, "put `#[model]` on a `struct` or an `enum`"))?;
    Ok(quote! {
        #[derive(
            ::mcp_plugin_api::serde::Serialize,
            ::mcp_plugin_api::serde::Deserialize,
            ::mcp_plugin_api::schemars::JsonSchema,
        )]
        #[serde(crate = "::mcp_plugin_api::serde")]
        #[schemars(crate = "::mcp_plugin_api::schemars")]
        #parsed
    })
}

/// What the marked functions come to.
#[derive(Default)]
struct Code {
    items: Vec<TokenStream>,
    start: Option<TokenStream>,
    stop: Option<TokenStream>,
    config: Option<Type>,
    names: HashSet<String>,
    /// What completions and pages refer to, checked when all items are known.
    referred: Vec<(&'static str, LitStr)>,
}

impl Code {
    /// Reads a function, and takes from it what only this macro understands.
    fn read(&mut self, function: &mut ImplItemFn) -> Result<()> {
        let Some((mark, attribute)) = take_mark(&mut function.attrs)? else {
            return Ok(());
        };
        let options = Options::of(mark, &attribute)?;
        match mark {
            Mark::Tool => self.tool(&options, function),
            Mark::Resource => self.resource(&options, &attribute, function),
            Mark::Resources => self.resources(function),
            Mark::Prompt => self.prompt(&options, function),
            Mark::Complete => self.complete(&options, &attribute, function),
            Mark::Start => self.start(function),
            Mark::Stop => self.stop(function),
        }
    }

    /// Refuses a second item of one kind and name.
    fn claim(&mut self, what: &str, name: &LitStr) -> Result<()> {
        if self.names.insert(format!("{what} {}", name.value())) {
            return Ok(());
        }
        Err(Error::new_spanned(name, format!("this plugin has a {what} '{}' already", name.value())))
    }

    /// Refuses completions and pages of what the plugin does not have.
    fn check_references(&self) -> Result<()> {
        for (what, name) in &self.referred {
            if !self.names.contains(&format!("{what} {}", name.value())) {
                return Err(Error::new_spanned(name, format!("this plugin has no {what} '{}'", name.value())));
            }
        }
        Ok(())
    }

    fn tool(&mut self, options: &Options, item: &mut ImplItemFn) -> Result<()> {
        let function = Function::read(Mark::Tool, options, item)?;
        let name = name_of(options, item)?;
        check_name("tool", &name.value(), name.span())?;
        self.claim("tool", &name)?;
        let (title, description) = about(options, item)?;
        if description.is_none() {
            return Err(Error::new_spanned(
                &item.sig.ident,
                "a tool needs a doc comment: `/// What it does.` is what the model reads",
            ));
        }
        let (title, description) = (quoted(title.as_ref()), quoted(description.as_ref()));
        let (declaration, input, take) = tool_arguments(&function)?;
        let Output { ty, .. } = &function.output;
        let mut tool = quote! {
            private::Tool::new(
                #name,
                &private::of_arguments::<#input>(),
                (&private::Probe::<#ty>::NEW).output_schema().as_ref(),
            )
            .about(#title, #description)
        };
        let hints = tool_hints(options)?;
        tool.extend(quote!(.hints(#hints)));
        if let Some(icon) = options.string("icon")? {
            tool.extend(quote!(.icon(#icon)));
        }
        if let Some(schema) = options.expr("input_schema")? {
            tool.extend(quote!(.input_schema(#schema)));
        }
        if let Some(schema) = options.expr("output_schema")? {
            tool.extend(quote!(.output_schema(#schema)));
        }
        for (key, value) in &options.meta {
            tool.extend(quote!(.meta(#key, #value)));
        }
        if let Some(page) = options.string("ui")? {
            check_page(&page)?;
            self.referred.push(("resource", page.clone()));
            tool.extend(quote!(.page(#page)));
        }
        let single_use = options.flag("single_use")?.unwrap_or(false);
        tool.extend(quote!(.single_use(#single_use)));
        if let Some(task) = task(options)? {
            tool.extend(quote!(.task(#task)));
        }
        let result = function.output.as_result();
        let run = function.run(&quote! {
            private::tool_work(#result.and_then(|value| (&private::Probe::<#ty>::NEW).tool_result(value)))
        });
        self.items.push(quote! {{
            #declaration
            items.tool(#tool, |__call| {
                #take
                #run
            });
        }});
        Ok(())
    }

    fn resource(&mut self, options: &Options, attribute: &Attribute, item: &mut ImplItemFn) -> Result<()> {
        let Some(uri) = &options.text else {
            return Err(Error::new_spanned(attribute, "give the resource a URI: `#[resource(\"notes://all\")]`"));
        };
        let function = Function::read(Mark::Resource, options, item)?;
        self.claim("resource", uri)?;
        let parameters = uri::parameters(&uri.value()).map_err(|reason| Error::new_spanned(uri, reason))?;
        for named in function.named() {
            if !parameters.iter().any(|parameter| named.name == parameter) {
                let message = format!("the URI has no parameter `{{{}}}`: add it, or remove this argument", named.name);
                return Err(Error::new_spanned(&named.name, message));
            }
        }
        for parameter in &parameters {
            if !function.named().any(|named| named.name == parameter) {
                let message =
                    format!("the function does not take `{parameter}`: add the argument `{parameter}: String`");
                return Err(Error::new_spanned(uri, message));
            }
        }
        let name = name_of(options, item)?;
        let (title, description) = about(options, item)?;
        let (title, description) = (quoted(title.as_ref()), quoted(description.as_ref()));
        let app = options.flag("app")?.unwrap_or(false);
        let mime = match options.string("mime")? {
            None if app => Some(APP_MIME_TYPE.to_owned()),
            Some(mime) if app => return Err(Error::new_spanned(mime, "`app` says the media type already")),
            mime => mime.map(|mime| mime.value()),
        };
        if app {
            check_page(uri)?;
        }
        let mime_type = quoted(mime.as_ref());
        let meta = metas(options);
        let single_use = options.flag("single_use")?.unwrap_or(false);
        let cache = some(options.expr("cache")?);
        let icons = icons(options)?;
        let priority = match options.expr("priority")? {
            None => quote!(::core::option::Option::None),
            Some(priority) => quote! {
                ::core::option::Option::Some(::mcp_plugin_api::Annotations {
                    priority: ::core::option::Option::Some(#priority),
                    ..::core::default::Default::default()
                })
            },
        };
        let take = take_variables(&function)?;
        let result = function.output.as_result();
        let run = function.run(&quote!(private::resource_work(&__uri, #mime_type, #meta, #result)));
        let common = quote! {
            name: #name.to_owned(),
            title: #title.map(str::to_owned),
            description: #description.map(str::to_owned),
            mime_type: #mime_type.map(str::to_owned),
            icons: #icons,
            annotations: #priority,
            meta: #meta,
            single_use: #single_use,
            cache: #cache,
            ..::core::default::Default::default()
        };
        let run = quote!(|__call| { #take let __uri = __call.name().to_owned(); #run });
        self.items.push(if parameters.is_empty() {
            let size = match options.expr("size")? {
                None => quote!(),
                Some(size) => quote!(size: ::core::option::Option::Some(#size),),
            };
            quote!(items.resource(private::ResourceDefinition { uri: #uri.to_owned(), #size #common }, #run);)
        } else {
            quote!(items.template(private::TemplateDefinition { uri_template: #uri.to_owned(), #common }, #run);)
        });
        Ok(())
    }

    fn resources(&mut self, item: &mut ImplItemFn) -> Result<()> {
        let name = &item.sig.ident;
        if item.sig.asyncness.is_some() || item.sig.inputs.len() != 1 || item.sig.receiver().is_none() {
            return Err(Error::new_spanned(name, "write `#[resources] fn list(&self) -> Result<Vec<Resource>>`"));
        }
        self.items.push(quote!(items.dynamic_resources(Self::#name);));
        Ok(())
    }

    fn prompt(&mut self, options: &Options, item: &mut ImplItemFn) -> Result<()> {
        let function = Function::read(Mark::Prompt, options, item)?;
        let name = name_of(options, item)?;
        check_name("prompt", &name.value(), name.span())?;
        self.claim("prompt", &name)?;
        let (title, description) = about(options, item)?;
        if description.is_none() {
            return Err(Error::new_spanned(
                &item.sig.ident,
                "a prompt needs a doc comment: `/// What it is for.` is what people choose by",
            ));
        }
        let (title, description) = (quoted(title.as_ref()), quoted(description.as_ref()));
        let icons = icons(options)?;
        let arguments = function.named().map(|named| {
            let argument = named.name.unraw().to_string();
            let Doc { title, description } = Doc::of(&named.attributes);
            let (title, description) = (quoted(title.as_ref()), quoted(description.as_ref()));
            let required = inside(&named.ty, "Option").is_none() && named.default.is_none();
            quote! {
                private::PromptArgument {
                    name: #argument.to_owned(),
                    title: #title.map(str::to_owned),
                    description: #description.map(str::to_owned),
                    required: #required,
                }
            }
        });
        let arguments = quote!(::std::vec![#(#arguments),*]);
        let single_use = options.flag("single_use")?.unwrap_or(false);
        let take = take_variables(&function)?;
        let result = function.output.as_result();
        let run = function.run(&quote!(private::prompt_work(#result)));
        self.items.push(quote! {
            items.prompt(
                private::PromptDefinition {
                    name: #name.to_owned(),
                    title: #title.map(str::to_owned),
                    description: #description.map(str::to_owned),
                    arguments: #arguments,
                    icons: #icons,
                    single_use: #single_use,
                    ..::core::default::Default::default()
                },
                |mut __call| {
                    if let ::core::result::Result::Err(refused) = __call.read_prompt_arguments() {
                        return refused;
                    }
                    #take
                    #run
                },
            );
        });
        Ok(())
    }

    fn complete(&mut self, options: &Options, attribute: &Attribute, item: &mut ImplItemFn) -> Result<()> {
        const FORM: &str = "write `#[complete(prompt = \"...\", argument = \"...\")]`, or `template = \"...\"`";
        let (kind, what, name) = match (options.string("prompt")?, options.string("template")?) {
            (Some(name), None) => (quote!(Prompt), "prompt", name),
            (None, Some(name)) => (quote!(Template), "resource", name),
            _ => return Err(Error::new_spanned(attribute, FORM)),
        };
        self.referred.push((what, name.clone()));
        let argument = options.string("argument")?.ok_or_else(|| Error::new_spanned(attribute, FORM))?;
        let function = Function::read(Mark::Complete, options, item)?;
        let mut named = function.named();
        let Some(typed) = named.next() else {
            return Err(Error::new_spanned(
                &item.sig.ident,
                "a completion takes what was typed: `fn complete(&self, typed: String) -> Vec<String>`",
            ));
        };
        let typed = &typed.name;
        let mut take = quote!(let #typed = __call.typed(););
        if let Some(others) = named.next() {
            let others = &others.name;
            take.extend(quote!(let #others = __call.others();));
        }
        let result = function.output.as_result();
        let run = function.run(&quote!(private::completion_work(#result)));
        self.items.push(quote! {
            items.completion(
                private::CompletionOf { kind: private::CompletionKind::#kind, name: #name, argument: #argument },
                |__call| { #take #run },
            );
        });
        Ok(())
    }

    fn start(&mut self, item: &mut ImplItemFn) -> Result<()> {
        const FORM: &str = "write `#[start] fn start(config: YourConfig, host: Host) -> Result<Self>`; \
                            both arguments may be left out";
        if self.start.is_some() {
            return Err(Error::new_spanned(&item.sig.ident, "a plugin has one `#[start]`"));
        }
        let mut arguments = Vec::new();
        let mut prepare = quote!();
        for input in &item.sig.inputs {
            let FnArg::Typed(typed) = input else {
                return Err(Error::new_spanned(input, FORM));
            };
            if ends_with(&typed.ty, "Host") {
                arguments.push(quote!(host));
            } else if self.config.is_none() {
                let ty = &*typed.ty;
                prepare = quote!(let config: #ty = private::decode_config(config)?;);
                arguments.push(quote!(config));
                self.config = Some(ty.clone());
            } else {
                return Err(Error::new_spanned(typed, FORM));
            }
        }
        let name = &item.sig.ident;
        let wait = item.sig.asyncness.map(|_| quote!(.await));
        let result = Output::of(&item.sig.output).as_result();
        self.start = Some(quote! {
            #prepare
            let __result = Self::#name(#(#arguments),*) #wait;
            #result
        });
        Ok(())
    }

    fn stop(&mut self, item: &mut ImplItemFn) -> Result<()> {
        if self.stop.is_some() || item.sig.inputs.len() != 1 || item.sig.receiver().is_none() {
            return Err(Error::new_spanned(&item.sig.ident, "write one `#[stop] async fn stop(&self)`"));
        }
        let name = &item.sig.ident;
        let wait = item.sig.asyncness.map(|_| quote!(.await));
        self.stop = Some(quote!(let _ = self.#name() #wait;));
        Ok(())
    }

    fn write(self, options: &Options, block: &ItemImpl) -> Result<TokenStream> {
        let ty = &block.self_ty;
        let text = |name: &str, otherwise: TokenStream| -> Result<TokenStream> {
            Ok(options.expr(name)?.map_or(otherwise, ToTokens::to_token_stream))
        };
        if let Some(name) = options.string("name")? {
            check_name("plugin", &name.value(), name.span())?;
        }
        let name = text("name", quote!(::core::env!("CARGO_PKG_NAME")))?;
        let version = text("version", quote!(::core::env!("CARGO_PKG_VERSION")))?;
        let description = text("description", quote!(::core::env!("CARGO_PKG_DESCRIPTION")))?;
        let instructions = some(options.expr("instructions")?);
        let cache = some(options.expr("cache")?);
        let skills = match options.string("skills")? {
            None => quote!(),
            Some(folder) => skills::embedded(&folder)?,
        };
        let wants = wants(options)?;
        let (has_start, has_stop) = (self.start.is_some(), self.stop.is_some());
        let start = self
            .start
            .unwrap_or_else(|| quote!(::core::result::Result::Ok(<Self as ::core::default::Default>::default())));
        let stop = self.stop;
        let config_schema = match &self.config {
            None => quote!(::core::option::Option::None),
            Some(config) => quote!(::core::option::Option::Some(private::of_arguments::<#config>())),
        };
        let items = &self.items;
        Ok(quote! {
            #block

            const _: () = {
                use ::mcp_plugin_api::__private as private;
                #[allow(unused_imports, reason = "which of them is used depends on the returned types")]
                use private::{ViaContent as _, ViaStructured as _};

                impl private::Plugin for #ty {
                    const NAME: &'static str = #name;
                    const VERSION: &'static str = #version;
                    const INSTRUCTIONS: ::core::option::Option<&'static str> = #instructions;
                    const HAS_START: bool = #has_start;
                    const HAS_STOP: bool = #has_stop;
                    const CACHE: ::core::option::Option<::mcp_plugin_api::Cache> = #cache;

                    #[allow(unused_variables, reason = "not every plugin has a configuration")]
                    async fn start(config: &[u8], host: ::mcp_plugin_api::Host) -> ::mcp_plugin_api::Result<Self> {
                        #start
                    }

                    async fn stop(&self) {
                        #stop
                    }

                    fn config_schema() -> ::core::option::Option<::mcp_plugin_api::serde_json::Value> {
                        #config_schema
                    }

                    fn items() -> private::Items<Self> {
                        #[allow(unused_mut, reason = "a plugin may offer nothing")]
                        let mut items = private::Items::<Self>::new();
                        #(#items)*
                        #skills
                        items
                    }
                }
            };

            ::mcp_plugin_api::__export!(#ty, #name, #version, #description, #wants);
        })
    }
}

/// Takes the mark off a function; a second one is a mistake.
fn take_mark(attributes: &mut Vec<Attribute>) -> Result<Option<(Mark, Attribute)>> {
    let Some(index) = attributes.iter().position(|attribute| Mark::of(attribute).is_some()) else {
        return Ok(None);
    };
    let attribute = attributes.remove(index);
    if let Some(second) = attributes.iter().find(|attribute| Mark::of(attribute).is_some()) {
        return Err(Error::new_spanned(second, "a function has one mark; write a second function for the other"));
    }
    Ok(Mark::of(&attribute).map(|mark| (mark, attribute)))
}

fn name_of(options: &Options, item: &ImplItemFn) -> Result<LitStr> {
    let ident = &item.sig.ident;
    Ok(options.string("name")?.unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span())))
}

fn about(options: &Options, item: &ImplItemFn) -> Result<(Option<String>, Option<String>)> {
    let doc = Doc::of(&item.attrs);
    let title = options.string("title")?.map(|title| title.value()).or(doc.title);
    Ok((title, doc.description))
}
