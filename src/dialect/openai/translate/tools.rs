//! Tools, their choice, and the promised format, written for a target.

use std::collections::BTreeSet;

use crate::dialect::hub::legend::FREE_TEXT_PARAMETER;
use crate::dialect::hub::{Block, Format, Role, Tool, ToolChoice, Untranslatable};
use crate::dialect::names::Rule;
use crate::dialect::node::Node;
use crate::dialect::target::Quirks;

use super::write::Writing;

/// What names of tools and formats may be.
pub const TOOL_NAMES: Rule = Rule { longest: 64, marks: "-", letter_first: false };

/// How deep a schema is looked at.
const DEEPEST_SCHEMA: u8 = 32;

/// The parameters of a tool that has none.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

impl Writing<'_, '_> {
    pub fn tools(&mut self) -> Result<(), Untranslatable> {
        let request = self.request;
        // Only OpenAI itself can be told of a selection.
        let selects = self.target.quirks.is_empty();
        let tools: Vec<&Tool<'_>> =
            if selects { request.tools.iter().collect() } else { request.allowed_tools() };
        if !tools.is_empty() {
            self.json.key("tools").open(b'[');
            for tool in &tools {
                self.tool(tool)?;
            }
            self.json.close(b']');
            self.choice(selects)?;
            self.parallel()?;
        }
        Ok(())
    }

    fn tool(&mut self, tool: &Tool<'_>) -> Result<(), Untranslatable> {
        if tool.cache_point {
            self.losses.tuning("cache_control")?;
        }
        let name = self.names.of(&tool.name);
        let kind = self.kind(tool.free_text);
        let json = self.json.open(b'{').text("type", kind).key(kind).open(b'{').text("name", &name);
        if let Some(description) = &tool.description {
            json.text("description", description);
        }
        match (tool.free_text, kind) {
            (true, "function") => {
                json.key("parameters").open(b'{').text("type", "object").key("properties");
                json.open(b'{').key(FREE_TEXT_PARAMETER).raw(r#"{"type":"string"}"#).close(b'}');
                json.key("required").open(b'[').string(FREE_TEXT_PARAMETER).close(b']');
                json.key("additionalProperties").bool(false).close(b'}');
                self.losses.tuning("tools[].custom")?;
                self.legend.free_text.push(tool.name.to_string());
            }
            (true, _) => {}
            (false, _) => self.parameters(tool)?,
        }
        self.json.close(b'}').close(b'}');
        Ok(())
    }

    const fn kind(&self, free_text: bool) -> &'static str {
        let custom = free_text && !self.target.quirks.has(Quirks::FUNCTIONS_ONLY);
        if custom { "custom" } else { "function" }
    }

