//! A hub request for a provider that speaks this dialect. Owns what a model's
//! abilities mean for the fields; the messages are [`turns`](super::turns)'.

use std::fmt::Write as _;

use bytes::Bytes;

use super::ids;
use super::schema;
use super::turns::{self, Messages, Writing, text_json};
use crate::dialect::hub::legend::{FORMAT_TOOL, FREE_TEXT_PARAMETER};
use crate::dialect::hub::{
    Block, Effort, Format, Gravity, Legend, Losses, Reasoning, Request, Tool, ToolChoice,
    Untranslatable,
};
use crate::dialect::json;
use crate::dialect::names::Names;
use crate::dialect::node::Node;
use crate::dialect::target::{Abilities, SamplingRule, Target, Thinking, Written};

/// The limit where neither the client nor the catalog says one; it is required.
const DEFAULT_LIMIT: u32 = 4096;

/// The least budget for thinking.
const LEAST_BUDGET: u32 = 1024;

/// The longest name of an end user.
const MAX_USER: usize = 256;

/// What stands for JSON mode.
const JSON_MODE: &str = "Answer with one JSON object and nothing else: no introduction, no \
                         comment, no code fence.";

/// Writes a request for a target of this dialect.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut losses = Losses::new(target.strictness);
    let mut legend = Legend::default();
    let mut names = ids::names(request);
    legend.names = names.legend();
    let answer = answer_form(request, target.abilities, &mut names, &mut legend, &mut losses)?;
    let mut writing = Writing {
        names: &names,
        losses: &mut losses,
        cache_points: 0,
        system_turns: target.abilities.system_turns,
        prefill: target.abilities.prefill,
    };
    let tools = tools(request, target.abilities, &answer, &mut writing, &mut legend)?;
    let system = system(request, &answer, &mut writing)?;
    let messages = turns::messages(&request.turns, &mut writing)?;
    let choice = tool_choice(request, target.abilities, &answer, &mut writing)?;
    let choice = if tools.is_empty() { Choice::default() } else { choice };
    let thinking = thinking(request, target.abilities, &messages, &choice, &mut losses)?;
    refuse(request, &mut losses)?;

    let mut body = format!(r#"{{"model":{}"#, json::quote(target.model));
    let _ = write!(body, r#","max_tokens":{}"#, thinking.limit);
    body.push_str(&system);
    let _ = write!(body, r#","messages":{}"#, messages.json);
    if !tools.is_empty() {
        let _ = write!(body, r#","tools":[{tools}]"#);
    }
    body.push_str(&choice.json);
    body.push_str(&thinking.json);
    body.push_str(&output_config(&answer, thinking.effort));
    body.push_str(&sampling(request, target.abilities, thinking.on, &mut losses)?);
    body.push_str(&rest(request, &mut losses)?);
    body.push('}');
    Ok(Written { body: Bytes::from(body), dropped: losses.into_dropped(), legend })
}

/// How the promised form of the answer is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct AnswerForm {
    /// The schema, where the model takes one.
    schema: Option<String>,
    /// The tool's definition that stands for it.
    tool: Option<(String, String)>,
    /// An instruction.
    words: Option<String>,
}

fn answer_form(
    request: &Request<'_>,
    abilities: &Abilities,
    names: &mut Names,
    legend: &mut Legend,
    losses: &mut Losses,
) -> Result<AnswerForm, Untranslatable> {
    let (schema, description) = match &request.format {
        None => return Ok(AnswerForm::default()),
        Some(Format::Json) => {
            losses.tuning("response_format")?;
            return Ok(AnswerForm { words: Some(JSON_MODE.to_owned()), ..AnswerForm::default() });
        }
        Some(Format::Schema { schema, description, .. }) => (schema, description),
    };
    if abilities.structured_output
        && let Some(schema) = schema::closed(schema)
    {
        return Ok(AnswerForm { schema: Some(schema), ..AnswerForm::default() });
    }
    // The client insists on a call: its arguments are the answer.
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
        return Ok(AnswerForm::default());
    }
    if abilities.forced_tools
        && let Some(parameters) = object_schema(Some(schema))
    {
        let name = names.fresh(FORMAT_TOOL);
        let about = description.as_deref().unwrap_or("Give the answer with this tool.");
        let definition = format!(
            r#"{{"name":{},"description":{},"input_schema":{parameters}}}"#,
            json::quote(&name),
            json::quote(about)
        );
        legend.format_tool = Some(name.clone());
        return Ok(AnswerForm { tool: Some((name, definition)), ..AnswerForm::default() });
    }
    losses.lose("response_format", Gravity::Meaning, "the model takes no schema")?;
    let words = format!("{JSON_MODE} It must hold to this JSON Schema: {schema}");
    Ok(AnswerForm { words: Some(words), ..AnswerForm::default() })
}

/// A tool's schema, which must be an object's; `None` if it is another's.
fn object_schema(schema: Option<&str>) -> Option<String> {
    const ANY: &str = r#"{"type":"object"}"#;
    let Some(schema) = schema.map(Node::new).filter(|schema| schema.is_object()) else {
        return Some(ANY.to_owned());
    };
    match schema.get("type") {
        Some(kind) if kind.raw() == r#""object""# => Some(schema.raw().to_owned()),
        Some(_) => None,
        None if schema.members().next().is_none() => Some(ANY.to_owned()),
        None => Some(format!(r#"{{"type":"object",{}"#, &schema.raw()[1..])),
    }
}

fn tools(
    request: &Request<'_>,
    abilities: &Abilities,
    answer: &AnswerForm,
    writing: &mut Writing<'_>,
    legend: &mut Legend,
) -> Result<String, Untranslatable> {
    let mut out = Vec::new();
    for tool in request.allowed_tools() {
        out.push(tool_json(tool, abilities, writing, legend)?);
    }
    if request.tools.is_empty() {
        out.extend(past_tools(request, writing.names));
    }
    out.extend(answer.tool.iter().map(|(_, definition)| definition.clone()));
    Ok(out.join(","))
}

fn tool_json(
    tool: &Tool<'_>,
    abilities: &Abilities,
    writing: &mut Writing<'_>,
    legend: &mut Legend,
) -> Result<String, Untranslatable> {
    let mut out = format!(r#"{{"name":{}"#, json::quote(&writing.names.get(&tool.name)));
    if let Some(description) = &tool.description {
        let _ = write!(out, r#","description":{}"#, json::quote(description));
    }
    if tool.free_text {
        writing.losses.tuning("tools[].custom")?;
        legend.free_text.push(tool.name.to_string());
        let _ = write!(
            out,
            r#","input_schema":{{"type":"object","properties":{{"{FREE_TEXT_PARAMETER}":{{"type":"string"}}}},"required":["{FREE_TEXT_PARAMETER}"]}}"#
        );
    } else {
        let strict = tool.strict.filter(|_| abilities.structured_output);
        let closed = tool.parameters.as_deref().filter(|_| strict == Some(true));
        let closed = closed.and_then(schema::closed);
        let schema = object_schema(closed.as_deref().or(tool.parameters.as_deref()));
        let Some(schema) = schema else {
            let reason = "the parameters are no object";
            return Err(Untranslatable::new("tools[].parameters", reason));
        };
        let _ = write!(out, r#","input_schema":{schema}"#);
        if let Some(strict) = strict {
            let _ = write!(out, r#","strict":{strict}"#);
        }
    }
    if tool.cache_point {
        out.push_str(&writing.cache_control(None)?);
    }
    out.push('}');
    Ok(out)
}

/// The tools that were called in a conversation whose tools are gone: calls
/// without any definition are refused.
fn past_tools(request: &Request<'_>, names: &Names) -> Vec<String> {
    let blocks = request.turns.iter().flat_map(|turn| &turn.blocks);
    let called = blocks.filter_map(|block| match block {
        Block::Call(call) => Some(names.get(&call.name).into_owned()),
        Block::Text(_)
        | Block::Media(_)
        | Block::Thought(_)
        | Block::Result(_)
        | Block::Refusal(_)
        | Block::CachePoint(_) => None,
    });
    let called: std::collections::BTreeSet<String> = called.collect();
    let definition = |name: String| {
        format!(r#"{{"name":{},"input_schema":{{"type":"object"}}}}"#, json::quote(&name))
    };
    called.into_iter().map(definition).collect()
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Choice {
    json: String,
    /// A call is demanded: then the model may not think.
    forced: bool,
}

fn tool_choice(
    request: &Request<'_>,
    abilities: &Abilities,
    answer: &AnswerForm,
    writing: &mut Writing<'_>,
) -> Result<Choice, Untranslatable> {
    let named = |name: &str| format!(r#""type":"tool","name":{}"#, json::quote(name));
    let any = || r#""type":"any""#.to_owned();
    let never = r#""type":"none""#;
    let wanted = match (&answer.tool, &request.tool_choice) {
        (Some((tool, _)), Some(ToolChoice::Never)) => Some(named(tool)),
        (Some((tool, _)), _) if request.tools.is_empty() => Some(named(tool)),
        (Some(_), _) => Some(any()),
        (None, _) if request.tools.is_empty() => Some(never.to_owned()),
        (None, Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. })) => {
            Some(r#""type":"auto""#.to_owned())
        }
        (None, Some(ToolChoice::Never)) => Some(never.to_owned()),
        (None, Some(ToolChoice::Required | ToolChoice::Among { required: true, .. })) => {
            Some(any())
        }
        (None, Some(ToolChoice::Named(name))) => Some(named(&writing.names.get(name))),
        (None, None) => None,
    };
    let force = |wanted: &str| wanted != never && wanted != r#""type":"auto""#;
    let mut forced = wanted.as_deref().is_some_and(force);
    let mut wanted = wanted;
    if forced && !abilities.forced_tools {
        writing.losses.lose("tool_choice", Gravity::Tuning, "the model decides itself")?;
        forced = false;
        wanted = Some(r#""type":"auto""#.to_owned());
    }
    let auto = || r#""type":"auto""#.to_owned();
    let json = match (request.parallel_tools, wanted) {
        (None, None) => String::new(),
        (None, Some(wanted)) => format!(r#","tool_choice":{{{wanted}}}"#),
        (Some(_), Some(wanted)) if wanted == never => format!(r#","tool_choice":{{{wanted}}}"#),
        (Some(parallel), wanted) => format!(
            r#","tool_choice":{{{},"disable_parallel_tool_use":{}}}"#,
            wanted.unwrap_or_else(auto),
            !parallel
        ),
    };
    Ok(Choice { json, forced })
}

fn system(
    request: &Request<'_>,
    answer: &AnswerForm,
    writing: &mut Writing<'_>,
) -> Result<String, Untranslatable> {
    let mut blocks: Vec<String> = Vec::new();
    for block in &request.system {
        match block {
            Block::Text(text) if text.trim().is_empty() => {}
            Block::Text(text) => blocks.push(text_json(text)),
            Block::CachePoint(ttl) => {
                if let Some(last) = blocks.last_mut().filter(|b| !b.contains("cache_control")) {
                    let member = writing.cache_control(ttl.as_deref())?;
                    last.insert_str(last.len() - 1, &member);
                }
            }
            // The hub puts nothing else here.
            Block::Media(_)
            | Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_) => {}
        }
    }
    blocks.extend(answer.words.as_deref().map(text_json));
    if blocks.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(r#","system":[{}]"#, blocks.join(",")))
}

/// What thinking makes of the request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Thought {
    json: String,
    effort: Option<Effort>,
    on: bool,
    /// `max_tokens`.
    limit: u32,
}

fn thinking(
    request: &Request<'_>,
    abilities: &Abilities,
    messages: &Messages,
    choice: &Choice,
    losses: &mut Losses,
) -> Result<Thought, Untranslatable> {
    let limit = limit(request, abilities, losses)?;
    let plain = Thought { limit, ..Thought::default() };
    let Some(reasoning) = request.reasoning else { return Ok(plain) };
    let off = reasoning.effort() == Some(Effort::None);
    if abilities.thinking == Thinking::No {
        if !off {
            losses.tuning("reasoning_effort")?;
        }
        return Ok(plain);
    }
    if off && abilities.always_thinks {
        losses.tuning("reasoning_effort")?;
        return Ok(Thought { effort: Some(Effort::Low), ..plain });
    }
    if off {
        return Ok(Thought { json: r#","thinking":{"type":"disabled"}"#.to_owned(), ..plain });
    }
    let adaptive = match abilities.thinking {
        Thinking::No | Thinking::Budget => false,
        Thinking::Effort => true,
        Thinking::Both => reasoning.budget.is_none() || messages.unthought_calls,
    };
    let effort = adaptive.then(|| reasoning.effort()).flatten().map(|e| e.max(Effort::Low));
    // A demanded call leaves no room to think.
    if choice.forced {
        losses.tuning("reasoning_effort")?;
        return Ok(Thought { effort, ..plain });
    }
    if adaptive {
        let json = format!(r#","thinking":{{"type":"adaptive"{}}}"#, display(&reasoning));
        return Ok(Thought { json, effort, on: true, limit });
    }
    budgeted(request, abilities, &reasoning, messages, plain, losses)
}

fn display(reasoning: &Reasoning) -> &'static str {
    match reasoning.shown {
        None => "",
        Some(true) => r#","display":"summarized""#,
        Some(false) => r#","display":"omitted""#,
    }
}

/// Thinking by a budget, which must leave room for the answer, and which asks
/// that the calls being answered were thought about.
fn budgeted(
    request: &Request<'_>,
    abilities: &Abilities,
    reasoning: &Reasoning,
    messages: &Messages,
    plain: Thought,
    losses: &mut Losses,
) -> Result<Thought, Untranslatable> {
    let budget = reasoning.budget().unwrap_or(Effort::Medium.budget()).max(LEAST_BUDGET);
    let limit = if request.max_output_tokens.is_some() {
        plain.limit
    } else {
        let most = abilities.max_output.unwrap_or(u32::MAX);
        plain.limit.max(budget.saturating_add(DEFAULT_LIMIT)).min(most)
    };
    let room = limit - limit / 4;
    let budget = if budget < limit { budget } else { budget.min(room) };
    if budget < LEAST_BUDGET || budget >= limit || messages.unthought_calls || messages.prefilled {
        losses.tuning("reasoning_effort")?;
        return Ok(plain);
    }
    let display = display(reasoning);
    let json = format!(r#","thinking":{{"type":"enabled","budget_tokens":{budget}{display}}}"#);
    Ok(Thought { json, effort: None, on: true, limit })
}

fn limit(
    request: &Request<'_>,
    abilities: &Abilities,
    losses: &mut Losses,
) -> Result<u32, Untranslatable> {
    match (request.max_output_tokens, abilities.max_output) {
        (None, most) => Ok(most.unwrap_or(DEFAULT_LIMIT).max(1)),
        (Some(wanted), Some(most)) if wanted > most => {
            losses.tuning("max_tokens")?;
            Ok(most)
        }
        (Some(wanted), _) => Ok(wanted),
    }
}

fn output_config(answer: &AnswerForm, effort: Option<Effort>) -> String {
    let effort = effort.map(|effort| format!(r#""effort":"{}""#, effort.label()));
    let format = answer
        .schema
        .as_ref()
        .map(|schema| format!(r#""format":{{"type":"json_schema","schema":{schema}}}"#));
    let members: Vec<String> = effort.into_iter().chain(format).collect();
    if members.is_empty() {
        return String::new();
    }
    format!(r#","output_config":{{{}}}"#, members.join(","))
}

fn sampling(
    request: &Request<'_>,
    abilities: &Abilities,
    thinks: bool,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let sampling = &request.sampling;
    for (name, value) in [
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        if value.is_some() {
            losses.tuning(name)?;
        }
    }
    // While it thinks, nothing of this may be set.
    let free = match abilities.sampling {
        SamplingRule::Always | SamplingRule::WithoutReasoning => !thinks,
        SamplingRule::Never => false,
    };
    let mut out = String::new();
    let mut member = |name: &'static str, value: Option<&str>, allowed: bool| {
        match value {
            Some(value) if allowed => {
                let _ = write!(out, r#","{name}":{value}"#);
            }
            Some(_) => losses.tuning(name)?,
            None => {}
        }
        Ok(())
    };
    let high = sampling.temperature.is_some_and(|t| t.parse::<f64>().is_ok_and(|t| t > 1.0));
    let temperature = if high { Some("1") } else { sampling.temperature };
    member("temperature", temperature, free)?;
    // Recent models take only one of the two.
    member("top_p", sampling.top_p, free && temperature.is_none())?;
    member("top_k", sampling.top_k, free)?;
    Ok(out)
}

/// What cannot be said at all.
fn refuse(request: &Request<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    if request.choices > 1 {
        losses.lose("n", Gravity::Meaning, "there is one answer only")?;
    }
    if request.logprobs.is_some() {
        losses.lose("logprobs", Gravity::Meaning, "there are none")?;
    }
    Ok(())
}

fn rest(request: &Request<'_>, losses: &mut Losses) -> Result<String, Untranslatable> {
    let mut out = String::new();
    // A stop sequence of white space only is refused.
    let (stops, blank): (Vec<_>, Vec<_>) =
        request.stop.iter().partition(|stop| !stop.trim().is_empty());
    if !blank.is_empty() {
        losses.tuning("stop")?;
    }
    if !stops.is_empty() {
        let stops: Vec<String> = stops.into_iter().map(|stop| json::quote(stop)).collect();
        let _ = write!(out, r#","stop_sequences":[{}]"#, stops.join(","));
    }
    // Names that look like a person's are refused, and long ones.
    let user = request.user.as_ref().filter(|user| user.len() <= MAX_USER && !user.contains('@'));
    if let Some(user) = user {
        let _ = write!(out, r#","metadata":{{"user_id":{}}}"#, json::quote(user));
    }
    if request.stream {
        out.push_str(r#","stream":true"#);
    }
    Ok(out)
}
