//! Work that becomes a task, as the conformance suite asks for it.

use mcp_plugin_api::prelude::*;
use std::time::Duration;

/// Waits, and tells how far it is.
pub(crate) async fn compute(ctx: &Context, seconds: f64, label: Option<&str>) -> Result<String> {
    const STEP: f64 = 0.25;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(Error::invalid_arguments("'seconds' must be 0 to 86400"));
    }
    let mut done = 0.0;
    while done < seconds {
        let step = STEP.min(seconds - done);
        tokio::time::sleep(Duration::from_secs_f64(step)).await;
        done += step;
        ctx.progress_with(done, seconds, "computing");
    }
    Ok(format!("{} after {seconds} seconds", label.unwrap_or("done")))
}

/// Asks before it deletes.
pub(crate) async fn delete(ctx: &Context, filename: &str) -> Result<String> {
    let form = Form::new().required("confirm", Field::boolean());
    let answer = ctx.elicit("confirm", &format!("Delete {filename}?"), form).await?;
    let confirmed = answer.accepted().is_some_and(|form| form["confirm"] == true);
    Ok(if confirmed { format!("Deleted {filename}") } else { format!("Kept {filename}") })
}

/// Asks two things at a time.
pub(crate) async fn two_answers(ctx: &Context) -> Result<String> {
    let form = || Form::new().required("name", Field::text());
    let answers = ctx
        .ask_all([
            Question::form("name", "What is your name?", form()),
            Question::form("color", "What is the name of your favorite color?", form()),
        ])
        .await?;
    let said = |answer| crate::rounds::field(answer, "name").unwrap_or_else(|| "nobody".to_owned());
    Ok(format!("{} likes {}", said(answers.form("name")?), said(answers.form("color")?)))
}

/// Asks for a name first, and works on its own then.
pub(crate) async fn greeting(ctx: &Context) -> Result<String> {
    let form = Form::new().required("name", Field::text());
    let answer = ctx.elicit("user_name", "What is your name?", form).await?;
    ctx.begin_task().await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let name = crate::rounds::field(answer, "name");
    Ok(format!("Hello, {}!", name.unwrap_or_else(|| "nobody".to_owned())))
}
