//! How servers that speak the dialect deviate from it: which known ones do how,
//! and what is done about it to a client's own body. Byte splices; must not know
//! requests from clients of other dialects, which are written as the target
//! wants them.

use std::borrow::Cow;

use bytes::Bytes;

use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::target::Quirks;

use super::ids::Ids;
use super::translate::{inserted, schema_instruction};

/// What known servers refuse (wire formats §1.6).
const HOSTS: &[(&str, &[Quirks])] = &[
    (
        "api.deepseek.com",
        &[
            Quirks::MAX_TOKENS,
            Quirks::NO_DEVELOPER_ROLE,
            Quirks::NO_STRICT,
            Quirks::NO_STORE,
            Quirks::NO_PARALLEL_TOOL_CALLS,
            Quirks::REASONING_ECHO,
            Quirks::FUNCTIONS_ONLY,
            Quirks::NO_JSON_SCHEMA,
        ],
    ),
    (
        "api.mistral.ai",
        &[
            Quirks::MAX_TOKENS,
            Quirks::NO_STREAM_OPTIONS,
            Quirks::NO_DEVELOPER_ROLE,
            Quirks::NO_MESSAGE_NAMES,
            Quirks::NO_STRICT,
            Quirks::NO_STORE,
            Quirks::SHORT_CALL_IDS,
            Quirks::FUNCTIONS_ONLY,
            Quirks::NO_REASONING_EFFORT,
        ],
    ),
    (
        "api.groq.com",
        &[
            Quirks::NO_DEVELOPER_ROLE,
            Quirks::NO_MESSAGE_NAMES,
            Quirks::NO_STORE,
            Quirks::FUNCTIONS_ONLY,
        ],
    ),
    (
        "api.together.xyz",
        &[
            Quirks::MAX_TOKENS,
            Quirks::NO_DEVELOPER_ROLE,
            Quirks::NO_STORE,
            Quirks::NO_PARALLEL_TOOL_CALLS,
            Quirks::FUNCTIONS_ONLY,
        ],
    ),
    ("openrouter.ai", &[Quirks::FUNCTIONS_ONLY]),
    ("api.x.ai", &[Quirks::NO_STORE, Quirks::FUNCTIONS_ONLY]),
    (
        "generativelanguage.googleapis.com",
        &[
            Quirks::NO_DEVELOPER_ROLE,
            Quirks::NO_MESSAGE_NAMES,
            Quirks::NO_STORE,
            Quirks::NO_PARALLEL_TOOL_CALLS,
            Quirks::FUNCTIONS_ONLY,
        ],
    ),
];

/// How a known server deviates; unknown ones are taken at their word.
#[must_use]
pub fn of_host(host: &str) -> Quirks {
    let named = |known: &str| {
        host.len() >= known.len() && host.is_char_boundary(host.len() - known.len()) && {
            let (before, end) = host.split_at(host.len() - known.len());
            end.eq_ignore_ascii_case(known) && (before.is_empty() || before.ends_with('.'))
        }
    };
    let quirks = HOSTS.iter().find(|(known, _)| named(known)).map_or(&[][..], |(_, quirks)| quirks);
    quirks.iter().fold(Quirks::NONE, |all, quirk| all.with(*quirk))
}

/// Fields that are taken out.
const REFUSED: &[(Quirks, &str)] = &[
    (Quirks::NO_STREAM_OPTIONS, "stream_options"),
    (Quirks::NO_PARALLEL_TOOL_CALLS, "parallel_tool_calls"),
    (Quirks::NO_STORE, "store"),
    (Quirks::NO_STORE, "metadata"),
    (Quirks::NO_REASONING_EFFORT, "reasoning_effort"),
];

/// A client's body as the server takes it, and the fields that were dropped.
/// The same bytes where nothing applies.
#[must_use]
pub fn adapt(body: &Bytes, quirks: Quirks) -> (Bytes, Vec<String>) {
    let Ok(text) = std::str::from_utf8(body) else { return (body.clone(), Vec::new()) };
    if quirks.is_empty() {
        return (body.clone(), Vec::new());
    }
    let mut adapting =
        Adapting { text, quirks, patches: Vec::new(), dropped: Vec::new(), instruction: None };
    adapting.body();
    if adapting.patches.is_empty() {
        return (body.clone(), Vec::new());
    }
    (json::patch(body, adapting.patches), adapting.dropped)
}

