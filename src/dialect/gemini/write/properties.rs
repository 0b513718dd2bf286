//! What the internal form can hold survives being written and read.

use proptest::prelude::*;

use super::tests::{media, text};
use super::*;
use crate::dialect::Dialect;
use crate::dialect::gemini::read_request;
use crate::dialect::hub::{
    Call, Effort, MediaKind, Reasoning, Role, Sampling, Signature, Source, Strictness, Tool,
    ToolChoice, ToolResult, Turn,
};
use crate::dialect::request::Address;
use crate::dialect::target::{Abilities, Quirks, Thinking};

fn block() -> impl Strategy<Value = Block<'static>> {
    prop_oneof![
        "\\PC{1,10}".prop_map(|text| Block::Text(text.into())),
        "[A-Za-z0-9+/]{4,8}".prop_map(|data| media(
            MediaKind::Image,
            "image/png",
            Source::Base64(data.into())
        )),
    ]
}

/// A turn of the user, calls of the model, their results.
fn exchange() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let blocks = proptest::collection::vec(block(), 1..3);
    let signature = proptest::option::of("[a-z]{1,6}");
    let calls = proptest::collection::vec(("[a-z_][a-z0-9_.-]{0,5}", signature, "\\PC{0,6}"), 0..3);
    (blocks, calls, "\\PC{1,8}").prop_map(|(blocks, calls, last)| {
        let signed = |value: String| Signature { by: Dialect::Gemini, value: value.into() };
        let mut model = Vec::new();
        let mut results = Vec::new();
        for (n, (name, signature, said)) in calls.into_iter().enumerate() {
            let id = Some(format!("id{n}").into());
            let arguments = format!("{{\"a\":{}}}", crate::dialect::json::quote(&said)).into();
            let content = vec![Block::Text(said.into())];
            let is_error = n % 2 == 1;
            let result = ToolResult {
                id: Some(format!("id{n}").into()),
                name: Some(name.clone().into()),
                content,
                is_error,
            };
            results.push(Block::Result(Box::new(result)));
            let signature = signature.map(signed);
            model.push(Block::Call(Box::new(Call {
                id,
                name: name.into(),
                arguments,
                free_text: false,
                signature,
            })));
        }
        let mut turns = vec![Turn { role: Role::User, blocks }];
        if !model.is_empty() {
            turns.push(Turn { role: Role::Assistant, blocks: model });
            turns.push(Turn { role: Role::User, blocks: results });
        }
        turns.push(Turn { role: Role::Assistant, blocks: vec![Block::Text(last.into())] });
        turns
    })
}

prop_compose! {
    fn request()(
        system in proptest::collection::vec("\\PC{1,8}", 0..3),
        exchanges in proptest::collection::vec(exchange(), 0..3),
        names in proptest::collection::btree_set("[a-z_][a-z0-9_.-]{0,5}", 0..3),
        choice in 0..5_usize,
        limit in proptest::option::of(1..9_u32),
        stop in proptest::collection::vec("\\PC{1,3}", 0..5),
        choices in 1..4_u32,
        logprobs in proptest::option::of(0..5_u32),
        effort in proptest::option::of(prop_oneof![Just(Effort::Minimal), Just(Effort::Low), Just(Effort::High)]),
        shown in proptest::option::of(any::<bool>()),
        schema in proptest::option::of(proptest::option::of("\\PC{0,5}")),
    ) -> Request<'static> {
        let mut turns = exchanges.concat();
        turns.push(Turn { role: Role::User, blocks: vec![text("last")] });
        let tools: Vec<Tool<'static>> = names.into_iter().map(|name| Tool {
            description: Some(name.clone().into()),
            parameters: Some(r#"{"type":"object"}"#.into()),
            name: name.into(),
            strict: None,
            free_text: false,
            cache_point: false,
        }).collect();
        let tool_choice = match (choice, tools.first()) {
            (0, Some(_)) => Some(ToolChoice::Auto),
            (1, Some(_)) => Some(ToolChoice::Never),
            (2, Some(_)) => Some(ToolChoice::Required),
            (3, Some(tool)) => Some(ToolChoice::Named(tool.name.clone())),
            _ => None,
        };
        let reasoning = Reasoning { effort, budget: None, shown };
        Request {
            system: system.into_iter().map(|text| Block::Text(text.into())).collect(),
            turns,
            tools,
            tool_choice,
            format: schema.map(|title| match title {
                None => Format::Json,
                Some(title) => Format::Schema {
                    name: None,
                    description: None,
                    schema: format!("{{\"title\":{}}}", crate::dialect::json::quote(&title)).into(),
                    strict: None,
                },
            }),
            max_output_tokens: limit,
            stop: stop.into_iter().map(Into::into).collect(),
            sampling: Sampling { temperature: Some("0.5"), seed: Some("3"), ..Sampling::default() },
            choices,
            logprobs,
            reasoning: (reasoning != Reasoning::default()).then_some(reasoning),
            include_usage: true,
            ..Request::new()
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request()) {
        let abilities = Abilities { thinking: Thinking::Effort, ..Abilities::unknown() };
        let target = Target { model: "g", abilities: &abilities, quirks: Quirks::NONE, strictness: Strictness::Strict };
        let written = write_request(&request, &target).unwrap();
        prop_assert!(written.legend.is_empty() && written.dropped.is_empty());
        let body = std::str::from_utf8(&written.body).unwrap();
        prop_assert_eq!(read_request(body, &Address::default()).unwrap(), request);
    }
}
