//! The reference plugin: one of everything that a plugin can offer.
//!
//! The tools named `test_…`, the resources and the prompts are those that the official conformance suite calls; what it
//! does not exercise stands beside them. A file for each kind: `content`, `asking`, `rounds`, `tasks`, `limits`. This one is
//! long because a plugin is one block of functions, and there is one of everything.

#![allow(non_snake_case, reason = "the suite names an argument `resourceUri`")]

mod asking;
mod content;
mod limits;
mod rounds;
mod tasks;

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::{Error, Roots, serde_json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything.
pub struct Everything {
    host: Host,
    touches: AtomicU64,
    mutations: AtomicU64,
    steps: AtomicU64,
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

#[plugin(
    instructions = "Test tools, one for each feature. None of them changes anything outside this process.",
    cache = Cache::public(Duration::from_secs(1)),
    skills = "skills"
)]
impl Everything {
    #[start]
    fn start(host: Host) -> Self {
        // Shown and hidden by `test_trigger_tool_change` and `test_trigger_prompt_change`.
        host.hide_tool("test_sometimes");
        host.hide_prompt("test_sometimes_prompt");
        Self { host, touches: AtomicU64::new(0), mutations: AtomicU64::new(0), steps: AtomicU64::new(0) }
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
        let key = "everything-confirm";
        let answer = ctx.elicit_url(key, "Please confirm in the browser", "https://example.com/confirm").await?;
        ctx.url_done(key);
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

    /// Needs a client whose model can be asked.
    #[tool]
    async fn test_missing_capability(&self, ctx: &Context) -> Result<&'static str> {
        ctx.require(Capability::Sample)?;
        Ok("Success")
    }

    /// Asks the user, over whatever the client has for it.
    #[tool]
    async fn test_streaming_elicitation(&self, ctx: &Context) -> Result<String> {
        rounds::hello(ctx).await
    }

