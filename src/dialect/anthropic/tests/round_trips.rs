use std::borrow::Cow;

use proptest::prelude::*;

use super::{able, head, read, target};
use crate::dialect::Dialect;
use crate::dialect::anthropic::{read_answer, write_answer, write_request};
use crate::dialect::hub::{
    Answer, Block, Call, Choice, Effort, Finish, Format, Media, MediaKind, Part, Reasoning,
    Request, Role, Signature, Source, Strictness, Thought, Tool, ToolChoice, ToolResult, Turn,
    Usage,
};
use crate::dialect::target::Target;

fn words() -> impl Strategy<Value = Cow<'static, str>> {
    "[a-z\"\\\\é\n]{0,5}x".prop_map(Cow::Owned)
}

fn media() -> impl Strategy<Value = Block<'static>> {
    let source = prop_oneof![
        "[A-Z]{4}".prop_map(|data| (MediaKind::Image, "image/png", Source::Base64(data.into()))),
        words().prop_map(|url| (MediaKind::Image, "", Source::Url(url))),
        "[A-Z]{4}".prop_map(|data| (
            MediaKind::Document,
            "application/pdf",
            Source::Base64(data.into())
        )),
        words().prop_map(|text| (MediaKind::Document, "text/plain", Source::Text(text))),
    ];
    source.prop_map(|(kind, media_type, source)| {
        let (name, detail) = (None, None);
        Block::Media(Box::new(Media { kind, media_type: media_type.into(), source, name, detail }))
    })
}

fn said() -> impl Strategy<Value = Block<'static>> {
    prop_oneof![words().prop_map(Block::Text), media()]
}

fn thought() -> impl Strategy<Value = Block<'static>> {
    (words(), words(), any::<bool>()).prop_map(|(text, value, redacted)| {
        let text = if redacted { "".into() } else { text };
        let signature = Some(Signature { by: Dialect::Anthropic, value });
        Block::Thought(Box::new(Thought { text, signature, redacted }))
    })
}

/// A user's turn, and perhaps an exchange of calls and results before the next.
fn exchange(n: usize) -> impl Strategy<Value = Vec<Turn<'static>>> {
    let user = proptest::collection::vec(said(), 1..3);
    let thoughts = proptest::collection::vec(thought(), 0..2);
    let results =
        proptest::collection::vec((proptest::collection::vec(said(), 2..3), any::<bool>()), 1..3);
    (user, thoughts, words(), results).prop_map(move |(user, thoughts, text, results)| {
        let mut model = thoughts;
        model.push(Block::Text(text));
        let mut answers = Vec::new();
        for (at, (content, is_error)) in results.into_iter().enumerate() {
            let id: Cow<'static, str> = format!("toolu_{n}x{at}").into();
            model.push(Block::Call(Box::new(Call {
                id: Some(id.clone()),
                name: "f".into(),
                arguments: format!("{{\"n\": {at}}}").into(),
                free_text: false,
                signature: None,
            })));
            let result = ToolResult { id: Some(id), name: None, content, is_error };
            answers.push(Block::Result(Box::new(result)));
        }
        vec![
            Turn { role: Role::User, blocks: user },
            Turn { role: Role::Assistant, blocks: model },
            Turn { role: Role::User, blocks: answers },
            Turn { role: Role::Assistant, blocks: vec![Block::Text("so".into())] },
        ]
    })
}

fn tool() -> impl Strategy<Value = Tool<'static>> {
    (proptest::option::of(words()), any::<bool>()).prop_map(|(description, cache_point)| Tool {
        name: "f".into(),
        description,
        parameters: Some(r#"{"type":"object","x": 1e2}"#.into()),
        strict: Some(false),
        free_text: false,
        cache_point,
    })
}

fn choice() -> impl Strategy<Value = Option<ToolChoice<'static>>> {
    prop_oneof![
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::Named("f".into()))),
    ]
}

