//! The plugin's `tracing` events and panics, on their way to the host's log.
//!
//! A library has its own copies of `std` and of `tracing`: the host's subscriber and panic hook never see it.

use crate::context::Context;
use crate::host::Host;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// The call that this thread works on, so that events can name it.
    static CALL: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Runs `body` as part of a call.
pub(crate) fn in_call<T>(context: &Context, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<Context>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            let _inner = CALL.try_with(|call| std::mem::replace(&mut *call.borrow_mut(), outer));
        }
    }
    // A thread that is ending has no place for it any more, and its events name no call.
    let outer = CALL.try_with(|call| call.borrow_mut().replace(context.clone()));
    let _restore = outer.map(Restore);
    body()
}

/// Whether this thread works on that call just now.
pub(crate) fn is_in_call(context: &Context) -> bool {
    CALL.try_with(|call| call.borrow().as_ref().is_some_and(|current| current.is_of(context))).unwrap_or(false)
}

fn call_id() -> Option<String> {
    let context = CALL.try_with(|call| call.borrow().clone()).ok().flatten()?;
    Some(context.call_id())
}

/// Sends the image's events and panics to `host` from now on. A second call does nothing.
pub(crate) fn install(host: &Host) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let hook = host.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let message = panic.payload_as_str().unwrap_or("a panic without a message");
            hook.log(1, &json!({"target": "panic", "message": message, "fields": {"at": place}, "call": call_id()}));
        }));
        let _ = tracing::subscriber::set_global_default(Forward { host: host.clone(), spans: AtomicU64::new(1) });
    });
}

struct Forward {
    host: Host,
    spans: AtomicU64,
}

fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.host.log_enabled(level_number(*metadata.level()), metadata.target())
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        self.host.log(
            level_number(*metadata.level()),
            &json!({
                "target": metadata.target(),
                "message": fields.message,
                "fields": fields.others,
                "call": call_id(),
            }),
        );
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
