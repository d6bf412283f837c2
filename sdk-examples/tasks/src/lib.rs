//! Work that outlives its request: how to let a tool become a task, and how to go on after a restart.

use mcp_plugin_api::prelude::*;
use std::time::Duration;

/// A librarian.
#[derive(Default)]
pub struct Librarian;

#[plugin]
impl Librarian {
    /// Indexes a shelf, book by book. Clients that follow tasks get one, and ask now and then how far it is; all others wait
    /// for the result. After a restart of the host it is run again, and goes on behind the last book.
    #[tool(task = "optional", restart = "rerun")]
    async fn index(
        &self,
        ctx: &Context,
        /** How many books there are. */
        books: u32,
    ) -> Result<String> {
        let first = ctx.last_checkpoint::<u32>()?.unwrap_or(0);
        for book in first..books {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ctx.progress_with((book + 1).into(), f64::from(books), format!("book {}", book + 1));
            ctx.checkpoint(&(book + 1)).await?;
        }
        Ok(format!("{books} books, from book {} on", first + 1))
    }

    /// Throws a shelf away. Doing that twice could do harm, so after a restart it fails instead, which is what tools do that
    /// say nothing. It asks while it runs: the task waits for the answer, for as long as that takes.
    #[tool(task = "required", destructive)]
    async fn clear(
        &self,
        ctx: &Context,
        /** Which one. */
        shelf: String,
    ) -> Result<String> {
        let form = Form::new().required("sure", Field::boolean());
        let answer = ctx.elicit("sure", &format!("Throw all of {shelf} away?"), form).await?;
        match answer.accepted() {
            Some(form) if form["sure"] == true => Ok(format!("{shelf} is empty")),
            _ => Ok(format!("{shelf} is as it was")),
        }
    }

    /// Orders a book. What it must know it asks before there is a task: its client gets the questions as the answer to its
    /// request, and the task only when nothing is left to ask.
    #[tool(task = "optional", restart = "rerun", asks_first)]
    async fn order(&self, ctx: &Context) -> Result<String> {
        let answer = ctx.elicit("title", "Which book?", Form::new().required("title", Field::text())).await?;
        let Answer::Accepted(form) = answer else {
            return Ok("nothing ordered".to_owned());
        };
        ctx.begin_task().await?;
        // Done once, even if the task is run again.
        let number = ctx.once("order", || async { Ok(17_u32) }).await?;
        Ok(format!("order {number}: {}", form["title"].as_str().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Said, Script};

    fn kit() -> Kit {
        Kit::start::<Librarian>(json!({})).unwrap()
    }

    #[track_caller]
    fn text(result: mcp_plugin_api::Result<mcp_plugin_api::ToolResult>) -> String {
        let result = mcp_plugin_api::serde_json::to_value(result.unwrap()).unwrap();
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_task_that_was_left_behind_goes_on_where_it_was() {
        let script = Script::new().task_at(json!(2));
        assert_eq!(text(kit().tool("index", json!({"books": 3}), &script)), "3 books, from book 3 on");
        let progress = Said::Progress(3.0, Some(3.0), Some("book 3".to_owned()));
        assert_eq!(script.said(), [progress, Said::Checkpoint(json!(3))]);
        assert_eq!(text(kit().tool("index", json!({"books": 1}), &Script::new())), "1 books, from book 1 on");
    }

    #[test]
    fn nothing_is_thrown_away_that_the_user_keeps() {
        let arguments = || json!({"shelf": "A"});
        let sure = |sure: bool| Script::new().task().accept("sure", json!({"sure": sure}));
        assert_eq!(text(kit().tool("clear", arguments(), &sure(true))), "A is empty");
        assert_eq!(text(kit().tool("clear", arguments(), &sure(false))), "A is as it was");
        assert_eq!(text(kit().tool("clear", arguments(), &Script::new().decline("sure"))), "A is as it was");
    }

    #[test]
    fn an_order_is_asked_for_first() {
        let script = Script::new().accept("title", json!({"title": "Dune"}));
        assert_eq!(text(kit().tool("order", json!({}), &script)), "order 17: Dune");
    }
}
