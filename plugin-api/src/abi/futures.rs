//! Futures on their way over the boundary.

use super::{Failure, GuardedFuture, Reply, failure};
use async_ffi::{FfiFuture, FutureExt};
use std::future::Future;

/// Makes a future foreign-safe: a panic in a poll becomes a [`Failure`], a panic in its drop ends there.
pub fn into_foreign(future: impl Future<Output = Reply> + Send + 'static) -> FfiFuture<Reply> {
    let guarded = GuardedFuture::new(future);
    async move {
        match guarded.await {
            Ok(reply) => reply,
            Err(panicked) => Reply::RErr(Failure {
                kind: failure::PANICKED.into(),
                message: panicked.0.into(),
                data: Vec::new().into(),
            }),
        }
    }
    .into_ffi()
}