    fn parameters(&mut self, tool: &Tool<'_>) -> Result<(), Untranslatable> {
        let schema = Node::new(tool.parameters.as_deref().unwrap_or(NO_PARAMETERS));
        let json = self.json.key("parameters");
        match schema.raw().strip_prefix('{') {
            // The type is demanded, and of a tool it can be no other.
            Some(rest) if schema.get("type").is_none() => {
                let comma = if schema.members().next().is_some() { "," } else { "" };
                json.raw(r#"{"type":"object""#).raw_more(comma).raw_more(rest);
            }
            Some(_) | None => _ = json.raw(schema.raw()),
        }
        let known = !self.has(Quirks::NO_STRICT);
        match tool.strict {
            Some(true) if known && is_strict(schema, 0) => _ = self.json.key("strict").bool(true),
            Some(true) => self.losses.tuning("tools[].strict")?,
            Some(false) if known => _ = self.json.key("strict").bool(false),
            Some(false) | None => {}
        }
        Ok(())
    }

    /// `selects`: the target can be told which of the tools are allowed.
    fn choice(&mut self, selects: bool) -> Result<(), Untranslatable> {
        let request = self.request;
        let forced = self.target.abilities.forced_tools;
        match &request.tool_choice {
            None => {}
            Some(ToolChoice::Auto) => _ = self.json.text("tool_choice", "auto"),
            Some(ToolChoice::Never) => _ = self.json.text("tool_choice", "none"),
            Some(ToolChoice::Required | ToolChoice::Named(_)) if !forced => self.unforced()?,
            Some(ToolChoice::Required) => _ = self.json.text("tool_choice", "required"),
            Some(ToolChoice::Named(name)) => {
                self.json.key("tool_choice");
                self.named(name, self.request.free_text_tools().contains(&**name));
            }
            Some(ToolChoice::Among { names, required }) => {
                let mode = if *required && forced { "required" } else { "auto" };
                if *required && !forced {
                    self.losses.tuning("tool_choice")?;
                }
                if !selects {
                    self.json.text("tool_choice", mode);
                    return Ok(());
                }
                self.json.key("tool_choice").open(b'{').text("type", "allowed_tools");
                self.json.key("allowed_tools").open(b'{').text("mode", mode);
                self.json.key("tools").open(b'[');
                let free_text = self.request.free_text_tools();
                for name in names {
                    self.named(name, free_text.contains(&**name));
                }
                self.json.close(b']').close(b'}').close(b'}');
            }
        }
        Ok(())
    }

    fn unforced(&mut self) -> Result<(), Untranslatable> {
        self.json.text("tool_choice", "auto");
        self.losses.tuning("tool_choice")
    }

    fn named(&mut self, name: &str, free_text: bool) {
        let sent = self.names.of(name);
        let kind = self.kind(free_text);
        self.json.open(b'{').text("type", kind).key(kind).open(b'{').text("name", &sent);
        self.json.close(b'}').close(b'}');
    }

    fn parallel(&mut self) -> Result<(), Untranslatable> {
        match self.request.parallel_tools {
            None => Ok(()),
            Some(parallel) if self.has(Quirks::NO_PARALLEL_TOOL_CALLS) => {
                // Several at once are what it does anyway.
                if parallel { Ok(()) } else { self.losses.tuning("parallel_tool_calls") }
            }
            Some(parallel) => {
                self.json.key("parallel_tool_calls").bool(parallel);
                Ok(())
            }
        }
    }

    pub fn format(&mut self) -> Result<(), Untranslatable> {
        let request = self.request;
        let (name, description, schema, strict) = match &request.format {
            None => return Ok(()),
            Some(Format::Json) => {
                self.json.key("response_format").raw(r#"{"type":"json_object"}"#);
                return Ok(());
            }
            Some(Format::Schema { name, description, schema, strict }) => {
                (name, description, schema, strict)
            }
        };
        if !self.takes_schemas() {
            self.losses.tuning("response_format")?;
            self.json.key("response_format").raw(r#"{"type":"json_object"}"#);
            return Ok(());
        }
        let name =
            TOOL_NAMES.plain(name.as_deref().filter(|name| !name.is_empty()).unwrap_or("answer"));
        let json = self.json.key("response_format").open(b'{').text("type", "json_schema");
        json.key("json_schema").open(b'{').text("name", &name);
        if let Some(description) = description {
            json.text("description", description);
        }
        json.key("schema").raw(schema);
        let promised = *strict != Some(false) && is_strict(Node::new(schema), 0);
        match (promised, self.has(Quirks::NO_STRICT)) {
            (true, false) => _ = self.json.key("strict").bool(true),
            (true, true) | (false, _) if *strict == Some(true) => {
                self.losses.tuning("response_format.strict")?;
            }
            (true, true) | (false, _) => {}
        }
        self.json.close(b'}').close(b'}');
        Ok(())
    }

    const fn takes_schemas(&self) -> bool {
        let refused = self.target.quirks.has(Quirks::NO_JSON_SCHEMA);
        self.target.abilities.structured_output && !refused
    }

    /// What the model is told of the format, where the fields do not say it.
    /// `OpenAI` refuses to promise JSON unless the messages ask for it too.
    pub fn format_instruction(&self) -> Option<String> {
        match &self.request.format {
            Some(Format::Schema { schema, .. }) if !self.takes_schemas() => {
                Some(schema_instruction(schema))
            }
            Some(Format::Json) if !self.speaks_of_json() => {
                Some("Answer with a JSON object and nothing else.".to_owned())
            }
            Some(Format::Schema { .. } | Format::Json) | None => None,
        }
    }

    fn speaks_of_json(&self) -> bool {
        let heard = self.request.turns.iter().filter(|turn| turn.role != Role::Assistant);
        let mut blocks = self.request.system.iter().chain(heard.flat_map(|turn| &turn.blocks));
        let json = |text: &str| text.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"json"));
        blocks.any(|block| matches!(block, Block::Text(text) if json(text)))
    }
}

/// Asks for a format where no field can.
pub fn schema_instruction(schema: &str) -> String {
    format!(
        "Answer with a JSON object that matches this JSON Schema, and with nothing else:\n{schema}"
    )
}

/// Whether `OpenAI` takes a schema as strict (wire formats §4.9): every object
/// names all its properties as required and allows no others.
fn is_strict(schema: Node<'_>, depth: u8) -> bool {
    if depth > DEEPEST_SCHEMA {
        return false;
    }
    if schema.is_array() {
        return schema.items().all(|item| is_strict(item, depth + 1));
    }
    let object = schema.text("type").as_deref() == Some("object");
    if object || schema.get("properties").is_some_and(Node::is_object) {
        let closed = schema.get("additionalProperties").and_then(Node::bool) == Some(false);
        let required: BTreeSet<_> = schema
            .get("required")
            .into_iter()
            .flat_map(Node::items)
            .filter_map(Node::str)
            .collect();
        let mut properties = schema.get("properties").into_iter().flat_map(Node::members);
        if !closed || !properties.all(|(name, _)| required.contains(&name)) {
            return false;
        }
    }
    (depth > 0 || schema.is_object())
        && schema.members().all(|(_, value)| is_strict(value, depth + 1))
}
