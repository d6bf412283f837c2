use mcp_plugin_api::prelude::*;
use std::time::Duration;

#[derive(Default)]
struct Starter;

#[plugin]
impl Starter {
    /// Counts, one step at a time. Clients that follow tasks may leave and come back for the result; all others wait for it.
    #[tool(task = "optional", restart = "rerun")]
    async fn count(
        &self,
        ctx: &Context,
        /** How far. */
        #[schemars(range(min = 1, max = 100_000))]
        to: u32,
    ) -> Result<String> {
        // Where an earlier run came to, if the host was stopped in the middle of it.
        let first = ctx.last_checkpoint::<u32>()?.unwrap_or(0);
        for step in first..to {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ctx.progress_with(
                f64::from(step + 1),
                f64::from(to),
                format!("{} of {to}", step + 1),
            );
            ctx.checkpoint(&(step + 1)).await?;
        }
        Ok(format!("counted to {to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Said, Script};

    #[test]
    fn a_task_that_was_left_behind_goes_on_where_it_was() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let script = Script::new().task_at(json!(2));
        assert_eq!(
            kit.tool("count", json!({"to": 3}), &script).unwrap().text(),
            "counted to 3"
        );
        let progress = Said::Progress(3.0, Some(3.0), Some("3 of 3".to_owned()));
        assert_eq!(script.said(), [progress, Said::Checkpoint(json!(3))]);
    }
}
