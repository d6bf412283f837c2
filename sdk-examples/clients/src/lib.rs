//! Clients: what each can do is known, so a tool can do without what is not there, or refuse before it does anything.

use mcp_plugin_api::prelude::*;

/// A doorman.
#[derive(Default)]
pub struct Doorman;

#[plugin]
impl Doorman {
    /// Greets a client by its name.
    #[tool(read_only)]
    async fn who(&self, ctx: &Context) -> String {
        let client = ctx.client();
        format!("{} {}", client.name, client.version)
    }

    /// Summarizes with the client's model, where it has one; else it cuts.
    #[tool(read_only)]
    async fn shorten(&self, text: String, ctx: &Context) -> Result<String> {
        if !ctx.client().can(Capability::Sample) {
            return Ok(text.chars().take(20).collect());
        }
        let question = Sampling::new(format!("Shorten to five words: {text}"), 30);
        Ok(ctx.sample("short", question).await?.text())
    }

    /// Deletes everything, if the user says yes. A client that cannot ask is refused before anything is done.
    #[tool(destructive)]
    async fn delete(&self, ctx: &Context) -> Result<&'static str> {
        ctx.require(Capability::ElicitForm)?;
        let sure = ctx.elicit("sure", "Delete everything?", Form::new().required("yes", Field::boolean())).await?;
        Ok(if sure.accepted().is_some_and(|form| form["yes"] == true) { "deleted" } else { "kept" })
    }

    /// Names the folders that the user works in.
    #[tool(read_only)]
    async fn folders(&self, ctx: &Context) -> Result<String> {
        let roots = ctx.roots("roots").await?;
        Ok(roots.roots.iter().map(|root| root.uri.as_str()).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn what_a_client_can_do_is_used() {
        let kit = Kit::start::<Doorman>(json!({})).unwrap();
        let run = |tool: &str, arguments, script: &Script| kit.tool(tool, arguments, script).unwrap().text();
        assert_eq!(run("who", json!({}), &Script::new()), "script 1");
        let script = Script::new().sampled("short", "Owls are heavy, it seems.");
        assert_eq!(run("shorten", json!({"text": "long"}), &script), "Owls are heavy, it seems.");
        assert_eq!(run("delete", json!({}), &Script::new().decline("sure")), "kept");
        assert_eq!(run("delete", json!({}), &Script::new().accept("sure", json!({"yes": true}))), "deleted");
        assert_eq!(run("folders", json!({}), &Script::new().roots("roots", &["file:///home"])), "file:///home");
    }
}
