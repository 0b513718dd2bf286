//! What a route's `policy_settings` may change.

use serde_json::Value;

/// How a target is chosen among those of one tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Preference {
    /// `"fast"`: by weight and measured load.
    #[default]
    Fast,
    /// `"cheap"`: the lowest price.
    Cheap,
}

/// The settings, with what holds when they say nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    pub prefer: Preference,
    /// Whether a transient failure is retried once on the same target.
    pub retry: bool,
    /// Whether a promise of JSON is held against the answer.
    pub schema_check: bool,
    /// Whether another target is tried after a provider's content filter.
    pub reselect_on_content_filter: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefer: Preference::Fast,
            retry: true,
            schema_check: true,
            reselect_on_content_filter: false,
        }
    }
}

impl Settings {
    /// Reads a JSON object. Unknown settings and values are ignored: a route
    /// may carry settings that are meant for another policy.
    #[must_use]
    pub fn read(json: &str) -> Self {
        let mut settings = Self::default();
        if json.is_empty() || json == "{}" {
            return settings;
        }
        let Ok(Value::Object(table)) = serde_json::from_str(json) else {
            return settings;
        };
        if table.get("prefer").and_then(Value::as_str) == Some("cheap") {
            settings.prefer = Preference::Cheap;
        }
        if let Some(retry) = table.get("retry").and_then(Value::as_bool) {
            settings.retry = retry;
        }
        if let Some(check) = table.get("schema_check").and_then(Value::as_bool) {
            settings.schema_check = check;
        }
        settings.reselect_on_content_filter =
            table.get("on_content_filter").and_then(Value::as_str) == Some("reselect");
        settings
    }
}