fn reasoning() -> impl Strategy<Value = Option<Reasoning>> {
    let effort = (0..6_usize, proptest::option::of(any::<bool>())).prop_map(|(n, shown)| {
        let effort =
            [Effort::None, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max]
                [n];
        let shown = shown.filter(|_| effort != Effort::None);
        Some(Reasoning { effort: Some(effort), budget: None, shown })
    });
    let budget = (1024..4000_u32)
        .prop_map(|budget| Some(Reasoning { budget: Some(budget), ..Reasoning::default() }));
    prop_oneof![Just(None), effort, budget]
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let turns = (exchange(0), exchange(1), proptest::collection::vec(said(), 1..3));
    let options = (
        proptest::option::of(words()),
        proptest::collection::vec(words(), 0..3),
        any::<bool>(),
        proptest::option::of(Just("0.5")),
    );
    (turns, tool(), choice(), proptest::option::of(any::<bool>()), reasoning(), options).prop_map(
        |((mut turns, more, last), tool, tool_choice, parallel_tools, reasoning, options)| {
            let (system, stop, stream, temperature) = options;
            turns.extend(more);
            turns.push(Turn { role: Role::User, blocks: last });
            let mut request = Request {
                system: system.into_iter().map(Block::Text).collect(),
                turns,
                tools: vec![tool],
                tool_choice,
                parallel_tools,
                max_output_tokens: Some(5000),
                stop,
                stream,
                include_usage: true,
                user: Some("u".into()),
                ..Request::new()
            };
            // Thinking leaves no room for the rest.
            let forced =
                matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
            match reasoning {
                None => request.sampling.temperature = temperature,
                reasoning if !forced => request.reasoning = reasoning,
                Some(_) => {}
            }
            if reasoning.is_none_or(|r| r.budget.is_none()) {
                request.format = Some(Format::Schema {
                    name: None,
                    description: None,
                    schema: r#"{"type":"object","additionalProperties":false}"#.into(),
                    strict: None,
                });
            }
            request
        },
    )
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let text = words().prop_map(|text| Part::Text(text.into_owned()));
    let call = (words(), "[a-z]{1,4}").prop_map(|(value, id)| Part::Call {
        id,
        name: "f".to_owned(),
        arguments: serde_json::json!({ "a": value }).to_string(),
        free_text: false,
        signature: None,
    });
    let thought = (words(), words(), any::<bool>()).prop_map(|(text, proof, redacted)| {
        let text = if redacted { String::new() } else { text.into_owned() };
        Part::Thought { text, signature: Some((Dialect::Anthropic, proof.into_owned())), redacted }
    });
    proptest::collection::vec(prop_oneof![text, call, thought], 0..5)
}

proptest! {
    #[test]
    fn requests_survive(request in request()) {
        let abilities = able();
        let strict = Target { strictness: Strictness::Strict, ..target(&abilities) };
        // Thinking by a budget asks for calls that were thought about.
        let written = write_request(&request, &strict).unwrap();
        let body = std::str::from_utf8(&written.body).unwrap();
        let again = read(body).unwrap();
        prop_assert_eq!(&again.others, &vec![]);
        let mut expected = request.clone();
        if let (Some(Reasoning { budget: Some(_), .. }), Some(Reasoning { budget: None, .. })) = (request.reasoning, again.reasoning) {
            expected.reasoning = again.reasoning;
        }
        prop_assert_eq!(again, expected);
    }

    #[test]
    fn answers_survive(parts in parts(), finish in 0..4_usize, counts in (0..9_u32, 0..9_u32, 0..9_u32)) {
        let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
        let finish = match finish {
            _ if calls => Finish::ToolCalls,
            0 => Finish::Stop,
            1 => Finish::Length,
            2 => Finish::StopSequence(Some("x".to_owned())),
            _ => Finish::ContextFull,
        };
        let usage = Usage {
            input: Some(20 + counts.0),
            cached: Some(counts.0),
            cache_written: Some(counts.1),
            output: Some(20),
            reasoning: Some(counts.2),
        };
        let answer = Answer {
            id: "msg_1".to_owned(),
            model: "m".to_owned(),
            choices: vec![Choice { parts, finish: Some(finish) }],
            usage: Some(usage),
        };
        // Texts in a row are one.
        let answer = Answer::of(answer.into_events());
        prop_assert_eq!(read_answer(&write_answer(&answer, &head())), Some(answer));
    }
}
