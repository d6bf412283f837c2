//! Questions in rounds, as the conformance suite asks for them: fixed keys, one or several at a time.

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::{Roots, serde_json::Value};

fn name_form() -> Form {
    Form::new().required("name", Field::text())
}

/// Text of a field, if the user sent it.
pub(crate) fn field(answer: Answer<Value>, name: &str) -> Option<String> {
    answer.accepted().and_then(|form| form[name].as_str().map(str::to_owned))
}

/// Asks for a name under a fixed key.
pub(crate) async fn hello(ctx: &Context) -> Result<String> {
    let answer = ctx.elicit("user_name", "What is your name?", name_form()).await?;
    Ok(field(answer, "name").map_or_else(|| "Hello, nobody!".to_owned(), |name| format!("Hello, {name}!")))
}

/// Asks the model for a capital.
pub(crate) async fn capital(ctx: &Context) -> Result<String> {
    let sampled = ctx.sample("capital_question", Sampling::new("What is the capital of France?", 100)).await?;
    Ok(format!("The model says: {}", sampled.text()))
}

/// Names the client's roots.
pub(crate) fn roots_told(roots: &Roots) -> String {
    let told: Vec<&str> = roots.roots.iter().map(|root| root.name.as_deref().unwrap_or(&root.uri)).collect();
    format!("Roots: {}", told.join(", "))
}

/// Asks for a yes or no.
pub(crate) async fn confirmed(ctx: &Context) -> Result<String> {
    let form = Form::new().required("ok", Field::boolean());
    let answer = ctx.elicit("confirm", "Shall it go on?", form).await?;
    Ok(match answer {
        Answer::Accepted(form) => format!("state-ok, confirmed: {}", form["ok"]),
        Answer::Declined => "state-ok, declined".to_owned(),
        Answer::Cancelled => "state-ok, cancelled".to_owned(),
    })
}

/// Asks everything at once.
pub(crate) async fn all_at_once(ctx: &Context) -> Result<String> {
    let answers = ctx
        .ask_all([
            Question::form("user_name", "What is your name?", name_form()),
            Question::sample("greeting", Sampling::new("Write a greeting", 50)),
            Question::roots("client_roots"),
        ])
        .await?;
    let name = field(answers.form("user_name")?, "name").unwrap_or_else(|| "nobody".to_owned());
    let greeting = answers.sampled("greeting")?.text();
    Ok(format!("{greeting}, {name}! {}", roots_told(&answers.roots("client_roots")?)))
}

/// Asks twice, the second time with the first answer.
pub(crate) async fn two_rounds(ctx: &Context) -> Result<String> {
    let name = ctx.elicit("step1", "Step 1: what is your name?", name_form()).await?;
    let name = field(name, "name").unwrap_or_else(|| "nobody".to_owned());
    let form = Form::new().required("color", Field::text());
    let color = ctx.elicit("step2", &format!("Step 2: {name}, what is your favorite color?"), form).await?;
    let color = field(color, "color").unwrap_or_else(|| "none".to_owned());
    Ok(format!("{name} likes {color}"))
}

/// Asks only for what the client can do.
pub(crate) async fn what_it_can(ctx: &Context) -> Result<String> {
    let client = ctx.client();
    let mut questions = Vec::new();
    if client.can(Capability::ElicitForm) {
        questions.push(Question::form("user_name", "What is your name?", name_form()));
    }
    if client.can(Capability::Sample) {
        questions.push(Question::sample("greeting", Sampling::new("Write a greeting", 50)));
    }
    if client.can(Capability::Roots) {
        questions.push(Question::roots("client_roots"));
    }
    let asked = questions.len();
    ctx.ask_all(questions).await?;
    Ok(format!("{asked} questions were answered"))
}
