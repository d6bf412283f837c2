//! Who asks.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Who asks, as far as the transport knows. What one asked belongs to that one: another who hands it in is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// Anyone who can reach the address.
    #[default]
    Anyone,
    /// Whoever started this process, over its standard input.
    Owner,
    /// A user, by the name that whoever knows gave them.
    User(Arc<str>),
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => formatter.write_str("anyone"),
            Self::Owner => formatter.write_str("owner"),
            Self::User(name) => write!(formatter, "user:{name}"),
        }
    }
}
