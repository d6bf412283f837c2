//! JSON-RPC bytes: messages borrowed in, replies spliced out.
//!
//! In come the bytes of one HTTP body or of one line; out go borrowed messages whose params stay raw, and later the bytes
//! of a reply. This room knows no MCP method and no runtime, and it copies no params.

mod depth;
mod envelope;
mod id;
mod line;
mod outgoing;

pub use depth::exceeds_depth;
pub use envelope::{
    Incoming, MAX_BATCH, Message, Notification, ParseError, Request, Response, ResponseBody, Text, parse,
};
pub use id::Id;
pub use line::{Line, LineReader};
pub use outgoing::{error_reply, notification, request, result_reply, result_reply_with};

/// Codes of JSON-RPC 2.0 itself.
pub mod code {
    /// The bytes are not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The JSON is not a message, or not one that is allowed now.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The method does not exist here.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The params are not usable.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
}
