//! Requests: every field of the internal form.

use backstay::dialect::hub::{
    Block, Effort, Format, Reasoning, Request, Role, Sampling, Strictness, Tool, ToolChoice, Turn,
};
use backstay::dialect::target::Thinking;
use backstay::dialect::{Abilities, Address, Dialect, Framing, Quirks, Target, Task};
use proptest::prelude::*;

use super::turns::{system, turns};
use super::{Can, can, maybe, text};

const PARAMETERS: &str = r#"{"type":"object","properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false}"#;

fn tool(name: String) -> Tool<'static> {
    Tool {
        name: name.into(),
        description: None,
        parameters: Some(PARAMETERS.into()),
        strict: None,
        free_text: false,
        cache_point: false,
    }
}

fn tools(can: Can) -> impl Strategy<Value = Vec<Tool<'static>>> {
    let about = (
        proptest::option::of(text()),
        maybe(can.strict_tools, any::<bool>()),
        any::<bool>(),
        any::<bool>(),
    );
    proptest::collection::btree_map("[a-z]{3,8}", about, 0..3).prop_map(move |named| {
        let tools = named.into_iter().map(|(name, (description, strict, free_text, cached))| {
            let free_text = free_text && can.free_text;
            let cached = cached && can.cache_points;
            let plain = tool(name);
            Tool {
                description: description.map(Into::into),
                parameters: plain.parameters.clone().filter(|_| !free_text),
                strict: strict.filter(|_| !free_text),
                free_text,
                cache_point: cached,
                ..plain
            }
        });
        tools.collect()
    })
}

fn choice(can: Can, kind: u8, tools: &[Tool<'static>]) -> Option<ToolChoice<'static>> {
    let first = tools.first()?;
    let among = |required| ToolChoice::Among {
        names: tools.iter().map(|tool| tool.name.clone()).collect(),
        required,
    };
    match kind {
        0 => Some(ToolChoice::Auto),
        1 => Some(ToolChoice::Never),
        2 => Some(ToolChoice::Required),
        3 => Some(ToolChoice::Named(first.name.clone())),
        // One that must be called is a named one.
        4 if can.among && tools.len() > 1 => Some(among(true)),
        5 if can.among => Some(among(false)),
        _ => None,
    }
}

fn format(can: Can) -> impl Strategy<Value = Option<Format<'static>>> {
    (0..3_u8, maybe(can.names_of_formats, text())).prop_map(move |(kind, description)| match kind {
        0 => Some(Format::Json).filter(|_| can.any_json),
        1 => Some(Format::Schema {
            name: can.names_of_formats.then(|| "answer".into()),
            description: description.map(Into::into),
            schema: PARAMETERS.into(),
            strict: can.names_of_formats.then_some(true),
        }),
        _ => None,
    })
}

fn sampling(can: Can) -> impl Strategy<Value = Sampling<'static>> {
    any::<[bool; 5]>().prop_map(move |[temperature, top_p, top_k, seed, penalty]| Sampling {
        temperature: temperature.then_some("0.50"),
        top_p: (top_p && !temperature).then_some("0.9"),
        top_k: (top_k && can.top_k).then_some("40"),
        seed: (seed && can.seed_and_penalties).then_some("7"),
        frequency_penalty: (penalty && can.seed_and_penalties).then_some("0.1"),
        presence_penalty: (penalty && can.seed_and_penalties).then_some("-0.1"),
    })
}

fn reasoning(can: Can) -> impl Strategy<Value = Option<Reasoning>> {
    let effort = proptest::sample::select(can.efforts().to_vec())
        .prop_map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() });
    let budget = (1024..8000_u32)
        .prop_map(|budget| Reasoning { budget: Some(budget), ..Reasoning::default() });
    let of = (any::<bool>(), effort, budget).prop_map(move |(which, effort, budget)| {
        if which && can.budgets { budget } else { effort }
    });
    let both = (of, maybe(can.shown, any::<bool>())).prop_map(move |(reasoning, shown)| {
        // Where nothing is thought, nothing is shown; and Responses shows by a
        // kind of summary, or not at all.
        let off = reasoning.effort == Some(Effort::None);
        let shown = shown.filter(|shown| !off && (*shown || can.dialect != Dialect::Responses));
        Reasoning { shown, ..reasoning }
    });
    maybe(true, both)
}

#[derive(Clone, Debug)]
struct Limits {
    output: u32,
    stop: Vec<String>,
    choices: u32,
    logprobs: Option<u32>,
}

fn limits(can: Can) -> impl Strategy<Value = Limits> {
    let stop = proptest::collection::vec("[A-Z]{2,5}", 0..=(if can.stop { 4 } else { 0 }));
    let choices = 1..=(if can.choices { 8_u32 } else { 1 });
    // Responses asks for none by their number.
    let least = u32::from(can.dialect == Dialect::Responses);
    (9000..10_000_u32, stop, choices, maybe(can.logprobs, least..20_u32))
        .prop_map(|(output, stop, choices, logprobs)| Limits { output, stop, choices, logprobs })
}

pub fn request(can: Can) -> impl Strategy<Value = Request<'static>> {
    let settings =
        (sampling(can), reasoning(can), maybe(can.user, "[a-z0-9-]{1,9}"), any::<bool>());
    let parts = (system(can), turns(can), tools(can), 0..7_u8, format(can), limits(can));
    (parts, settings, proptest::option::of(any::<bool>())).prop_map(
        move |((system, turns, tools, kind, format, limits), settings, parallel)| {
            let (sampling, reasoning, user, stream) = settings;
            let request = Request {
                system,
                turns,
                tool_choice: choice(can, kind, &tools),
                parallel_tools: parallel,
                tools,
                format,
                max_output_tokens: Some(limits.output),
                stop: limits.stop.into_iter().map(Into::into).collect(),
                choices: limits.choices,
                logprobs: limits.logprobs,
                sampling,
                reasoning,
                user: user.map(Into::into),
                stream,
                include_usage: can.dialect != Dialect::OpenAi || stream,
                ..Request::new()
            };
            consistent(can, request)
        },
    )
}

