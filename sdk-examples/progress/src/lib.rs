//! Long work: how to tell how far it is, and how to stop when nobody waits any more.

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::tracing;
use std::time::Duration;

/// A counter.
#[derive(Default)]
pub struct Counter;

#[plugin]
impl Counter {
    /// Counts, one number every few milliseconds. An `async fn` needs nothing to be cancelled: it is dropped where it waits.
    #[tool]
    async fn count(
        &self,
        /** How far. */
        to: u32,
        ctx: &Context,
    ) -> String {
        for number in 1..=to {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ctx.progress_with(number.into(), f64::from(to), format!("counted to {number}"));
        }
        ctx.log(LogLevel::Info, "done counting");
        // For the operator, not for the client:
        tracing::info!(to, "counted");
        format!("counted to {to}")
    }

    /// Computes on a thread of its own. A plain `fn` cannot be dropped, so it looks now and then whether anyone waits.
    #[tool]
    fn sum(
        &self,
        /** Up to which number. */
        to: u64,
        ctx: &Context,
    ) -> Result<String> {
        let mut sum = 0_u64;
        for number in 1..=to {
            if number.is_multiple_of(1024) && ctx.is_cancelled() {
                return Err(Error::new("cancelled"));
            }
            sum = sum.wrapping_add(number);
        }
        Ok(sum.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Said, Script};

    #[test]
    fn progress_and_logs_are_told() {
        let (kit, script) = (Kit::start::<Counter>(json!({})).unwrap(), Script::new());
        kit.tool("count", json!({"to": 2}), &script).unwrap();
        assert_eq!(
            script.said(),
            [
                Said::Progress(1.0, Some(2.0), Some("counted to 1".to_owned())),
                Said::Progress(2.0, Some(2.0), Some("counted to 2".to_owned())),
                Said::Log(LogLevel::Info, "done counting".into()),
            ]
        );
    }

    #[test]
    fn a_cancelled_sum_stops() {
        let (kit, script) = (Kit::start::<Counter>(json!({})).unwrap(), Script::new());
        script.cancel();
        assert!(kit.tool("sum", json!({"to": u64::MAX}), &script).unwrap().is_error);
    }
}
