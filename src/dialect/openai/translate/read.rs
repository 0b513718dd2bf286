//! The fields of a chat request, read (wire formats §1.1, §4.1).

use std::borrow::Cow;

use crate::dialect::hub::{Effort, Format, Gravity, Reasoning, Request, Tool, ToolChoice};
use crate::dialect::node::Node;
use crate::dialect::request::{Address, BadRequest};

use super::super::chunk::is_vacant;
use super::turns;

/// The most stop sequences; `OpenAI` takes four.
const MAX_STOPS: usize = 256;

/// Reads a request that passed `peek`.
pub fn read_request<'a>(body: &'a str, _address: &Address) -> Result<Request<'a>, BadRequest> {
    let mut request = Request::new();
    let mut more = More::default();
    for (key, value) in Node::new(body).members().filter(|(_, value)| !value.is_null()) {
        let known = limits(&mut request, &mut more, &key, value)?
            || sampling(&mut request, &key, value)?
            || reasoning(&mut request, &mut more, &key, value)?
            || tooling(&mut request, &key, value)?
            || identity(&mut request, &mut more, &key, value)?;
        if !known {
            unplaced(&mut request, key, value);
        }
    }
    more.settle(&mut request);
    Ok(request)
}

/// What depends on more than one field.
#[derive(Default)]
struct More<'a> {
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    logprobs: bool,
    top_logprobs: u32,
    reasoning: Reasoning,
    user: Option<Cow<'a, str>>,
    safety_identifier: Option<Cow<'a, str>>,
}

impl<'a> More<'a> {
    fn settle(self, request: &mut Request<'a>) {
        request.max_output_tokens = self.max_completion_tokens.or(self.max_tokens);
        request.logprobs = self.logprobs.then_some(self.top_logprobs);
        request.user = self.safety_identifier.or(self.user);
        request.reasoning = Some(self.reasoning).filter(|of| *of != Reasoning::default());
    }
}

pub fn wrong(param: &'static str, message: &str) -> BadRequest {
    BadRequest::new("invalid_value", Some(param), format!("{param} {message}"))
}

fn count(param: &'static str, value: Node<'_>) -> Result<u32, BadRequest> {
    value.u32().ok_or_else(|| wrong(param, "must be a whole number"))
}

fn flag(param: &'static str, value: Node<'_>) -> Result<bool, BadRequest> {
    value.bool().ok_or_else(|| wrong(param, "must be a boolean"))
}

fn text<'a>(param: &'static str, value: Node<'a>) -> Result<Cow<'a, str>, BadRequest> {
    value.str().ok_or_else(|| wrong(param, "must be a string"))
}

