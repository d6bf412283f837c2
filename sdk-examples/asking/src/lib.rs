//! Asking: the user by a form, the client's model, and what happens once however often the function runs.
//!
//! A function that asks may be run again from its start with the answers it has. So every question has a key, and a step
//! that must happen once goes into `ctx.once`.

use mcp_plugin_api::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A waiter.
#[derive(Default)]
pub struct Waiter {
    orders: AtomicU32,
}

/// The form.
#[model]
pub struct Order {
    /// What to drink
    drink: Drink,
    /// How many
    #[serde(default = "one")]
    cups: u8,
}

/// The choices.
#[model]
#[derive(Debug)]
#[serde(rename_all = "lowercase")]
pub enum Drink {
    /// Black tea
    Tea,
    /// Strong coffee
    Coffee,
}

fn one() -> u8 {
    1
}

#[plugin]
impl Waiter {
    /// Takes an order from the user.
    #[tool]
    async fn order(&self, ctx: &Context) -> Result<String> {
        let number = ctx.once("number", async || Ok(self.orders.fetch_add(1, Ordering::Relaxed) + 1)).await?;
        Ok(match ctx.elicit_as::<Order>("order", "What may it be?").await? {
            Answer::Accepted(order) => format!("order {number}: {} x {:?}", order.cups, order.drink),
            Answer::Declined => "nothing, then".to_owned(),
            Answer::Cancelled => "another time, then".to_owned(),
        })
    }

    /// Asks for everything that an invitation needs, at once.
    #[tool]
    async fn invite(&self, ctx: &Context) -> Result<String> {
        let guest = Form::new().required("name", Field::text().description("Who comes?"));
        let answers = ctx
            .ask_all([
                Question::form("guest", "Who is invited?", guest),
                Question::sample("line", Sampling::new("Write one line that invites to tea.", 50)),
            ])
            .await?;
        let Answer::Accepted(guest) = answers.form("guest")? else {
            return Ok("nobody is invited".to_owned());
        };
        Ok(format!("{}: {}", guest["name"].as_str().unwrap_or_default(), answers.sampled("line")?.text()))
    }

    /// Pays. Each confirmation counts once, even if the client sends it again.
    #[tool(single_use)]
    async fn pay(&self, cents: u32, ctx: &Context) -> Result<String> {
        let form = Form::new().required("ok", Field::boolean());
        let answer = ctx.elicit("confirm", &format!("Pay {cents} cents?"), form).await?;
        Ok(if answer.accepted().is_some_and(|form| form["ok"] == true) { "paid" } else { "not paid" }.to_owned())
    }

    /// Lets the client's model praise a drink.
    #[tool]
    async fn praise(&self, drink: String, ctx: &Context) -> Result<String> {
        let question = Sampling::new(format!("Praise {drink} in five words."), 50).temperature(0.9);
        Ok(ctx.sample("praise", question).await?.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn the_answer_decides() {
        let kit = Kit::start::<Waiter>(json!({})).unwrap();
        let order = |script: &Script| kit.tool("order", json!({}), script).unwrap().content;
        let tea = Script::new().accept("order", json!({"drink": "tea", "cups": 2}));
        assert_eq!(order(&tea), [Content::text("order 1: 2 x Tea")]);
        assert_eq!(order(&tea), [Content::text("order 1: 2 x Tea")], "run again, it is the same order");
        assert_eq!(order(&Script::new().decline("order")), [Content::text("nothing, then")]);
    }

    #[test]
    fn several_questions_are_asked_at_once() {
        let kit = Kit::start::<Waiter>(json!({})).unwrap();
        let script = Script::new().accept("guest", json!({"name": "Ada"})).sampled("line", "Come for tea.");
        let invited = kit.tool("invite", json!({}), &script).unwrap();
        assert_eq!(invited.content, [Content::text("Ada: Come for tea.")]);
        let paid = kit.tool("pay", json!({"cents": 250}), &Script::new().decline("confirm")).unwrap();
        assert_eq!(paid.content, [Content::text("not paid")]);
    }

    #[test]
    fn the_model_is_asked() {
        let kit = Kit::start::<Waiter>(json!({})).unwrap();
        let script = Script::new().sampled("praise", "Warm, dark, quick, kind, done.");
        let praised = kit.tool("praise", json!({"drink": "coffee"}), &script).unwrap();
        assert_eq!(praised.content, [Content::text("Warm, dark, quick, kind, done.")]);
    }
}
