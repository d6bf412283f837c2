//! Messages of ours, spliced from raw parts: nothing is parsed or built as a tree.

use super::Id;
use bytes::Bytes;
use serde::Serialize;

/// The reply with a result, which is JSON already.
#[must_use]
pub fn result_reply(id: &Id, result: &[u8]) -> Bytes {
    const AROUND: usize = r#"{"jsonrpc":"2.0","id":,"result":}"#.len();
    let id = id.as_json().as_bytes();
    let mut reply = Vec::with_capacity(AROUND + id.len() + result.len());
    reply.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    reply.extend_from_slice(id);
    reply.extend_from_slice(br#","result":"#);
    reply.extend_from_slice(result);
    reply.push(b'}');
    reply.into()
}

/// The reply with a result that is an object already, and gets these further members in front. `members` are pieces of
/// `"key":value` text, written one after the other.
#[must_use]
pub fn result_reply_with(id: &Id, members: &[&[u8]], object: &[u8]) -> Bytes {
    const AROUND: usize = r#"{"jsonrpc":"2.0","id":,"result":{,}"#.len();
    let id = id.as_json().as_bytes();
    let added: usize = members.iter().map(|piece| piece.len()).sum();
    let mut reply = Vec::with_capacity(AROUND + id.len() + added + object.len());
    reply.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    reply.extend_from_slice(id);
    reply.extend_from_slice(br#","result":{"#);
    members.iter().for_each(|piece| reply.extend_from_slice(piece));
    let rest = object.trim_ascii().get(1..).unwrap_or(b"}").trim_ascii_start();
    if added > 0 && rest != b"}" {
        reply.push(b',');
    }
    reply.extend_from_slice(rest);
    reply.push(b'}');
    reply.into()
}

/// The reply with an error. Without an id it answers a message whose id could not be read (2025-era J-03).
#[must_use]
pub fn error_reply(id: Option<&Id>, code: i32, message: &str, data: Option<&[u8]>) -> Bytes {
    let mut reply = Vec::with_capacity(96 + message.len() + data.map_or(0, <[u8]>::len));
    reply.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    reply.extend_from_slice(id.map_or(b"null".as_slice(), |id| id.as_json().as_bytes()));
    reply.extend_from_slice(br#","error":{"code":"#);
    reply.extend_from_slice(code.to_string().as_bytes());
    reply.extend_from_slice(br#","message":"#);
    reply.extend_from_slice(&json(&message));
    if let Some(data) = data {
        reply.extend_from_slice(br#","data":"#);
        reply.extend_from_slice(data);
    }
    reply.extend_from_slice(b"}}");
    reply.into()
}

/// A notification of ours.
#[must_use]
pub fn notification(method: &str, params: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    struct Notification<'a, P> {
        jsonrpc: &'static str,
        method: &'a str,
        params: &'a P,
    }
    json(&Notification { jsonrpc: "2.0", method, params }).into()
}

/// A request of ours.
#[must_use]
pub fn request(id: u64, method: &str, params: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    struct Request<'a, P> {
        jsonrpc: &'static str,
        id: u64,
        method: &'a str,
        params: &'a P,
    }
    json(&Request { jsonrpc: "2.0", id, method, params }).into()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("messages of ours have string keys and no failing parts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replies_are_exact() {
        assert_eq!(result_reply(&Id::from(1), b"{}"), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert_eq!(
            error_reply(Some(&Id::from(1)), -32602, "no \"x\"", Some(b"[1]")),
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no \"x\"","data":[1]}}"#
        );
        assert_eq!(
            error_reply(None, -32700, "m", None),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#
        );
        let with = |members: &[&[u8]], object: &str| result_reply_with(&Id::from(1), members, object.as_bytes());
        assert_eq!(with(&[b"\"a\":1"], "{}"), r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#);
        assert_eq!(with(&[b"\"a\":1", b""], " { \"b\":2} "), r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"b":2}}"#);
        assert_eq!(with(&[b""], "{\"b\":2}"), r#"{"jsonrpc":"2.0","id":1,"result":{"b":2}}"#);
        assert_eq!(notification("n", &json!({"a": 1})), r#"{"jsonrpc":"2.0","method":"n","params":{"a":1}}"#);
        assert_eq!(request(3, "m", &json!({})), r#"{"jsonrpc":"2.0","id":3,"method":"m","params":{}}"#);
    }
}