/// What the answer may be: its length, number and form. Whether the field is
/// one of these.
fn limits<'a>(
    request: &mut Request<'a>,
    more: &mut More<'a>,
    key: &str,
    value: Node<'a>,
) -> Result<bool, BadRequest> {
    match key {
        "max_tokens" => more.max_tokens = Some(count("max_tokens", value)?),
        "max_completion_tokens" => {
            more.max_completion_tokens = Some(count("max_completion_tokens", value)?);
        }
        "n" => request.choices = count("n", value)?.max(1),
        "stop" => request.stop = stops(value)?,
        "stream" => request.stream = flag("stream", value)?,
        "stream_options" => {
            let wanted = value.get("include_usage").and_then(Node::bool);
            request.include_usage = wanted.unwrap_or(false);
        }
        "logprobs" => more.logprobs = flag("logprobs", value)?,
        "top_logprobs" => more.top_logprobs = count("top_logprobs", value)?,
        "response_format" => format(request, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn stops(value: Node<'_>) -> Result<Vec<Cow<'_, str>>, BadRequest> {
    if let Some(stop) = value.str() {
        return Ok(vec![stop]);
    }
    let wrong = |message| Err(wrong("stop", message));
    if !value.is_array() {
        return wrong("must be a string or an array of strings");
    }
    let mut stops = Vec::new();
    for item in value.items() {
        match item.str() {
            Some(stop) if stops.len() < MAX_STOPS => stops.push(stop),
            Some(_) => return wrong("must have at most 256 elements"),
            None => return wrong("must be a string or an array of strings"),
        }
    }
    Ok(stops)
}

fn format<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<(), BadRequest> {
    let kind = value.text("type").ok_or_else(|| wrong("response_format", "must have a type"))?;
    request.format = match &*kind {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let missing = || wrong("response_format", "must have a json_schema");
            let schema = value.get("json_schema").filter(|n| n.is_object()).ok_or_else(missing)?;
            Some(Format::Schema {
                name: schema.text("name"),
                description: schema.text("description"),
                schema: schema.get("schema").map_or("{}", Node::raw).into(),
                strict: schema.get("strict").and_then(Node::bool),
            })
        }
        _ => {
            request.other("response_format", Gravity::Meaning);
            None
        }
    };
    Ok(())
}

/// How the model is to choose its words.
fn sampling<'a>(request: &mut Request<'a>, key: &str, value: Node<'a>) -> Result<bool, BadRequest> {
    let sampling = &mut request.sampling;
    let (param, place) = match key {
        "temperature" => ("temperature", &mut sampling.temperature),
        "top_p" => ("top_p", &mut sampling.top_p),
        "top_k" => ("top_k", &mut sampling.top_k),
        "seed" => ("seed", &mut sampling.seed),
        "frequency_penalty" => ("frequency_penalty", &mut sampling.frequency_penalty),
        "presence_penalty" => ("presence_penalty", &mut sampling.presence_penalty),
        _ => return Ok(false),
    };
    *place = Some(value.number().ok_or_else(|| wrong(param, "must be a number"))?);
    Ok(true)
}

/// How much the model is to think, and whether the client wants to see it. Only
/// the effort is `OpenAI`'s own; that the reasoning comes along as
/// `reasoning_content` is asked for as `OpenRouter`, Groq and others have it.
fn reasoning<'a>(
    request: &mut Request<'a>,
    more: &mut More<'a>,
    key: &str,
    value: Node<'a>,
) -> Result<bool, BadRequest> {
    match key {
        "reasoning_effort" => match Effort::named(&text("reasoning_effort", value)?) {
            Some(effort) => more.reasoning.effort = Some(effort),
            None => request.other("reasoning_effort", Gravity::Tuning),
        },
        "include_reasoning" => more.reasoning.shown = Some(flag("include_reasoning", value)?),
        "reasoning_format" => {
            more.reasoning.shown = Some(&*text("reasoning_format", value)? != "hidden");
        }
        "reasoning" if value.is_object() => {
            let excluded = value.get("exclude").and_then(Node::bool);
            more.reasoning.shown = Some(excluded != Some(true));
            let effort = value.text("effort").and_then(|word| Effort::named(&word));
            more.reasoning.effort = more.reasoning.effort.or(effort);
            more.reasoning.budget = value.get("max_tokens").and_then(Node::u32);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn tooling<'a>(request: &mut Request<'a>, key: &str, value: Node<'a>) -> Result<bool, BadRequest> {
    match key {
        "tools" => {
            if !value.is_array() {
                return Err(wrong("tools", "must be an array"));
            }
            request.tools.reserve_exact(room(value, MIN_TOOL));
            value.items().try_for_each(|item| tool(request, item))?;
        }
        "functions" => {
            if !value.is_array() {
                return Err(wrong("functions", "must be an array"));
            }
            if value.items().nth(MAX_FUNCTIONS).is_some() {
                return Err(wrong("functions", "must have at most 1024 elements"));
            }
            for item in value.items() {
                let name = item.text("name");
                let name = name.ok_or_else(|| wrong("functions", "must have names"))?;
                request.tools.push(function(name, item));
            }
        }
        "tool_choice" => request.tool_choice = choice("tool_choice", value)?,
        "function_call" => request.tool_choice = choice("function_call", value)?,
        "parallel_tool_calls" => {
            request.parallel_tools = Some(flag("parallel_tool_calls", value)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The least text a tool can have: `{"function":{"name":""}}`.
const MIN_TOOL: usize = 24;

/// The most legacy functions; they can be shorter than what is kept of them.
const MAX_FUNCTIONS: usize = 1024;

/// How many elements to make room for: no more than the text can hold of such
/// as have so many bytes at least.
pub fn room(list: Node<'_>, least: usize) -> usize {
    list.items().count().min(list.raw().len() / least)
}

fn tool<'a>(request: &mut Request<'a>, item: Node<'a>) -> Result<(), BadRequest> {
    if !item.is_object() {
        return Err(wrong("tools", "must hold objects"));
    }
    let named = |of: Node<'a>| of.text("name").ok_or_else(|| wrong("tools", "must have names"));
    let kind = item.text("type").unwrap_or("function".into());
    match (&*kind, item.get("function"), item.get("custom")) {
        ("function", Some(of), _) => request.tools.push(function(named(of)?, of)),
        ("custom", _, Some(of)) => {
            let description = free_text_description(request, of);
            request.tools.push(Tool {
                name: named(of)?,
                description,
                parameters: None,
                strict: None,
                free_text: true,
                cache_point: false,
            });
        }
        ("function", None, _) => return Err(wrong("tools", "must have a function")),
        _ => request.other(format!("tools[].{}", short(&kind)), Gravity::Meaning),
    }
    Ok(())
}

/// A word of the client's, cut to what a notice can show.
pub fn short(word: &str) -> &str {
    &word[..word.floor_char_boundary(40)]
}

fn function<'a>(name: Cow<'a, str>, of: Node<'a>) -> Tool<'a> {
    Tool {
        name,
        description: of.text("description"),
        parameters: of.get("parameters").filter(|node| node.is_object()).map(|n| n.raw().into()),
        strict: of.get("strict").and_then(Node::bool),
        free_text: false,
        cache_point: false,
    }
}

/// A grammar that the text must follow cannot be demanded of others; they are
/// told of it.
fn free_text_description<'a>(request: &mut Request<'a>, of: Node<'a>) -> Option<Cow<'a, str>> {
    let description = of.text("description");
    let grammar = of.get("format").filter(|format| format.text("type").as_deref() != Some("text"));
    let Some(grammar) = grammar else { return description };
    request.other("tools[].custom.format", Gravity::Tuning);
    let grammar = grammar.get("grammar").unwrap_or(grammar);
    let member = |name| grammar.text(name).unwrap_or_default();
    let (own, syntax, rules) =
        (description.unwrap_or_default(), member("syntax"), member("definition"));
    let told = format!("{own}\n\nThe input must follow this grammar ({syntax}):\n{rules}");
    Some(told.trim_start().to_owned().into())
}

fn choice<'a>(param: &'static str, value: Node<'a>) -> Result<Option<ToolChoice<'a>>, BadRequest> {
    let unknown = || wrong(param, "is none that is known");
    if let Some(word) = value.str() {
        return match &*word {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::Never)),
            "required" | "any" => Ok(Some(ToolChoice::Required)),
            _ => Err(unknown()),
        };
    }
    if let Some(allowed) = value.get("allowed_tools") {
        let names = allowed.get("tools").into_iter().flat_map(Node::items).filter_map(tool_name);
        let required = allowed.text("mode").as_deref() == Some("required");
        return Ok(Some(ToolChoice::Among { names: names.collect(), required }));
    }
    let name = tool_name(value).or_else(|| value.text("name"));
    Ok(Some(ToolChoice::Named(name.ok_or_else(unknown)?)))
}

/// The name in `{"type":"function","function":{"name":..}}`.
fn tool_name(node: Node<'_>) -> Option<Cow<'_, str>> {
    node.get("function").or_else(|| node.get("custom"))?.text("name")
}

/// The conversation, and who asks.
fn identity<'a>(
    request: &mut Request<'a>,
    more: &mut More<'a>,
    key: &str,
    value: Node<'a>,
) -> Result<bool, BadRequest> {
    match key {
        "messages" => turns::read(request, value)?,
        "model" => {}
        "user" => more.user = Some(text("user", value)?),
        "safety_identifier" => {
            more.safety_identifier = Some(text("safety_identifier", value)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Fields without a place (wire formats §4.1, the policy column).
const UNPLACED: &[(&str, Gravity)] = &[
    ("logit_bias", Gravity::Tuning),
    ("verbosity", Gravity::Tuning),
    ("prediction", Gravity::Tuning),
    ("prompt_cache_key", Gravity::Tuning),
    ("prompt_cache_retention", Gravity::Tuning),
    ("prompt_cache_options", Gravity::Tuning),
    ("store", Gravity::Tuning),
    ("audio", Gravity::Meaning),
    ("web_search_options", Gravity::Meaning),
    ("metadata", Gravity::Nothing),
    ("service_tier", Gravity::Nothing),
];

fn unplaced<'a>(request: &mut Request<'a>, key: Cow<'a, str>, value: Node<'a>) {
    if is_vacant(value.raw()) && key != "web_search_options" {
        return;
    }
    let gravity = match &*key {
        "modalities" => {
            let spoken = value.items().any(|item| item.str().is_some_and(|word| word != "text"));
            if spoken { Gravity::Meaning } else { Gravity::Nothing }
        }
        "moderation" if blocks(value) => Gravity::Meaning,
        _ => {
            let known = UNPLACED.iter().find(|(name, _)| *name == key);
            known.map_or(Gravity::Tuning, |(_, gravity)| *gravity)
        }
    };
    request.other(key, gravity);
}

/// Whether a moderation's policy withholds something.
fn blocks(moderation: Node<'_>) -> bool {
    let policy = moderation.get("policy").into_iter();
    policy.flat_map(Node::members).any(|(_, rule)| rule.str().as_deref() == Some("block"))
}
