//! The context of a call: what is lent for it, made foreign-safe.

use super::library::lent;
use crate::plugin::lent::{LentCall, Requested, failed};
use mcp_plugin_api::abi::foreign::{FfiFuture, ROption, RSlice, RStr, RVec};
use mcp_plugin_api::abi::{CallApi, Failure, Reply, failure, into_foreign};

/// What is lent, as it crosses the boundary. The plugin drops it when the call is truly over.
pub(super) struct CallSide<C>(pub(super) C);

impl<C: LentCall> CallApi for CallSide<C> {
    fn is_cancelled(&self) -> bool {
        lent("is_cancelled", || self.0.is_cancelled())
    }

    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>) {
        lent("notify", || self.0.notify(op.as_str(), payload.as_slice()));
    }

    fn request(&self, op: RStr<'_>, payload: RSlice<'_, u8>) -> FfiFuture<Reply> {
        match lent("request", || Some(self.0.request(op.as_str(), payload.as_slice()))) {
            Some(Requested::Ready(result)) => {
                let reply = reply(result);
                into_foreign(async move { reply })
            }
            Some(Requested::Later(future)) => into_foreign(async move { reply(future.await) }),
            None => into_foreign(async { Reply::RErr(failed(failure::INTERNAL, "the host failed", None)) }),
        }
    }

    fn query(&self, op: RStr<'_>) -> ROption<RVec<u8>> {
        lent("query", || self.0.query(op.as_str())).map(RVec::from).into()
    }
}

fn reply(result: Result<Vec<u8>, Failure>) -> Reply {
    match result {
        Ok(bytes) => Reply::ROk(bytes.into()),
        Err(failure) => Reply::RErr(failure),
    }
}
