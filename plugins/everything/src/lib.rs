//! The reference plugin: one of everything that a plugin can offer.
//!
//! The tools named `test_…`, the resources and the prompts are those that the official conformance suite calls; what it
//! does not exercise stands beside them. A file for each kind: `content`, `asking`, `limits`.

#![allow(non_snake_case, reason = "the suite names an argument `resourceUri`")]

mod asking;
mod content;
mod limits;

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::{Error, Roots, serde_json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything.
pub struct Everything {
    host: Host,
    touches: AtomicU64,
    mutations: AtomicU64,
}

/// A typed object, with text in it and beside it.
#[model]
struct Weather {
    /// In degrees Celsius.
    temperature: f64,
    /// In words.
    conditions: String,
    /// In percent.
    humidity: u8,
}

#[plugin(instructions = "Test tools, one for each feature. None of them changes anything outside this process.")]
impl Everything {
    #[start]
    fn start(host: Host) -> Self {
        // Shown and hidden by `test_trigger_tool_change` and `test_trigger_prompt_change`.
        host.hide_tool("test_sometimes");
        host.hide_prompt("test_sometimes_prompt");
        Self { host, touches: AtomicU64::new(0), mutations: AtomicU64::new(0) }
    }

    /// # Simple text
    /// Returns a simple text response.
    #[tool(read_only, icon = "https://example.com/text.png", meta("com.example/kind" = "text"))]
    async fn test_simple_text(&self) -> &'static str {
        "This is a simple text response for testing."
    }

    /// Returns an image.
    #[tool(read_only)]
    async fn test_image_content(&self) -> Content {
        Content::image(content::PNG, "image/png")
    }

    /// Returns audio.
    #[tool(read_only)]
    async fn test_audio_content(&self) -> Content {
        Content::audio(content::WAV, "audio/wav")
    }

    /// Returns an embedded resource.
    #[tool(read_only)]
    async fn test_embedded_resource(&self) -> Content {
        Content::resource(
            Contents::text("This is an embedded resource content.")
                .uri("test://embedded-resource")
                .mime_type("text/plain"),
        )
    }

    /// Returns text, an image and a resource.
    #[tool(read_only)]
    async fn test_multiple_content_types(&self) -> ToolResult {
        ToolResult::new()
            .with_text("Multiple content types test:")
            .with(Content::image(content::PNG, "image/png"))
            .with(Content::resource(
                Contents::text(r#"{"test":"data","value":123}"#)
                    .uri("test://mixed-content-resource")
                    .mime_type("application/json"),
            ))
    }

    /// Returns a link to a resource, with annotations.
    #[tool(read_only)]
    async fn test_resource_link(&self) -> Content {
        Content::link("test://static-text", "static-text")
            .audience([Role::User])
            .priority(0.5)
            .last_modified("2026-01-01T00:00:00Z")
    }

    /// Fails on purpose.
    #[tool]
    async fn test_error_handling(&self) -> Result<String> {
        Err(Error::new("This tool intentionally returns an error for testing"))
    }

    /// Reports its progress in three steps.
    #[tool]
    async fn test_tool_with_progress(&self, ctx: &Context) -> &'static str {
        for done in [0.0, 50.0, 100.0] {
            ctx.progress_with(done, 100.0, format!("Completed step {done} of 100"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        "Tool with progress executed successfully"
    }

    /// Reports progress and is done at once.
    #[tool(inline)]
    fn test_instant_progress(&self, ctx: &Context) -> &'static str {
        ctx.progress(1.0, None);
        "done at once"
    }

    /// Logs three messages to the client.
    #[tool]
    async fn test_tool_with_logging(&self, ctx: &Context) -> &'static str {
        ctx.log(LogLevel::Info, "Tool execution started");
        tokio::time::sleep(Duration::from_millis(50)).await;
        ctx.log(LogLevel::Info, "Tool processing data");
        tokio::time::sleep(Duration::from_millis(50)).await;
        ctx.log(LogLevel::Info, "Tool execution completed");
        "Tool with logging executed successfully"
    }

    /// Has a schema that uses much of JSON Schema 2020-12.
    #[tool(name = "json_schema_2020_12_tool", input_schema = content::JSON_SCHEMA_2020_12)]
    async fn json_schema_2020_12(&self, Args(arguments): Args<serde_json::Map<String, serde_json::Value>>) -> String {
        format!("JSON Schema 2020-12 tool called with {} arguments", arguments.len())
    }

    /// Frees the client's connection, which comes back for the answer.
    #[tool]
    async fn test_reconnection(&self, ctx: &Context) -> &'static str {
        ctx.release_connection(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(200)).await;
        "Reconnection test completed successfully"
    }

    /// Asks the client's model.
    #[tool]
    async fn test_sampling(
        &self,
        /** What to ask. */
        prompt: String,
        ctx: &Context,
    ) -> Result<String> {
        let sampled = ctx.sample("sampling", Sampling::new(prompt, 100)).await?;
        Ok(format!("LLM response: {}", sampled.text()))
    }

    /// Asks the client's model, which may use a tool.
    #[tool]
    async fn test_sampling_with_tools(&self, prompt: String, ctx: &Context) -> Result<String> {
        asking::sample_with_tools(ctx, prompt).await
    }

    /// Asks the user for a name and an address.
    #[tool]
    async fn test_elicitation(
        &self,
        /** What to say to the user. */
        message: String,
        ctx: &Context,
    ) -> Result<String> {
        let form = Form::new()
            .required("username", Field::text().description("User's response"))
            .required("email", Field::text().description("User's email address"));
        let answer = ctx.elicit("user", &message, form).await?;
        Ok(format!("User response: {}", asking::told(answer)))
    }

    /// Asks the user with a default in every field.
    #[tool]
    async fn test_elicitation_sep1034_defaults(&self, ctx: &Context) -> Result<String> {
        let answer = ctx
            .elicit("defaults", "Please review and update the form fields with defaults", asking::defaults())
            .await?;
        Ok(format!("Elicitation completed: {}", asking::told(answer)))
    }

    /// Asks the user with every form of choice.
    #[tool]
    async fn test_elicitation_sep1330_enums(&self, ctx: &Context) -> Result<String> {
        let answer = ctx.elicit("enums", "Please select options from the enum fields", asking::enums()).await?;
        Ok(format!("Elicitation completed: {}", asking::told(answer)))
    }

    /// Asks the user for the fields of a typed struct.
    #[tool]
    async fn test_elicitation_typed(&self, ctx: &Context) -> Result<String> {
        let answer = ctx.elicit_as::<asking::Order>("order", "What may it be?").await?;
        Ok(answer.accepted().map_or_else(|| "nothing".to_owned(), |order| order.told()))
    }

    /// Asks the user to open a URL.
    #[tool]
    async fn test_url_elicitation(&self, ctx: &Context) -> Result<&'static str> {
        let id = format!("everything-{}", ctx.call_id());
        let answer = ctx.elicit_url(&id, "Please confirm in the browser", "https://example.com/confirm").await?;
        ctx.url_done(&id);
        Ok(match answer {
            Answer::Accepted(()) => "URL elicitation: accept",
            Answer::Declined => "URL elicitation: decline",
            Answer::Cancelled => "URL elicitation: cancel",
        })
    }

    /// Cannot go on before the user has opened a URL.
    #[tool]
    async fn test_url_required(&self) -> Result<String> {
        Err(Error::url_required("everything-login", "Please sign in first", "https://example.com/login"))
    }

    /// Answers with the client's roots.
    #[tool]
    async fn test_list_roots(&self, ctx: &Context) -> Result<String> {
        let Roots { roots } = ctx.roots("client_roots").await?;
        let told: Vec<String> = roots
            .into_iter()
            .map(|root| root.name.map_or_else(|| root.uri.clone(), |name| format!("{name} ({})", root.uri)))
            .collect();
        Ok(format!("Roots: {}", told.join(", ")))
    }

    /// Prints to standard output, from Rust and from C, as a plugin should not.
    #[tool]
    fn test_prints_to_stdout(&self) -> &'static str {
        limits::print();
        "printed"
    }

    /// Returns a typed object.
    #[tool(read_only)]
    async fn test_structured(
        &self,
        /** Of which place. */
        #[default("here")]
        place: String,
    ) -> Weather {
        Weather { temperature: 22.5, conditions: format!("clear at {place}"), humidity: 65 }
    }

    /// Returns a typed array.
    #[tool(read_only)]
    async fn test_structured_array(&self) -> Vec<u32> {
        vec![1, 2, 3]
    }

    /// Promises a schema that the host holds it to.
    #[tool(
        output_schema = r#"{"type":"object","properties":{"count":{"type":"integer","maximum":9}},"required":["count"]}"#
    )]
    async fn test_promised_output(&self, count: u64) -> Result<ToolResult> {
        ToolResult::structured(&serde_json::json!({"count": count}))
    }

    /// Announces that a resource has new content.
    #[tool]
    async fn test_touch_resource(
        &self,
        /** Which resource. */
        uri: String,
        ctx: &Context,
    ) -> String {
        self.touches.fetch_add(1, Ordering::Relaxed);
        ctx.resource_updated(&uri);
        format!("touched {uri}")
    }

    /// Takes an integer that clients may mirror in a header.
    #[tool(input_schema = content::INTEGER_HEADER_SCHEMA)]
    async fn test_integer_header(&self, count: i64) -> String {
        format!("count is {count}")
    }

    /// Takes text that clients may mirror in a header.
    #[tool(input_schema = content::REGION_HEADER_SCHEMA)]
    async fn test_x_mcp_header(&self, region: String) -> String {
        format!("region is {region}")
    }

    /// Sleeps; heeds its cancellation.
    #[tool]
    async fn test_sleep(
        &self,
        /** How long, in milliseconds. */
        ms: u64,
    ) -> String {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        format!("slept {ms} ms")
    }

    /// Blocks its thread; deaf to its cancellation.
    #[tool]
    fn test_block(
        &self,
        /** How long, in milliseconds. */
        ms: u64,
    ) -> String {
        std::thread::sleep(Duration::from_millis(ms));
        format!("blocked {ms} ms")
    }

    /// Returns what it is given.
    #[tool(inline, read_only, idempotent, open_world = false)]
    fn echo(
        &self,
        /** What to return. */
        message: String,
    ) -> String {
        message
    }

    /// Repeats a word.
    #[tool(inline, read_only, idempotent, open_world = false)]
    fn repeat(
        &self,
        /** What to repeat. */
        call: String,
        /** How often. */
        #[default(2)]
        context: u32,
        /** What comes between. */
        #[default(" ")]
        r#type: String,
    ) -> String {
        vec![call; context as usize].join(&r#type)
    }

    /// Adds two numbers.
    #[tool(inline, read_only, idempotent, open_world = false)]
    fn add(&self, a: f64, b: f64) -> String {
        (a + b).to_string()
    }

    /// Shows or hides the resource `test://sometimes`, so that the list of resources changes.
    #[tool]
    async fn test_trigger_resource_change(&self, ctx: &Context) -> &'static str {
        self.touches.fetch_xor(1 << 63, Ordering::Relaxed);
        ctx.manifest_changed();
        "Mutation triggered"
    }

    /// Comes and goes.
    #[tool]
    async fn test_sometimes(&self) -> &'static str {
        "here now"
    }

    /// Comes and goes.
    #[prompt]
    async fn test_sometimes_prompt(&self) -> &'static str {
        "here now"
    }

    /// Shows or hides a tool, so that the list of tools changes.
    #[tool]
    async fn test_trigger_tool_change(&self) -> &'static str {
        if self.mutations.fetch_xor(1, Ordering::Relaxed) & 1 == 0 {
            self.host.show_tool("test_sometimes");
        } else {
            self.host.hide_tool("test_sometimes");
        }
        "Mutation triggered"
    }

    /// Shows or hides a prompt, so that the list of prompts changes.
    #[tool]
    async fn test_trigger_prompt_change(&self) -> &'static str {
        if self.mutations.fetch_xor(2, Ordering::Relaxed) & 2 == 0 {
            self.host.show_prompt("test_sometimes_prompt");
        } else {
            self.host.hide_prompt("test_sometimes_prompt");
        }
        "Mutation triggered"
    }

    /// A static text.
    #[resource("test://static-text", mime = "text/plain", priority = 0.8)]
    async fn static_text(&self) -> &'static str {
        "This is the content of the static text resource."
    }

    /// A static picture.
    #[resource("test://static-binary", mime = "image/png")]
    async fn static_binary(&self) -> Vec<u8> {
        content::PNG.to_vec()
    }

    /// A resource that changes when `test_touch_resource` touches it.
    #[resource("test://watched-resource", mime = "text/plain")]
    async fn watched_resource(&self) -> String {
        format!("touched {} times", self.touches.load(Ordering::Relaxed) & !(1 << 63))
    }

    /// Resources that come and go.
    #[resources]
    fn sometimes(&self) -> Result<Vec<Resource>> {
        let shown = self.touches.load(Ordering::Relaxed) >> 63 == 1;
        let resource =
            || Resource::new("test://sometimes", "sometimes").description("Comes and goes").mime_type("text/plain");
        Ok(shown.then(resource).into_iter().collect())
    }

    /// Data by id.
    #[resource("test://template/{id}/data", mime = "application/json")]
    async fn template_data(&self, id: String) -> String {
        format!(r#"{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}"#)
    }

    /// Proposes ids.
    #[complete(template = "test://template/{id}/data", argument = "id", inline)]
    fn complete_id(&self, typed: String) -> Vec<String> {
        (1..=200).map(|id| id.to_string()).filter(|id| id.starts_with(&typed)).collect()
    }

    /// A prompt without arguments.
    #[prompt]
    async fn test_simple_prompt(&self) -> &'static str {
        "This is a simple prompt for testing."
    }

    /// A prompt with two arguments.
    #[prompt]
    async fn test_prompt_with_arguments(
        &self,
        /** The first. */
        arg1: String,
        /** The second. */
        arg2: String,
    ) -> String {
        format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")
    }

    /// Proposes values for the first argument.
    #[complete(prompt = "test_prompt_with_arguments", argument = "arg1", inline)]
    fn complete_arg1(&self, typed: String) -> Vec<String> {
        ["test", "testing", "tested", "other"]
            .into_iter()
            .filter(|it| it.starts_with(&typed))
            .map(str::to_owned)
            .collect()
    }

    /// A prompt with an embedded resource.
    #[prompt]
    async fn test_prompt_with_embedded_resource(
        &self,
        /** Which resource to embed. */
        resourceUri: String,
    ) -> Vec<Message> {
        let contents =
            Contents::text("Embedded resource content for testing.").uri(resourceUri).mime_type("text/plain");
        vec![Message::user(Content::resource(contents)), Message::user("Please process the embedded resource above.")]
    }

    /// A prompt with a picture.
    #[prompt]
    async fn test_prompt_with_image(&self) -> Vec<Message> {
        vec![Message::user(Content::image(content::PNG, "image/png")), Message::user("Please analyze the image above.")]
    }
}
