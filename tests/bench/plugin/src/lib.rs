//! The plugin that the benchmarks call: tools that do next to nothing, in the forms that tools have.

use mcp_plugin_api::prelude::*;
use std::time::Duration;

/// It keeps nothing.
#[derive(Default)]
pub struct Bench;

/// Arguments of several types, nested.
#[model]
struct Order {
    /// What is said back.
    message: String,
    /// How often it was asked for.
    count: u32,
    /// Where it goes.
    address: Option<Address>,
}

/// A place.
#[model]
struct Address {
    /// Street and number.
    street: String,
    /// The city.
    city: String,
}

#[plugin]
impl Bench {
    /// Says back what it is told.
    #[tool(inline, read_only)]
    fn echo(&self, message: String) -> String {
        message
    }

    /// Says back the message of an order, asynchronously.
    #[tool(read_only)]
    async fn typed(&self, Args(order): Args<Order>) -> String {
        drop(order.address);
        order.message
    }

    /// Adds two numbers.
    #[tool(inline, read_only)]
    fn add(&self, a: i64, b: i64) -> i64 {
        a.saturating_add(b)
    }

    /// Waits.
    #[tool(read_only)]
    async fn sleep_ms(&self, ms: u64) -> String {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        format!("slept {ms} ms")
    }
}