struct Adapting<'a> {
    text: &'a str,
    quirks: Quirks,
    patches: Vec<Patch>,
    dropped: Vec<String>,
    /// What the model must be told, since a field cannot say it.
    instruction: Option<String>,
}

impl<'a> Adapting<'a> {
    fn body(&mut self) {
        let whole = json::whole(self.text.as_bytes());
        let no_tools = self.find(&whole, "tools").is_some_and(|tools| !self.any_function(&tools));
        let newer = self.find(&whole, "max_completion_tokens").is_some();
        self.filter(&whole, |this, item| {
            let Some(key) = this.key(item) else { return true };
            let refused = REFUSED.iter().find(|(quirk, name)| key == *name && this.has(*quirk));
            if let Some((_, name)) = refused {
                this.drop(name);
                return false;
            }
            match &*key {
                "tools" | "tool_choice" if no_tools => {
                    this.drop(&key);
                    false
                }
                // The older one is ignored where both are understood.
                "max_tokens" => !(newer && this.has(Quirks::MAX_TOKENS)),
                _ => true,
            }
        });
        self.limit(&whole);
        if let Some(tools) = self.find(&whole, "tools").filter(|_| !no_tools) {
            self.tools(&tools);
        }
        if let Some(format) = self.find(&whole, "response_format") {
            self.format(&format);
        }
        if let Some(messages) = self.find(&whole, "messages") {
            self.messages(&messages);
        }
    }

    const fn has(&self, quirk: Quirks) -> bool {
        self.quirks.has(quirk)
    }

    fn drop(&mut self, field: &str) {
        if !self.dropped.iter().any(|known| known == field) {
            self.dropped.push(field.to_owned());
        }
    }

