//! The options that authors write in attributes.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, Lit, LitBool, LitStr, Meta, Result, Token, parenthesized};

/// What a marked function is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Tool,
    Resource,
    Resources,
    Prompt,
    Complete,
    Start,
    Stop,
}

impl Mark {
    const ALL: [(&'static str, Self); 7] = [
        ("tool", Self::Tool),
        ("resource", Self::Resource),
        ("resources", Self::Resources),
        ("prompt", Self::Prompt),
        ("complete", Self::Complete),
        ("start", Self::Start),
        ("stop", Self::Stop),
    ];

    pub(crate) fn of(attribute: &Attribute) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| attribute.path().is_ident(name)).map(|(_, mark)| *mark)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mark)| *mark == self).map_or("", |(name, _)| name)
    }

    /// The options that the mark takes.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &[
                "name",
                "title",
                "inline",
                "read_only",
                "destructive",
                "idempotent",
                "open_world",
                "icon",
                "input_schema",
                "output_schema",
                "meta",
                "ui",
                "single_use",
                "task",
                "restart",
                "asks_first",
            ],
            Self::Resource => {
                &["name", "title", "mime", "inline", "icon", "priority", "size", "meta", "app", "cache", "single_use"]
            }
            Self::Prompt => &["name", "title", "inline", "icon", "single_use"],
            Self::Complete => &["prompt", "template", "argument", "inline"],
            Self::Resources | Self::Start | Self::Stop => &[],
        }
    }
}

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The text that stands without a name, such as a resource's URI.
    pub(crate) text: Option<LitStr>,
    named: Vec<(Ident, Value)>,
    /// `meta("key" = value)`.
    pub(crate) meta: Vec<(LitStr, Expr)>,
}

enum Value {
    Flag,
    Expr(Expr),
}

impl Options {
    /// Reads the options of a mark.
    pub(crate) fn of(mark: Mark, attribute: &Attribute) -> Result<Self> {
        let options = match &attribute.meta {
            Meta::Path(_) => Self::default(),
            Meta::List(list) => list.parse_args::<Self>()?,
            Meta::NameValue(pair) => {
                return Err(Error::new_spanned(pair, format!("write `#[{}(...)]`", mark.name())));
            }
        };
        options.check(mark.options(), &format!("#[{}]", mark.name()))?;
        if let Some(text) = &options.text
            && mark != Mark::Resource
        {
            return Err(Error::new_spanned(text, format!("`#[{}]` takes no bare text", mark.name())));
        }
        Ok(options)
    }

    /// Refuses options that are not `known`.
    pub(crate) fn check(&self, known: &[&str], of: &str) -> Result<()> {
        for (name, _) in &self.named {
            if !known.contains(&name.to_string().as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Error::new_spanned(name, format!("`{name}` is no option of `{of}`; it takes: {known}")));
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&(Ident, Value)> {
        self.named.iter().find(|(ident, _)| ident == name)
    }

    /// Where an option stands.
    pub(crate) fn name(&self, name: &str) -> Option<&Ident> {
        self.find(name).map(|(ident, _)| ident)
    }

    /// An option whose value is any expression.
    pub(crate) fn expr(&self, name: &str) -> Result<Option<&Expr>> {
        match self.find(name) {
            None => Ok(None),
            Some((_, Value::Expr(expr))) => Ok(Some(expr)),
            Some((ident, Value::Flag)) => Err(Error::new_spanned(ident, format!("give it a value: `{name} = ...`"))),
        }
    }

    /// An option whose value is text.
    pub(crate) fn string(&self, name: &str) -> Result<Option<LitStr>> {
        match self.expr(name)? {
            None => Ok(None),
            Some(Expr::Lit(literal)) if matches!(literal.lit, Lit::Str(_)) => match &literal.lit {
                Lit::Str(text) => Ok(Some(text.clone())),
                _ => Ok(None),
            },
            Some(other) => Err(Error::new_spanned(other, format!("write text: `{name} = \"...\"`"))),
        }
    }

    /// An option that is there, or has the value `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.find(name) {
            None => Ok(None),
            Some((_, Value::Flag)) => Ok(Some(true)),
            Some((_, Value::Expr(Expr::Lit(literal)))) if matches!(literal.lit, Lit::Bool(_)) => {
                Ok(Some(matches!(&literal.lit, Lit::Bool(LitBool { value: true, .. }))))
            }
            Some((ident, Value::Expr(_))) => {
                Err(Error::new_spanned(ident, format!("write `{name}`, `{name} = true` or `{name} = false`")))
            }
        }
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            if input.peek(LitStr) {
                let text: LitStr = input.parse()?;
                if options.text.is_some() {
                    return Err(Error::new_spanned(text, "one text is enough"));
                }
                options.text = Some(text);
            } else {
                let name: Ident = input.call(Ident::parse_any)?;
                if name == "meta" {
                    let body;
                    parenthesized!(body in input);
                    let pairs = Punctuated::<MetaPair, Token![,]>::parse_terminated(&body)?;
                    options.meta.extend(pairs.into_iter().map(|pair| (pair.key, pair.value)));
                } else if input.peek(Token![=]) {
                    input.parse::<Token![=]>()?;
                    options.named.push((name, Value::Expr(input.parse()?)));
                } else {
                    options.named.push((name, Value::Flag));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

struct MetaPair {
    key: LitStr,
    value: Expr,
}

impl Parse for MetaPair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { key, value: input.parse()? })
    }
}

/// A doc comment as title and description.
pub(crate) struct Doc {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
}

impl Doc {
    pub(crate) fn of(attributes: &[Attribute]) -> Self {
        let lines: Vec<String> = attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc"))
            .filter_map(|attribute| match &attribute.meta {
                Meta::NameValue(pair) => match &pair.value {
                    Expr::Lit(literal) => match &literal.lit {
                        Lit::Str(text) => Some(text.value()),
                        _ => None,
                    },
                    _ => None,
                },
                _ => None,
            })
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let (title, rest) = match lines.split_first() {
            Some((first, rest)) if first.starts_with("# ") => (Some(first[2..].trim().to_owned()), rest),
            _ => (None, lines.as_slice()),
        };
        let description = rest.join("\n").trim().to_owned();
        Self { title, description: (!description.is_empty()).then_some(description) }
    }
}

/// Refuses names that a protocol or a client would refuse.
pub(crate) fn check_name(what: &str, name: &str, span: Span) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
        return Err(Error::new(
            span,
            format!("'{name}' cannot name a {what}: use 1 to 64 of A-Z, a-z, 0-9, '_', '-' and '.'"),
        ));
    }
    Ok(())
}