    /// Logs to the client, if it wants that.
    #[tool]
    async fn test_logging_tool(&self, ctx: &Context) -> &'static str {
        ctx.log(LogLevel::Info, "a message of the tool");
        "logged"
    }

    /// Asks the user for a name.
    #[tool]
    async fn test_input_required_result_elicitation(&self, ctx: &Context) -> Result<String> {
        rounds::hello(ctx).await
    }

    /// Asks the client's model for a capital.
    #[tool]
    async fn test_input_required_result_sampling(&self, ctx: &Context) -> Result<String> {
        rounds::capital(ctx).await
    }

    /// Names the client's roots.
    #[tool]
    async fn test_input_required_result_list_roots(&self, ctx: &Context) -> Result<String> {
        Ok(rounds::roots_told(&ctx.roots("client_roots").await?))
    }

    /// Asks the user to confirm.
    #[tool]
    async fn test_input_required_result_request_state(&self, ctx: &Context) -> Result<String> {
        rounds::confirmed(ctx).await
    }

    /// Asks the user, the model and for the roots at once.
    #[tool]
    async fn test_input_required_result_multiple_inputs(&self, ctx: &Context) -> Result<String> {
        rounds::all_at_once(ctx).await
    }

    /// Asks the user twice.
    #[tool]
    async fn test_input_required_result_multi_round(&self, ctx: &Context) -> Result<String> {
        rounds::two_rounds(ctx).await
    }

    /// Asks the user to confirm; what the client carries meanwhile must not be changed.
    #[tool]
    async fn test_input_required_result_tampered_state(&self, ctx: &Context) -> Result<String> {
        rounds::confirmed(ctx).await
    }

    /// Asks for what the client can do, and nothing else.
    #[tool]
    async fn test_input_required_result_capabilities(&self, ctx: &Context) -> Result<String> {
        rounds::what_it_can(ctx).await
    }

    /// Asks the user on a thread that may block.
    #[tool]
    fn test_blocking_elicitation(&self, ctx: &Context) -> Result<String> {
        ctx.wait(rounds::hello(ctx))
    }

    /// Asks the user to confirm; each confirmation counts once.
    #[tool(single_use)]
    async fn test_consume_once(&self, ctx: &Context) -> Result<String> {
        rounds::confirmed(ctx).await
    }

    /// Does a step once and asks about it: however often it is run, the step's number stays.
    #[tool]
    async fn test_once(&self, ctx: &Context) -> Result<String> {
        let step = ctx.once("step", async || Ok(self.steps.fetch_add(1, Ordering::Relaxed))).await?;
        let told = rounds::hello(ctx).await?;
        Ok(format!("step {step} of {}: {told}", self.steps.load(Ordering::Relaxed)))
    }

    /// Tells the trace that the call is part of.
    #[tool(read_only)]
    async fn test_trace(&self, ctx: &Context) -> String {
        ctx.trace().and_then(|trace| trace.traceparent).unwrap_or_else(|| "no trace".to_owned())
    }

    /// Shows a clock on a page of its own.
    #[tool(ui = "ui://everything/clock", read_only)]
    async fn test_app(&self) -> &'static str {
        "12:00"
    }

    /// The page of the clock.
    #[resource("ui://everything/clock", app, meta("ui" = serde_json::json!({"prefersBorder": true})))]
    async fn clock_page(&self) -> &'static str {
        content::CLOCK_PAGE
    }

    /// Returns any JSON as structured result.
    #[tool(read_only, output_schema = r#"{"type":["array","number","null"]}"#)]
    async fn test_structured_any(
        &self,
        /** `array`, `number` or `null`. */
        kind: String,
    ) -> Result<ToolResult> {
        ToolResult::structured(&match kind.as_str() {
            "array" => serde_json::json!([1, 2]),
            "number" => serde_json::json!(7),
            _ => serde_json::Value::Null,
        })
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

    /// Takes text that clients may mirror in a header.
    #[tool(input_schema = content::REGION_HEADER_SCHEMA)]
    async fn test_x_mcp_header(&self, region: String) -> String {
        format!("region is {region}")
    }

    /// Takes an integer that clients may mirror in a header.
    #[tool(input_schema = content::INTEGER_HEADER_SCHEMA)]
    async fn test_integer_header(&self, count: i64) -> String {
        format!("count is {count}")
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

    /// Computes for a while; a task for clients that follow such.
    #[tool(task = "optional", restart = "rerun", idempotent)]
    async fn slow_compute(&self, ctx: &Context, seconds: f64, label: Option<String>) -> Result<String> {
        tasks::compute(ctx, seconds, label.as_deref()).await
    }

    /// Fails after a while, as a task only.
    #[tool(task = "required")]
    async fn failing_job(&self) -> Result<String> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(Error::new("the job failed"))
    }

    /// Fails as a request, not as a tool.
    #[tool(task = "optional")]
    async fn protocol_error_job(&self) -> Result<String> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Err(Error::invalid_params("the job cannot be done with these params"))
    }

    /// Deletes nothing, but asks whether to.
    #[tool(task = "optional", restart = "rerun")]
    async fn confirm_delete(&self, ctx: &Context, filename: String) -> Result<String> {
        tasks::delete(ctx, &filename).await
    }

    /// Asks for two things at a time.
    #[tool(task = "optional", restart = "rerun")]
    async fn multi_input(&self, ctx: &Context) -> Result<String> {
        tasks::two_answers(ctx).await
    }

    /// Asks for a name, and greets in a task.
    #[tool(task = "required", restart = "rerun", asks_first)]
    async fn test_tool_with_task(&self, ctx: &Context) -> Result<String> {
        tasks::greeting(ctx).await
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

    /// A prompt that asks the user first.
    #[prompt]
    async fn test_input_required_result_prompt(&self, ctx: &Context) -> Result<String> {
        let form = Form::new().required("context", Field::text());
        let answer = ctx.elicit("user_context", "What is it about?", form).await?;
        let context = answer.accepted().map_or_else(|| "nothing".to_owned(), |form| form["context"].to_string());
        Ok(format!("Consider {context}."))
    }

    /// A resource that asks the user first.
    #[resource("test://asking", mime = "text/plain", cache = Cache::public(Duration::from_secs(60)))]
    async fn asking_resource(&self, ctx: &Context) -> Result<String> {
        rounds::hello(ctx).await
    }

    /// A prompt with a picture.
    #[prompt]
    async fn test_prompt_with_image(&self) -> Vec<Message> {
        vec![Message::user(Content::image(content::PNG, "image/png")), Message::user("Please analyze the image above.")]
    }
}
