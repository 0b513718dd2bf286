//! A request that a dialect can express is the same once it was written and
//! read again. One generator for all; what a dialect cannot say, its [`Can`]
//! leaves out.

use backstay::dialect::hub::{
    Block, Call, Format, Media, MediaKind, Request, Role, Sampling, Source, Strictness, Tool,
    ToolChoice, ToolResult, Turn,
};
use backstay::dialect::{Abilities, Address, Dialect, Framing, Quirks, Target};
use proptest::prelude::*;

const PARAMETERS: &str = r#"{"type":"object","properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false}"#;

/// What a dialect can say, where they differ.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
struct Can {
    call_ids: bool,
    errors_of_tools: bool,
    image_urls: bool,
    stop: bool,
    top_k: bool,
    seed_and_penalties: bool,
    parallel_tools: bool,
    any_json: bool,
    names_of_formats: bool,
    user: bool,
}

const fn can(dialect: Dialect) -> Can {
    let (openai, responses, anthropic, gemini) = match dialect {
        Dialect::OpenAi => (true, false, false, false),
        Dialect::Responses => (false, true, false, false),
        Dialect::Anthropic => (false, false, true, false),
        Dialect::Gemini => (false, false, false, true),
    };
    Can {
        call_ids: !gemini,
        errors_of_tools: anthropic || gemini,
        image_urls: !gemini,
        stop: !responses,
        top_k: anthropic || gemini,
        seed_and_penalties: openai || gemini,
        parallel_tools: openai || responses,
        any_json: !anthropic,
        names_of_formats: openai || responses,
        user: responses || anthropic,
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé][a-zé\"\\\\\n</ 😀]{0,12}[a-z]"
}

fn maybe<T: Clone + std::fmt::Debug>(
    allowed: bool,
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some).prop_map(move |value| value.filter(|_| allowed))
}

fn image(can: Can) -> impl Strategy<Value = Block<'static>> {
    any::<bool>().prop_map(move |url| {
        let (media_type, source) = if url && can.image_urls {
            ("", Source::Url("https://example.com/a.png".into()))
        } else {
            ("image/png", Source::Base64("iVBORw0KGgo=".into()))
        };
        let media_type = media_type.into();
        let kind = MediaKind::Image;
        Block::Media(Box::new(Media { kind, media_type, source, name: None, detail: None }))
    })
}

/// A question, the calls it leads to, and what is answered in the end.
fn exchange(
    can: Can,
) -> impl Strategy<Value = (Turn<'static>, Vec<(String, String, bool)>, String)> {
    let question = (text(), maybe(true, image(can))).prop_map(|(text, image)| {
        let mut blocks = vec![Block::Text(text.into())];
        blocks.extend(image);
        Turn { role: Role::User, blocks }
    });
    let calls = proptest::collection::vec(("[a-z]{3,8}", text(), any::<bool>()), 0..3);
    (question, calls, text())
}

/// The conversation of some exchanges, and a last question.
fn turns(can: Can) -> impl Strategy<Value = Vec<Turn<'static>>> {
    (proptest::collection::vec(exchange(can), 0..3), text()).prop_map(move |(exchanges, last)| {
        let mut turns = Vec::new();
        for (n, (question, calls, answer)) in exchanges.into_iter().enumerate() {
            turns.push(question);
            if !calls.is_empty() {
                let (made, answered) = calls_and_results(can, n, &calls);
                turns.push(Turn { role: Role::Assistant, blocks: made });
                turns.push(Turn { role: Role::User, blocks: answered });
            }
            turns.push(Turn { role: Role::Assistant, blocks: vec![Block::Text(answer.into())] });
        }
        turns.push(Turn { role: Role::User, blocks: vec![Block::Text(last.into())] });
        turns
    })
}

fn calls_and_results(
    can: Can,
    exchange: usize,
    calls: &[(String, String, bool)],
) -> (Vec<Block<'static>>, Vec<Block<'static>>) {
    let both = calls.iter().enumerate().map(|(n, (name, text, is_error))| {
        let id = can.call_ids.then(|| format!("call_{exchange}{n}").into());
        let call = Call {
            id: id.clone(),
            name: name.clone().into(),
            arguments: serde_json::json!({ "q": text }).to_string().into(),
            free_text: false,
            signature: None,
        };
        let result = ToolResult {
            id,
            name: (!can.call_ids).then(|| name.clone().into()),
            content: vec![Block::Text(text.clone().into())],
            is_error: can.errors_of_tools && *is_error,
        };
        (Block::Call(Box::new(call)), Block::Result(Box::new(result)))
    });
    both.unzip()
}

