//! A plugin with as many tools as its configuration says: `tools = 1000`; and one that does nothing, `fixed`. It speaks the ABI
//! by hand, since what a plugin declares is otherwise known when it is compiled.

use mcp_plugin_api::abi::foreign::{RSlice, RStr, RVec, TD_Opaque};
use mcp_plugin_api::abi::{
    CallContext, Failure, HostObject, Outcome, PluginApi, PluginObject, Reply, StartReply, failure,
};
use serde_json::{Value, json};

/// 64 bytes.
const FIXED: &[u8; 64] = br#"{"content":[{"type":"text","text":"always the same, 64 bytes"}]}"#;

struct Many {
    tools: u64,
}

impl PluginApi for Many {
    fn manifest(&self) -> RVec<u8> {
        let schema = json!({
            "type": "object",
            "properties": {
                "message": {"type": "string", "description": "What is said back."},
                "count": {"type": "integer", "description": "How often.", "minimum": 0},
            },
            "required": ["message"],
        });
        let tool = |number: u64| {
            json!({
                "name": format!("tool_{number:05}"),
                "description": format!("Says back what it is told, as number {number} of many tools that do the same."),
                "inputSchema": schema,
                "checksInput": true,
            })
        };
        let fixed = json!({
            "name": "fixed", "description": "Gives a fixed result.", "inputSchema": {"type": "object"}, "checksInput": true,
        });
        let tools: Vec<Value> = (1..self.tools).map(tool).chain([fixed]).collect();
        json!({ "tools": tools }).to_string().into_bytes().into()
    }

    fn call(&self, _op: RStr<'_>, name: RStr<'_>, payload: RSlice<'_, u8>, _context: CallContext) -> Outcome {
        if name.as_str() == "fixed" {
            return Outcome::Ready(Reply::ROk(FIXED.to_vec().into()));
        }
        let arguments: Value = serde_json::from_slice(payload.as_slice()).unwrap_or_default();
        let Some(message) = arguments["message"].as_str() else {
            return Outcome::Ready(Reply::RErr(failed("there is no message")));
        };
        let result = json!({"content": [{"type": "text", "text": message}]});
        Outcome::Ready(Reply::ROk(result.to_string().into_bytes().into()))
    }

    fn stop(&self, _grace_ms: u64) -> Outcome {
        Outcome::Ready(Reply::ROk(RVec::new()))
    }
}

fn failed(message: &str) -> Failure {
    Failure { kind: failure::INVALID_PARAMS.into(), message: message.into(), data: RVec::new() }
}

extern "C" fn start(_host: HostObject, config: RSlice<'_, u8>) -> StartReply {
    let config: Value = serde_json::from_slice(config.as_slice()).unwrap_or_default();
    StartReply::ROk(PluginObject::from_value(Many { tools: config["tools"].as_u64().unwrap_or(10) }, TD_Opaque))
}

mcp_plugin_api::__export_with!("many", "1.0.0", "A plugin with as many tools as its configuration says", "", start);
