//! Panics stop here: on the side where they began.
//!
//! A panic that reaches the boundary ends the process, whether in a method, in a poll, in the drop of a future or in the
//! drop of the panic's own payload. Every exported path goes through [`guard`] or [`GuardedFuture`].

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What is left of a panic: its message, when it was a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked(pub String);

impl Panicked {
    /// Takes the message out of a payload and drops the payload, whose drop may panic in turn.
    #[must_use]
    pub fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        drop_quietly(payload);
        Self(message)
    }
}

/// Runs `body`; a panic in it becomes a value.
///
/// # Errors
/// [`Panicked`] with the panic's message.
pub fn guard<T>(body: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(body)).map_err(Panicked::from_payload)
}

/// Drops `value`; if that panics, and its payload's drop panics too, the last payload is leaked.
fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value)))
        && let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        #[allow(clippy::mem_forget, reason = "a payload whose drop panics twice can only be leaked")]
        std::mem::forget(second);
    }
}

/// A boxed future whose polls and drop cannot panic.
pub struct GuardedFuture<T> {
    inner: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T> GuardedFuture<T> {
    /// Guards `future`.
    pub fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { inner: Some(Box::pin(future)) }
    }
}

impl<T> Future for GuardedFuture<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(Err(Panicked("polled after it was ready".to_owned())));
        };
        let polled = match guard(|| inner.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panicked) => Err(panicked),
        };
        drop_quietly(self.inner.take());
        Poll::Ready(polled)
    }
}

impl<T> Drop for GuardedFuture<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            drop_quietly(inner);
        }
    }
}