fn tool(name: String, description: Option<String>) -> Tool<'static> {
    Tool {
        name: name.into(),
        description: description.map(Into::into),
        parameters: Some(PARAMETERS.into()),
        strict: None,
        free_text: false,
        cache_point: false,
    }
}

fn tools() -> impl Strategy<Value = (Vec<Tool<'static>>, Option<ToolChoice<'static>>)> {
    let names = proptest::collection::btree_map("[a-z]{3,8}", proptest::option::of(text()), 0..3);
    (names, 0..5_u8).prop_map(|(named, choice)| {
        let tools: Vec<Tool<'_>> =
            named.into_iter().map(|(name, description)| tool(name, description)).collect();
        let choice = tools.first().and_then(|first| match choice {
            0 => Some(ToolChoice::Auto),
            1 => Some(ToolChoice::Never),
            2 => Some(ToolChoice::Required),
            3 => Some(ToolChoice::Named(first.name.clone())),
            _ => None,
        });
        (tools, choice)
    })
}

fn format(can: Can) -> impl Strategy<Value = Option<Format<'static>>> {
    (0..3_u8).prop_map(move |kind| match kind {
        0 => Some(Format::Json).filter(|_| can.any_json),
        1 => Some(Format::Schema {
            name: can.names_of_formats.then(|| "answer".into()),
            description: None,
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

fn request(can: Can) -> impl Strategy<Value = Request<'static>> {
    let limits = (16..10_000_u32, proptest::collection::vec("[A-Z]{2,5}", 0..3));
    let rest = (limits, sampling(can), maybe(can.user, "[a-z0-9-]{1,9}"), any::<bool>());
    let parts = (proptest::option::of(text()), turns(can), tools(), format(can), rest);
    (parts, maybe(can.parallel_tools, any::<bool>())).prop_map(move |(parts, parallel)| {
        let (system, mut turns, (mut tools, tool_choice), format, rest) = parts;
        let ((max_output_tokens, stop), sampling, user, stream) = rest;
        let stop = if can.stop { stop } else { Vec::new() };
        // Where a tool was called or JSON is wanted, some providers insist on
        // tools and on the word, and the writers add what is missing.
        if tools.is_empty() && turns.len() > 1 {
            tools.push(tool("known".to_owned(), None));
        }
        if format == Some(Format::Json) {
            let word = vec![Block::Text("Answer in JSON.".into())];
            turns.insert(0, Turn { role: Role::User, blocks: word });
            turns.insert(
                1,
                Turn { role: Role::Assistant, blocks: vec![Block::Text("Yes.".into())] },
            );
        }
        Request {
            system: system.into_iter().map(|text| Block::Text(text.into())).collect(),
            turns,
            parallel_tools: parallel.filter(|_| !tools.is_empty()),
            tools,
            tool_choice,
            format,
            max_output_tokens: Some(max_output_tokens),
            stop: stop.into_iter().map(Into::into).collect(),
            sampling,
            user: user.map(Into::into),
            stream,
            ..Request::new()
        }
    })
}

/// What may differ: whether token counts are asked for, the names that results
/// repeat, whether tools are strict where the default is written out, and where
/// a party's turn is cut in two.
fn comparable<'a>(request: &Request<'a>, can: Can) -> Request<'a> {
    let mut request = request.clone();
    request.include_usage = true;
    for tool in &mut request.tools {
        tool.strict = None;
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

fn check(dialect: Dialect, request: &Request<'_>) -> Result<(), TestCaseError> {
    let abilities = Abilities::unknown();
    let (quirks, strictness) = (Quirks::NONE, Strictness::Strict);
    let target = Target { model: "m", abilities: &abilities, quirks, strictness };
    let written = dialect.write_request(request, &target);
    let written = written.map_err(|lost| TestCaseError::fail(lost.to_string()))?;
    prop_assert!(written.dropped.is_empty() && written.legend.is_empty(), "{:?}", written);
    let body = std::str::from_utf8(&written.body).expect("UTF-8");
    let model = (dialect == Dialect::Gemini).then(|| "m".to_owned());
    let address = Address { model, stream: request.stream, framing: Framing::Sse };
    let peek = dialect.peek(backstay::dialect::Task::Generate, body.as_bytes(), &address);
    let peek = peek.map_err(|bad| TestCaseError::fail(format!("{bad}: {body}")))?;
    prop_assert_eq!(peek.stream, request.stream);
    prop_assert_eq!(peek.max_output_tokens, request.max_output_tokens);
    let read = dialect.read_request(body, &address);
    let read = read.map_err(|bad| TestCaseError::fail(format!("{bad}: {body}")))?;
    let can = can(dialect);
    prop_assert_eq!(comparable(&read, can), comparable(request, can), "{}", body);
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
