//! The handshake of the stateful era (2025-era L-02, L-07).

use super::client::{Capabilities, Implementation};
use super::discover::capabilities;
use super::{ClientProfile, Dialect, Fault, Offered, read_params};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// What a client asks for when it opens a session.
#[derive(Debug)]
pub struct InitializeParams {
    /// What both sides will speak.
    pub dialect: &'static Dialect,
    /// Who the client is.
    pub client: ClientProfile,
}

impl InitializeParams {
    /// Reads the params of `initialize`.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when a member is missing or has the wrong type.
    pub fn read(params: Option<&RawValue>) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            protocol_version: String,
            capabilities: Capabilities,
            client_info: Implementation,
        }
        let params: Params = read_params(params)?;
        Ok(Self {
            dialect: Dialect::negotiate(&params.protocol_version),
            client: ClientProfile::new(params.client_info, &params.capabilities),
        })
    }
}

/// What the server says of itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// Its version.
    pub version: String,
    /// A line about it.
    pub description: Option<String>,
    /// Its page.
    pub website: Option<String>,
}

/// The server's name and version, and what a dialect has beside them.
pub(super) fn info(dialect: &Dialect, server: &ServerInfo) -> Map<String, Value> {
    let features = &dialect.features;
    let mut info = Map::new();
    info.insert("name".to_owned(), server.name.clone().into());
    info.insert("version".to_owned(), server.version.clone().into());
    let mut put = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            info.insert(key.to_owned(), value.clone().into());
        }
    };
    if features.third_wave {
        put("title", &server.title);
    }
    if features.fourth_wave {
        put("description", &server.description);
        put("websiteUrl", &server.website);
    }
    info
}

/// The result of `initialize`.
#[must_use]
pub fn initialize_result(dialect: &Dialect, server: &ServerInfo, offered: Offered<'_>) -> Value {
    let mut result = json!({
        "protocolVersion": dialect.revision,
        "capabilities": capabilities(dialect, offered),
        "serverInfo": info(dialect, server),
    });
    if let Some(instructions) = offered.instructions {
        result["instructions"] = instructions.into();
    }
    result
}
