//! What can be said in this dialect survives being written and read.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dialect::Address;
use crate::dialect::hub::{Call, MediaKind, Reasoning, Source, Tool, ToolChoice, ToolResult};
use crate::dialect::target::Abilities;

use super::tests::{assistant, media, tool, user, write_for};

fn texts() -> impl Strategy<Value = Block<'static>> {
    "\\PC{1,8}".prop_map(|text| Block::Text(text.into()))
}

fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let asked = proptest::collection::vec(
        prop_oneof![
            texts(),
            "[a-z]{1,5}".prop_map(|url| {
                let source = Source::Url(format!("https://{url}").into());
                media(MediaKind::Image, "", source)
            }),
            "[A-Z]{4}".prop_map(|data| media(
                MediaKind::Image,
                "image/png",
                Source::Base64(data.into())
            )),
        ],
        1..3,
    );
    let said =
        (proptest::collection::vec(texts(), 1..3), any::<bool>(), "\\PC{0,8}", any::<bool>());
    let round = (asked, said, "\\PC{0,8}").prop_map(
        |(user, (mut said, called, input, free_text), output)| {
            let mut turns = vec![Turn { role: Role::User, blocks: user }];
            if called {
                let arguments = if free_text { input } else { json!({"x": input}).to_string() };
                let (id, name) = (Some("c".into()), "f".into());
                said.push(Block::Call(Box::new(Call {
                    id,
                    name,
                    arguments: arguments.into(),
                    free_text,
                    signature: None,
                })));
            }
            turns.push(assistant(said));
            if called {
                let content = vec![Block::Text(output.into())];
                let result =
                    ToolResult { id: Some("c".into()), name: None, content, is_error: false };
                turns
                    .push(Turn { role: Role::User, blocks: vec![Block::Result(Box::new(result))] });
            }
            turns
        },
    );
    proptest::collection::vec(round, 1..4).prop_map(|rounds| {
        let mut turns: Vec<Turn<'static>> = rounds.into_iter().flatten().collect();
        for (n, turn) in turns.iter_mut().enumerate() {
            // Ids are unique: the place of the turn with the call.
            for block in &mut turn.blocks {
                match block {
                    Block::Call(call) => call.id = Some(format!("c{n}").into()),
                    Block::Result(result) => result.id = Some(format!("c{}", n - 1).into()),
                    Block::Text(_)
                    | Block::Media(_)
                    | Block::Thought(_)
                    | Block::Refusal(_)
                    | Block::CachePoint(_) => {}
                }
            }
        }
        turns.push(user("go on"));
        turns
    })
}

proptest! {
    #[test]
    fn what_can_be_said_survives(
        turns in turns(),
        system in proptest::option::of("\\PC{1,9}"),
        limit in proptest::option::of(16_u32..9_000),
        parallel in any::<bool>(),
        effort in proptest::option::of(0..Effort::NAMES.len()),
        stream in any::<bool>(),
    ) {
        let request = Request {
            system: system.into_iter().map(|text| Block::Text(text.into())).collect(),
            turns,
            tools: vec![Tool { description: Some("d".into()), strict: Some(false), ..tool("f", false) }],
            tool_choice: Some(ToolChoice::Named("f".into())),
            parallel_tools: Some(parallel),
            max_output_tokens: limit,
            reasoning: effort.map(|at| Reasoning { effort: Some(Effort::NAMES[at].1), budget: None, shown: Some(true) }),
            stream,
            include_usage: true,
            ..Request::new()
        };
        let written = write_for(&request, &Abilities::unknown()).unwrap();
        prop_assert!(written.dropped.is_empty() && written.legend.is_empty());
        let body = std::str::from_utf8(&written.body).unwrap();
        let mut again = super::super::read_request(body, &Address::default()).unwrap();
        // The schema's line break became a space.
        again.tools[0].parameters.clone_from(&request.tools[0].parameters);
        prop_assert_eq!(again, request);
    }
}
