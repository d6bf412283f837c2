//! Structured results: any `#[model]` type has a schema, is data for programs, and text for the model.

use mcp_plugin_api::prelude::*;

/// A weather station.
#[derive(Default)]
pub struct Station;

/// What was measured.
#[model]
#[derive(Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// In degrees Celsius.
    temperature: f64,
    /// In per cent.
    humidity: u8,
}

const NOW: Measured = Measured { temperature: 21.5, humidity: 40 };

#[plugin]
impl Station {
    /// Measures. The text is the same data as JSON.
    #[tool(read_only)]
    async fn measure(&self) -> Measured {
        NOW
    }

    /// Reports. The text is a sentence, which takes a model fewer words than JSON.
    #[tool(read_only)]
    async fn report(&self) -> Result<Structured<Measured>> {
        Structured::new(format!("{} degrees, {} per cent humidity", NOW.temperature, NOW.humidity), &NOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn data_and_words_are_told() {
        let kit = Kit::start::<Station>(json!({})).unwrap();
        let data = json!({"temperature": 21.5, "humidity": 40});
        for (tool, text) in [("measure", data.to_string()), ("report", "21.5 degrees, 40 per cent humidity".to_owned())]
        {
            let result = kit.tool(tool, json!({}), &Script::new()).unwrap();
            assert_eq!((result.structured_content.as_ref(), result.text()), (Some(&data), text));
        }
        for tool in kit.manifest().tools {
            let schema = tool.output_schema.unwrap();
            assert!(schema.get().contains("\"humidity\""), "{}", schema.get());
        }
    }
}
