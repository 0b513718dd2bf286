//! Answers, whole and streamed: every part, reason and count.

use backstay::dialect::hub::{Answer, Choice, Event, Finish, Legend, Part, Usage};
use backstay::dialect::sse::End;
use backstay::dialect::{Dialect, Framer, Framing, Head, Reader, Task, Writer};
use proptest::prelude::*;

use super::{Can, can, maybe, text};

fn thought(can: Can) -> impl Strategy<Value = Part> {
    (text(), maybe(can.thoughts, "[A-Za-z]{4,8}"), any::<bool>()).prop_map(
        move |(text, proof, hidden)| {
            let redacted = hidden && can.dialect == Dialect::Anthropic && proof.is_some();
            let text = if redacted { String::new() } else { text };
            Part::Thought { text, signature: proof.map(|proof| (can.dialect, proof)), redacted }
        },
    )
}

fn call(can: Can) -> impl Strategy<Value = Part> {
    let signature = maybe(can.call_signatures, "[A-Za-z]{4}");
    ("[a-z]{3,8}", text(), any::<bool>(), signature).prop_map(
        move |(name, said, free_text, signature)| {
            let free_text = free_text && can.free_text;
            let json = serde_json::json!({ "q": said }).to_string();
            Part::Call {
                id: String::new(),
                name,
                arguments: if free_text { said } else { json },
                free_text,
                signature: signature.map(|value| (Dialect::Gemini, value)),
            }
        },
    )
}

