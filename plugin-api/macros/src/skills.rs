//! Skills as part of the library: read and checked when the plugin is compiled.

use proc_macro2::TokenStream;
use syn::{Error, LitStr, Result};

/// The code that adds the skills of a folder beside the plugin's `Cargo.toml`.
#[cfg(feature = "skills")]
pub(crate) fn embedded(folder: &LitStr) -> Result<TokenStream> {
    use mcp_plugin_skills::{digest, mime_type, read_folder};
    use quote::quote;
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from).unwrap_or_default();
    // The first part of the URIs, so that files of two plugins are never the same.
    let home = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let refused = |error| Error::new_spanned(folder, error);
    let skills = read_folder(&root.join(folder.value())).map_err(refused)?;
    let skills = skills.into_iter().collect::<std::result::Result<Vec<_>, _>>().map_err(refused)?;
    let added = skills.iter().map(|skill| {
        let uri = format!("skill://{home}/{}", skill.name);
        let files: Vec<_> = skill
            .files
            .iter()
            .map(|(path, bytes)| {
                serde_json::json!({
                    "path": path,
                    "digest": digest(bytes),
                    "size": bytes.len(),
                    "mimeType": mime_type(path),
                })
            })
            .collect();
        let definition =
            serde_json::json!({"uri": uri, "frontmatter": skill.frontmatter, "files": files}).to_string();
        let files = skill.files.keys().map(|path| {
            let (uri, mime_type) = (format!("{uri}/{path}"), mime_type(path));
            let inside = format!("/{}/{path}", inside(&root, folder, &skill.name));
            quote!((#uri, #mime_type, ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #inside))))
        });
        quote!(items.skill(private::EmbeddedSkill { definition: #definition, files: &[#(#files),*] });)
    });
    Ok(quote!(#(#added)*))
}

/// The folder of a skill: the named one may be the skill itself.
#[cfg(feature = "skills")]
fn inside(root: &std::path::Path, folder: &LitStr, skill: &str) -> String {
    let folder = folder.value().trim_end_matches('/').to_owned();
    if root.join(&folder).join(mcp_plugin_skills::SKILL_FILE).is_file() { folder } else { format!("{folder}/{skill}") }
}

/// Without the feature, the option cannot be served.
#[cfg(not(feature = "skills"))]
pub(crate) fn embedded(folder: &LitStr) -> Result<TokenStream> {
    Err(Error::new_spanned(folder, "enable the feature `skills` of `mcp-plugin-api` for this"))
}