    fn key(&self, item: &Item) -> Option<Cow<'a, str>> {
        json::unquote(&self.text[item.key.clone()?])
    }

    fn item(&self, object: &Span, name: &str) -> Option<Item> {
        let text = self.text.as_bytes();
        let named =
            |item: &Item| item.key.as_ref().is_some_and(|key| json::key_is(text, key, name));
        Items::new(text, object).filter(named).last()
    }

    /// A member's value, unless it is null.
    fn find(&self, object: &Span, name: &str) -> Option<Span> {
        let value = self.item(object, name)?.value;
        (&self.text[value.clone()] != "null").then_some(value)
    }

    fn says(&self, object: &Span, name: &str) -> Option<Cow<'a, str>> {
        json::unquote(&self.text[self.find(object, name)?])
    }

    fn replace(&mut self, span: Span, text: String) {
        self.patches.push(Patch { span, text });
    }

    /// Takes the items out that are not to be kept, each with one comma.
    fn filter(&mut self, container: &Span, mut keep: impl FnMut(&mut Self, &Item) -> bool) {
        let mut any_kept = false;
        let text = self.text;
        for item in Items::new(text.as_bytes(), container) {
            if keep(self, &item) {
                any_kept = true;
                continue;
            }
            let start = item.key.as_ref().map_or(item.value.start, |key| key.start);
            let span = match (any_kept, item.comma_before, item.comma_after) {
                (true, Some(comma), _) => comma..item.value.end,
                (true, None, _) | (false, _, None) => start..item.value.end,
                (false, _, Some(comma)) => start..comma + 1,
            };
            self.replace(span, String::new());
        }
    }

    /// Takes one member out.
    fn without(&mut self, object: &Span, name: &str) {
        let text = self.text.as_bytes();
        self.filter(object, |_, item| {
            !item.key.as_ref().is_some_and(|key| json::key_is(text, key, name))
        });
    }

    fn limit(&mut self, whole: &Span) {
        if !self.has(Quirks::MAX_TOKENS) {
            return;
        }
        if let Some(key) = self.item(whole, "max_completion_tokens").and_then(|item| item.key) {
            self.replace(key, "\"max_tokens\"".to_owned());
        }
    }

    fn is_function(&self, tool: &Span) -> bool {
        self.says(tool, "type").is_none_or(|kind| kind == "function")
    }

    /// Whether the server is left with a tool, or had none.
    fn any_function(&self, tools: &Span) -> bool {
        let text = self.text.as_bytes();
        let mut items = Items::new(text, tools).peekable();
        !self.has(Quirks::FUNCTIONS_ONLY)
            || items.peek().is_none()
            || items.any(|item| self.is_function(&item.value))
    }

    fn tools(&mut self, tools: &Span) {
        let mut kept = Vec::new();
        self.filter(tools, |this, item| {
            let keep = !this.has(Quirks::FUNCTIONS_ONLY) || this.is_function(&item.value);
            if keep {
                kept.push(item.value.clone());
            } else {
                let kind = this.says(&item.value, "type").unwrap_or_default().into_owned();
                this.drop(&format!("tools[].{}", &kind[..kind.floor_char_boundary(40)]));
            }
            keep
        });
        for tool in kept {
            if let Some(function) = self.find(&tool, "function") {
                self.strict(&function, "tools[].strict");
            }
        }
    }

    /// A promise that is no longer made is a loss.
    fn strict(&mut self, object: &Span, field: &str) {
        if !self.has(Quirks::NO_STRICT) {
            return;
        }
        if self.find(object, "strict").is_some_and(|value| &self.text[value] == "true") {
            self.drop(field);
        }
        self.without(object, "strict");
    }

    fn format(&mut self, format: &Span) {
        let Some(schema) = self.find(format, "json_schema") else { return };
        if !self.has(Quirks::NO_JSON_SCHEMA) {
            return self.strict(&schema, "response_format.strict");
        }
        let inner = self.find(&schema, "schema");
        self.instruction = Some(schema_instruction(inner.map_or("{}", |span| &self.text[span])));
        self.replace(format.clone(), r#"{"type":"json_object"}"#.to_owned());
        self.drop("response_format");
    }

    fn messages(&mut self, messages: &Span) {
        if let Some(instruction) = self.instruction.take() {
            let patch = inserted(self.text.as_bytes(), messages, &instruction);
            self.patches.push(patch);
        }
        let touched = [Quirks::NO_DEVELOPER_ROLE, Quirks::NO_MESSAGE_NAMES, Quirks::SHORT_CALL_IDS];
        if !touched.iter().any(|quirk| self.has(*quirk)) {
            return;
        }
        let mut ids = Ids::new(true);
        let text = self.text;
        for item in Items::new(text.as_bytes(), messages) {
            self.message(&item.value, &mut ids);
        }
    }

    fn message(&mut self, message: &Span, ids: &mut Ids) {
        let Some(role) = self.find(message, "role") else { return };
        match json::unquote(&self.text[role.clone()]).as_deref() {
            Some("developer") if self.has(Quirks::NO_DEVELOPER_ROLE) => {
                self.replace(role, "\"system\"".to_owned());
            }
            // A function's message without its name says nothing.
            Some("function") | None => return,
            Some(_) => {}
        }
        if self.has(Quirks::NO_MESSAGE_NAMES) {
            self.without(message, "name");
        }
        if self.has(Quirks::SHORT_CALL_IDS) {
            self.id(message, "tool_call_id", ids);
            let calls = self.find(message, "tool_calls");
            let text = self.text;
            for call in calls.iter().flat_map(|calls| Items::new(text.as_bytes(), calls)) {
                self.id(&call.value, "id", ids);
            }
        }
    }

    fn id(&mut self, object: &Span, name: &str, ids: &mut Ids) {
        let Some(span) = self.find(object, name) else { return };
        let Some(id) = json::unquote(&self.text[span.clone()]) else { return };
        let sent = ids.of(&id);
        if *id != *sent {
            self.replace(span, json::quote(&sent));
        }
    }
}

#[cfg(test)]
mod tests;
