//! Errors: most are for the model to read, which can try again. A few are answers to the request itself.

use mcp_plugin_api::prelude::*;

/// A till.
#[derive(Default)]
pub struct Till;

#[plugin]
impl Till {
    /// Divides a bill. The text of an error is what the model reads, so it says what to do.
    #[tool]
    async fn divide(&self, cents: i64, guests: i64) -> Result<String> {
        if guests == 0 {
            return Err(Error::new("there are no guests: ask how many there were"));
        }
        Ok(format!("{} cents each", cents / guests))
    }

    /// Reads an amount. `?` takes every error of the standard library.
    #[tool]
    async fn read(&self, amount: String) -> Result<String> {
        let (whole, cents) = amount.split_once('.').ok_or_else(|| Error::new("write the amount as 12.50"))?;
        Ok((whole.parse::<i64>()? * 100 + cents.parse::<i64>()?).to_string())
    }

    /// A bill. That there is none is the answer to the request, and no text for a model.
    #[resource("till://bill/{number}")]
    async fn bill(&self, number: u32) -> Result<String> {
        match number {
            1 => Ok("two coffees".to_owned()),
            _ => Err(Error::not_found(format!("there is no bill {number}"))),
        }
    }

    /// Breaks. What panics becomes an error of this call; the host and all other calls go on.
    #[tool]
    #[allow(clippy::panic, reason = "this is the lesson")]
    async fn crash(&self) -> String {
        panic!("the drawer is stuck")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{Value, json};
    use mcp_plugin_api::testing::{Kit, Script};

    fn run(tool: &str, arguments: Value) -> (bool, String) {
        let result = Kit::start::<Till>(json!({})).unwrap().tool(tool, arguments, &Script::new()).unwrap();
        (result.is_error, result.text())
    }

    #[test]
    fn the_model_reads_what_went_wrong() {
        assert_eq!(run("divide", json!({"cents": 900, "guests": 3})), (false, "300 cents each".to_owned()));
        let told = "there are no guests: ask how many there were".to_owned();
        assert_eq!(run("divide", json!({"cents": 900, "guests": 0})), (true, told));
        assert_eq!(run("read", json!({"amount": "12.50"})), (false, "1250".to_owned()));
        assert_eq!(run("read", json!({"amount": "12"})), (true, "write the amount as 12.50".to_owned()));
        assert_eq!(run("read", json!({"amount": "x.y"})), (true, "invalid digit found in string".to_owned()));
    }

    #[test]
    fn a_request_can_fail_as_such() {
        let kit = Kit::start::<Till>(json!({})).unwrap();
        assert_eq!(kit.resource("till://bill/2", &Script::new()).unwrap_err().kind(), "not-found");
    }

    #[test]
    fn a_panic_is_an_error_of_its_call() {
        let kit = Kit::start::<Till>(json!({})).unwrap();
        let error = kit.tool("crash", json!({}), &Script::new()).unwrap_err();
        assert_eq!(error.kind(), "panicked");
        let after = kit.tool("divide", json!({"cents": 4, "guests": 2}), &Script::new()).unwrap();
        assert_eq!(after.text(), "2 cents each");
    }
}
