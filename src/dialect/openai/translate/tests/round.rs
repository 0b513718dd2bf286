use proptest::prelude::*;
use serde_json::Value;

use super::super::{read_request, write_request};
use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Effort, Format, Media, MediaKind, Reasoning, Request, Role, Sampling, Signature,
    Source, Strictness, Tool, ToolChoice, ToolResult, Turn,
};
use crate::dialect::request::{Address, Task};
use crate::dialect::target::{Abilities, Quirks, Target};

fn abilities() -> Abilities {
    Abilities { prefill: true, call_signatures: true, ..Abilities::unknown() }
}

fn write(request: &Request<'_>, quirks: Quirks) -> String {
    let target =
        Target { model: "t", abilities: &abilities(), quirks, strictness: Strictness::Normal };
    let body = write_request(request, &target).unwrap().body;
    crate::dialect::openai::request::peek(Task::Generate, &body, &Address::default()).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A request as a client sent it, and as it is written for another server.
#[test]
fn a_real_request() {
    let body = include_str!("../../../../../tests/golden/dialects/openai/request.json");
    let request = read_request(body, &Address::default()).unwrap();
    let check = |quirks, expected: &str| {
        let seen: Value = serde_json::from_str(&write(&request, quirks)).unwrap();
        assert_eq!(seen, serde_json::from_str::<Value>(expected).unwrap());
    };
    check(
        Quirks::NONE,
        include_str!("../../../../../tests/golden/dialects/openai/request.openai.json"),
    );
    check(
        crate::dialect::openai::quirks::of_host("api.mistral.ai"),
        include_str!("../../../../../tests/golden/dialects/openai/request.mistral.json"),
    );
    let others: Vec<&str> = request.others.iter().map(|other| &*other.field).collect();
    assert_eq!(others, ["prompt_cache_key", "verbosity"]);
}

fn text() -> impl Strategy<Value = Block<'static>> {
    "\\PC{1,12}".prop_map(|text| Block::Text(text.into()))
}

fn media() -> impl Strategy<Value = Block<'static>> {
    let source = prop_oneof![
        "[A-Za-z]{4}".prop_map(|data| (MediaKind::Image, "image/png", Source::Base64(data.into()))),
        "[a-z]{4}".prop_map(|path| {
            (MediaKind::Image, "", Source::Url(format!("https://{path}").into()))
        }),
        "[A-Za-z]{4}".prop_map(|data| (MediaKind::Audio, "audio/wav", Source::Base64(data.into()))),
        "[A-Za-z]{4}".prop_map(|data| (
            MediaKind::Document,
            "application/pdf",
            Source::Base64(data.into())
        )),
    ];
    (source, proptest::option::of("low|high")).prop_map(|((kind, media_type, source), detail)| {
        let name = (kind == MediaKind::Document).then(|| "a.pdf".into());
        let detail = detail.filter(|_| kind == MediaKind::Image).map(Into::into);
        Block::Media(Box::new(Media { kind, media_type: media_type.into(), source, name, detail }))
    })
}

/// A turn of the user, or of the operator.
fn heard() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let parts = proptest::collection::vec(prop_oneof![text(), media()], 1..4);
    prop_oneof![
        parts.prop_map(|blocks| vec![Turn { role: Role::User, blocks }]),
        (text(), text()).prop_map(|(said, aside)| {
            vec![
                Turn { role: Role::User, blocks: vec![said] },
                Turn { role: Role::System, blocks: vec![aside] },
            ]
        }),
    ]
}

/// A turn of the assistant, with the results of its calls.
fn said() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let call = ("[a-z]{1,5}", "\\{\\PC{0,6}\\}", any::<bool>(), any::<bool>(), "\\PC{1,5}");
    let calls = proptest::collection::vec(call, 0..3);
    (proptest::option::of(text()), calls).prop_map(|(said, calls)| {
        let mut blocks: Vec<Block<'_>> = said.into_iter().collect();
        let mut results = Vec::new();
        for (n, (name, arguments, free_text, signed, content)) in calls.into_iter().enumerate() {
            let id = Some(format!("call_{n}").into());
            let signature = signed.then(|| Signature { by: Dialect::Gemini, value: "s".into() });
            let (name, arguments) = (name.into(), arguments.into());
            let content = vec![Block::Text(content.into())];
            let call = Call { id: id.clone(), name, arguments, free_text, signature };
            blocks.push(Block::Call(Box::new(call)));
            let result = ToolResult { id, name: None, content, is_error: false };
            results.push(Block::Result(Box::new(result)));
        }
        if blocks.is_empty() {
            return Vec::new();
        }
        let mut turns = vec![Turn { role: Role::Assistant, blocks }];
        if !results.is_empty() {
            turns.push(Turn { role: Role::User, blocks: results });
        }
        turns
    })
}

fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let exchange = (heard(), said()).prop_map(|(heard, said)| [heard, said].concat());
    proptest::collection::vec(exchange, 1..4).prop_map(|exchanges| exchanges.concat())
}

const SCHEMA: &str = r#"{"type": "object", "properties": {}, "additionalProperties": false}"#;

fn tools() -> impl Strategy<Value = Vec<Tool<'static>>> {
    let tool =
        (proptest::option::of("\\PC{1,5}"), any::<bool>(), proptest::option::of(any::<bool>()));
    proptest::collection::vec(tool, 0..3).prop_map(|tools| {
        let tool =
            |(n, (description, free_text, strict)): (usize, (Option<String>, bool, _))| Tool {
                name: format!("tool_{n}").into(),
                description: description.map(Into::into),
                parameters: if free_text { None } else { Some(SCHEMA.into()) },
                strict: if free_text { None } else { strict },
                free_text,
                cache_point: false,
            };
        tools.into_iter().enumerate().map(tool).collect()
    })
}

fn choice() -> impl Strategy<Value = Option<ToolChoice<'static>>> {
    let among = |required| ToolChoice::Among { names: vec!["tool_0".into()], required };
    proptest::sample::select(vec![
        None,
        Some(ToolChoice::Auto),
        Some(ToolChoice::Never),
        Some(ToolChoice::Required),
        Some(ToolChoice::Named("tool_0".into())),
        Some(among(true)),
        Some(among(false)),
    ])
}

fn format() -> impl Strategy<Value = Option<Format<'static>>> {
    let schema = |strict| Format::Schema {
        name: Some("form".into()),
        description: None,
        schema: SCHEMA.into(),
        strict,
    };
    proptest::sample::select(vec![None, Some(schema(Some(true)))])
}

fn sampling() -> impl Strategy<Value = Sampling<'static>> {
    let number = || proptest::option::of(proptest::sample::select(vec!["0", "0.25", "1.50"]));
    (number(), number(), number(), number()).prop_map(|(temperature, top_p, seed, penalty)| {
        Sampling {
            temperature,
            top_p,
            top_k: None,
            seed,
            frequency_penalty: penalty,
            presence_penalty: penalty,
        }
    })
}

fn requests() -> impl Strategy<Value = Request<'static>> {
    let system = proptest::collection::vec(text(), 0..3);
    let effort = proptest::option::of(proptest::sample::select(
        Effort::NAMES.iter().map(|(_, effort)| *effort).collect::<Vec<_>>(),
    ));
    let stop = proptest::collection::vec("\\PC{1,3}", 0..5);
    let counts = (proptest::option::of(1..9999_u32), 1..4_u32, proptest::option::of(0..9_u32));
    let tooling = (tools(), choice(), proptest::option::of(any::<bool>()), format());
    (system, turns(), tooling, sampling(), effort, stop, counts, any::<bool>()).prop_map(
        |(
            system,
            turns,
            (tools, tool_choice, parallel, format),
            sampling,
            effort,
            stop,
            counts,
            stream,
        )| {
            let tooled = !tools.is_empty();
            Request {
                system,
                turns,
                tool_choice: tool_choice.filter(|_| tooled),
                parallel_tools: parallel.filter(|_| tooled),
                tools,
                format,
                sampling,
                reasoning: effort
                    .map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }),
                stop: stop.into_iter().map(Into::into).collect(),
                max_output_tokens: counts.0,
                choices: counts.1,
                logprobs: counts.2,
                stream,
                include_usage: stream,
                ..Request::new()
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(request in requests()) {
        let body = write(&request, Quirks::NONE);
        let read = read_request(&body, &Address::default()).unwrap();
        prop_assert_eq!(read, request);
    }

    /// Whatever a server refuses, what it is sent is a request, and what it is
    /// sent need not be adapted again.
    #[test]
    fn deviating_servers_get_what_they_take(request in requests(), chosen in proptest::sample::subsequence(Quirks::NAMES.to_vec(), 0..12)) {
        let quirks = chosen.iter().fold(Quirks::NONE, |all, (_, quirk)| all.with(*quirk));
        let body = write(&request, quirks);
        prop_assert!(read_request(&body, &Address::default()).is_ok());
        let body = bytes::Bytes::from(body);
        let (adapted, dropped) = crate::dialect::openai::quirks::adapt(&body, quirks);
        prop_assert_eq!((adapted, dropped.len()), (body, 0));
    }
}