/// What goes together. Where a tool was called or JSON is wanted, some providers
/// insist on tools and on the word, and the writers add what is missing.
fn consistent(can: Can, mut request: Request<'static>) -> Request<'static> {
    if request.tools.is_empty() && request.turns.len() > 1 {
        request.tools.push(tool("known".to_owned()));
    }
    if request.format == Some(Format::Json) {
        let say = |role, text: &'static str| Turn { role, blocks: vec![Block::Text(text.into())] };
        request.turns.insert(0, say(Role::User, "Answer in JSON."));
        request.turns.insert(1, say(Role::Assistant, "Yes."));
    }
    request.parallel_tools = request.parallel_tools.filter(|_| match can.dialect {
        Dialect::OpenAi | Dialect::Responses => !request.tools.is_empty(),
        Dialect::Anthropic => !matches!(request.tool_choice, None | Some(ToolChoice::Never)),
        Dialect::Gemini => false,
    });
    few_cache_points(&mut request);
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    let thinks = request.reasoning.is_some_and(|of| of.effort != Some(Effort::None));
    if can.dialect == Dialect::Anthropic && thinks {
        // Then nothing is sampled, and no call demanded.
        request.sampling = Sampling::default();
        if forced {
            request.tool_choice = Some(ToolChoice::Auto);
        }
        // By a budget only if all calls were thought about.
        if request.turns.len() > 1 {
            request.reasoning = request.reasoning.map(|of| match of.budget {
                Some(_) => Reasoning { budget: None, effort: Some(Effort::High), ..of },
                None => of,
            });
        }
    }
    request
}

/// There may be four.
fn few_cache_points(request: &mut Request<'_>) {
    let mut left = 4;
    for tool in &mut request.tools {
        tool.cache_point &= left > 0;
        left -= usize::from(tool.cache_point);
    }
    let mut keep = |block: &Block<'_>| {
        let point = matches!(block, Block::CachePoint(_));
        let kept = !point || left > 0;
        left -= usize::from(point && kept);
        kept
    };
    request.system.retain(&mut keep);
    for turn in &mut request.turns {
        turn.blocks.retain(&mut keep);
    }
}

/// What may differ: the names that results repeat, whether tools are strict
/// where the default is written out, and where a party's turn is cut in two.
fn comparable<'a>(request: &Request<'a>, can: Can) -> Request<'a> {
    let mut request = request.clone();
    for tool in &mut request.tools {
        tool.strict = tool.strict.filter(|strict| *strict);
    }
    let mut merged: Vec<Turn<'a>> = Vec::new();
    for mut turn in std::mem::take(&mut request.turns) {
        for block in &mut turn.blocks {
            if let (Block::Result(result), true) = (block, can.call_ids) {
                result.name = None;
            }
        }
        match merged.last_mut() {
            Some(last) if last.role == turn.role => last.blocks.append(&mut turn.blocks),
            _ => merged.push(turn),
        }
    }
    request.turns = merged;
    request
}

/// A model that can do all that the request asks.
fn abilities(dialect: Dialect, request: &Request<'_>) -> Abilities {
    let by_budget = request.reasoning.is_some_and(|reasoning| reasoning.budget.is_some());
    Abilities {
        thinking: if by_budget { Thinking::Budget } else { Thinking::Effort },
        system_turns: true,
        // Gemini would be given one where there is none.
        call_signatures: dialect == Dialect::OpenAi,
        ..Abilities::unknown()
    }
}

fn check(dialect: Dialect, request: &Request<'_>) -> Result<(), TestCaseError> {
    let abilities = abilities(dialect, request);
    let (quirks, strictness) = (Quirks::NONE, Strictness::Strict);
    let target = Target { model: "m", abilities: &abilities, quirks, strictness };
    let written = dialect.write_request(request, &target);
    let written = written.map_err(|lost| TestCaseError::fail(lost.to_string()))?;
    prop_assert!(written.dropped.is_empty() && written.legend.is_empty(), "{:?}", written);
    let body = std::str::from_utf8(&written.body).expect("UTF-8");
    let model = (dialect == Dialect::Gemini).then(|| "m".to_owned());
    let address = Address { model, stream: request.stream, framing: Framing::Sse };
    let peek = dialect.peek(Task::Generate, body.as_bytes(), &address);
    let peek = peek.map_err(|bad| TestCaseError::fail(format!("{bad}: {body}")))?;
    prop_assert_eq!(peek.stream, request.stream);
    prop_assert_eq!(peek.max_output_tokens, request.max_output_tokens);
    let read = dialect.read_request(body, &address);
    let read = read.map_err(|bad| TestCaseError::fail(format!("{bad}: {body}")))?;
    let can = can(dialect);
    let (read, request) = (comparable(&read, can), comparable(request, can));
    prop_assert_eq!(read, request, "{}", body);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn chat_completions_keep_a_request(request in request(can(Dialect::OpenAi))) {
        check(Dialect::OpenAi, &request)?;
    }

    #[test]
    fn responses_keep_a_request(request in request(can(Dialect::Responses))) {
        check(Dialect::Responses, &request)?;
    }

    #[test]
    fn anthropic_keeps_a_request(request in request(can(Dialect::Anthropic))) {
        check(Dialect::Anthropic, &request)?;
    }

    #[test]
    fn gemini_keeps_a_request(request in request(can(Dialect::Gemini))) {
        check(Dialect::Gemini, &request)?;
    }
}