fn finish(can: Can, kind: u8, parts: &[Part]) -> Finish {
    let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
    let refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    match kind {
        _ if calls => Finish::ToolCalls,
        _ if refused => Finish::Refusal,
        0 => Finish::Length,
        1 if can.dialect == Dialect::Anthropic => Finish::StopSequence(Some("x".to_owned())),
        2 if can.dialect == Dialect::Anthropic => Finish::ContextFull,
        3 if can.dialect == Dialect::Anthropic => Finish::Paused,
        4 if can.dialect != Dialect::Anthropic => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

fn choice(can: Can) -> impl Strategy<Value = Choice> {
    let thoughts = proptest::collection::vec(thought(can), 0..2);
    let calls = proptest::collection::vec(call(can), 0..3);
    let said = (maybe(true, text()), maybe(can.refusals, text()));
    (thoughts, said, calls, 0..6_u8, any::<bool>()).prop_map(
        move |(thoughts, (said, refusal), mut calls, kind, turned)| {
            let mut parts = thoughts;
            // A refusal is all there is of an answer.
            match refusal {
                Some(refusal) => {
                    parts.push(Part::Refusal(refusal));
                    calls.clear();
                }
                None => parts.extend(said.map(Part::Text)),
            }
            parts.append(&mut calls);
            if turned && can.any_order {
                parts.reverse();
            }
            let finish = finish(can, kind, &parts);
            Choice { parts, finish: Some(finish) }
        },
    )
}

fn usage(can: Can) -> impl Strategy<Value = Usage> {
    any::<[u8; 5]>().prop_map(move |[fresh, cached, written, output, reasoning]| {
        let written = if can.cache_writes { u32::from(written) } else { 0 };
        let (cached, reasoning) = (u32::from(cached), u32::from(reasoning));
        Usage {
            input: Some(u32::from(fresh) + cached + written),
            cached: Some(cached),
            cache_written: can.cache_writes.then_some(written),
            output: Some(u32::from(output) + reasoning),
            reasoning: Some(reasoning),
        }
    })
}

fn answer(can: Can) -> impl Strategy<Value = Answer> {
    let most = if can.choices { 3 } else { 1 };
    (proptest::collection::vec(choice(can), 1..=most), usage(can)).prop_map(
        move |(choices, usage)| {
            let id = match can.dialect {
                Dialect::OpenAi => "chatcmpl-1",
                // Its ids are the gateway's own.
                Dialect::Responses => "resp_trace",
                Dialect::Anthropic => "msg_1",
                Dialect::Gemini => "r1",
            };
            let (id, model) = (id.to_owned(), "m".to_owned());
            let mut answer = Answer { id, model, choices, usage: Some(usage) };
            number_calls(&mut answer);
            // Texts and thoughts in a row are one.
            Answer::of(answer.into_events())
        },
    )
}

fn number_calls(answer: &mut Answer) {
    let parts = answer.choices.iter_mut().flat_map(|choice| &mut choice.parts);
    for (n, part) in parts.enumerate() {
        if let Part::Call { id, .. } = part {
            *id = format!("call_{n}");
        }
    }
}

fn head() -> Head {
    Head {
        id: "trace".to_owned(),
        model: "asked".to_owned(),
        created: 1,
        include_usage: true,
        framing: Framing::Sse,
    }
}

/// The events of a stream as this dialect writes it.
fn streamed(dialect: Dialect, answer: &Answer) -> Result<Vec<Event>, TestCaseError> {
    let sent = dialect.write_stream(answer.clone(), head());
    let choices = u32::try_from(answer.choices.len()).expect("few");
    let mut reader = Reader::decoding(dialect, choices, Legend::default());
    let mut framer = Framer::new(1 << 20);
    framer.push(sent.clone());
    let mut events = Vec::new();
    while let Some(frame) = framer.next_frame().expect("frames") {
        reader.read(&frame, &[]);
        events.extend(reader.take_events());
    }
    prop_assert!(matches!(framer.finish(), End::Clean), "half a frame");
    prop_assert!(reader.completed(), "{}", String::from_utf8_lossy(&sent));
    Ok(events)
}

fn check(dialect: Dialect, answer: &Answer) -> Result<(), TestCaseError> {
    let body = dialect.write_answer(answer, &head());
    let shown = String::from_utf8_lossy(&body);
    let whole = dialect.read_whole(Task::Generate, Some("application/json"), &body, &[]);
    prop_assert!(whole.is_ok(), "{whole:?}: {shown}");
    prop_assert_eq!(whole.expect("an answer").answer, answer.text(), "{}", shown);
    let read = dialect.read_answer(&body);
    prop_assert_eq!(read.as_ref(), Some(answer), "{}", shown);
    prop_assert_eq!(&Answer::of(streamed(dialect, answer)?), answer);
    Ok(())
}

/// Another target may go on with what one has begun: the writer of a stream
/// takes the events of both as one answer.
fn check_in_two(dialect: Dialect, answer: &Answer, at: usize) -> Result<(), TestCaseError> {
    let events = answer.clone().into_events();
    let mut writer = Writer::new(dialect, head());
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    for (n, event) in events.iter().enumerate() {
        if n == at {
            writer
                .write(&Event::Begin { id: "other".to_owned(), model: "o".to_owned() }, &mut twice);
        }
        writer.write(event, &mut twice);
    }
    writer.finish(&mut twice);
    once.extend_from_slice(&dialect.write_stream(answer.clone(), head()));
    if at > 0 {
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn chat_completions_keep_an_answer(answer in answer(can(Dialect::OpenAi)), at in 0..4_usize) {
        check(Dialect::OpenAi, &answer)?;
        check_in_two(Dialect::OpenAi, &answer, at)?;
    }

    #[test]
    fn responses_keep_an_answer(answer in answer(can(Dialect::Responses)), at in 0..4_usize) {
        check(Dialect::Responses, &answer)?;
        check_in_two(Dialect::Responses, &answer, at)?;
    }

    #[test]
    fn anthropic_keeps_an_answer(answer in answer(can(Dialect::Anthropic)), at in 0..4_usize) {
        check(Dialect::Anthropic, &answer)?;
        check_in_two(Dialect::Anthropic, &answer, at)?;
    }

    #[test]
    fn gemini_keeps_an_answer(answer in answer(can(Dialect::Gemini)), at in 0..4_usize) {
        check(Dialect::Gemini, &answer)?;
        check_in_two(Dialect::Gemini, &answer, at)?;
    }
}
