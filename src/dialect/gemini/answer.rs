//! Whole answers, to and from the internal form.

use bytes::Bytes;

use super::chunk::{Chunks, Fault};
use super::compose;
use super::error_table::TABLE;
use super::fields::{self, Fields, field};
use super::stream::is_error;
use crate::dialect::answer::AnswerText;
use crate::dialect::errors::hidden_error;
use crate::dialect::hub::{Answer, Choice, Finish, Part};
use crate::dialect::node::Node;
use crate::dialect::request::Task;
use crate::dialect::whole::{self, Whole, not_an_answer};
use crate::dialect::writer::Head;
use crate::dialect::{edit, json};
use crate::failover::attempt::Outcome;
use crate::failover::consult::Edit;
use crate::secret::Secret;

/// Reads the complete body of a 200, or says what is wrong with it. A prompt
/// that was refused is an answer: a filter stopped it.
pub fn read_whole(
    task: Task,
    content_type: Option<&str>,
    body: &[u8],
    secrets: &[&Secret],
) -> Result<Whole, Outcome> {
    let text = whole::json(content_type, body)?;
    let node = Node::new(text);
    if is_error(node) {
        return Err(Outcome::Error(hidden_error(TABLE, text, secrets)));
    }
    if !node.is_object() {
        return Err(not_an_answer("a body that is no JSON object"));
    }
    match task {
        Task::Generate => generated(node),
        Task::Embed | Task::EmbedBatch => embedded(node),
        Task::CountTokens => counted(node),
    }
}

fn generated(node: Node<'_>) -> Result<Whole, Outcome> {
    let answer = answer(node).map_err(|fault| match fault {
        Fault::Failed(reply) => Outcome::Error(reply),
        Fault::Malformed(why) => not_an_answer(format!("a JSON body that is no answer: {why}")),
    })?;
    let Some(first) = answer.choices.first() else {
        return Err(not_an_answer("a JSON body without a candidate"));
    };
    if first.parts.is_empty() && first.finish.is_none() {
        return Err(not_an_answer("a candidate without content"));
    }
    let model = Some(answer.model.clone()).filter(|model| !model.is_empty());
    Ok(Whole { answer: answer.text(), model })
}

fn answer(node: Node<'_>) -> Result<Answer, Fault> {
    let mut events = Vec::new();
    Chunks::default().take(node, &mut events)?;
    let mut answer = Answer::of(events);
    // A candidate that says nothing at all is one.
    let candidates = field(node, "candidates").is_some_and(|list| list.items().next().is_some());
    if candidates && answer.choices.is_empty() {
        answer.choices.push(Choice::default());
    }
    Ok(answer)
}

fn embedded(node: Node<'_>) -> Result<Whole, Outcome> {
    let one = node.get("embedding").is_some();
    let several = node.get("embeddings").is_some_and(|list| list.items().next().is_some());
    if !one && !several {
        return Err(not_an_answer("a JSON body without an embedding"));
    }
    Ok(Whole { answer: AnswerText::default(), model: None })
}

fn counted(node: Node<'_>) -> Result<Whole, Outcome> {
    // Zero may be left out.
    let count = field(node, "totalTokens");
    if count.is_some_and(|count| count.u32().is_none()) {
        return Err(not_an_answer("a JSON body without a count of tokens"));
    }
    Ok(Whole { answer: AnswerText::default(), model: None })
}

/// The answer in a body that passed `read_whole`.
#[must_use]
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok()?;
    answer(Node::new(text)).ok()
}

/// An answer as a whole body.
#[must_use]
pub fn write_answer(answer: &Answer, head: &Head) -> Bytes {
    let mut candidates = Vec::with_capacity(answer.choices.len());
    for (index, choice) in (0..).zip(&answer.choices) {
        let parts: Vec<String> = choice.parts.iter().filter_map(part).collect();
        let refused = choice.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
        let finish =
            choice.finish.as_ref().map(|finish: &Finish| compose::finish_word(finish, refused));
        candidates.push(compose::candidate(index, &parts.join(","), finish));
    }
    let or = |name: &str, other: &str| if name.is_empty() { other } else { name }.to_owned();
    let (model, id) = (or(&answer.model, &head.model), or(&answer.id, &head.id));
    let candidates = candidates.join(",");
    Bytes::from(compose::response(&candidates, answer.usage.as_ref(), &model, &id))
}

fn part(part: &Part) -> Option<String> {
    match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => None,
        Part::Text(text) | Part::Refusal(text) => Some(compose::text_part(text)),
        Part::Thought { text, signature, .. } => compose::thought_part(text, signature.as_ref()),
        Part::Call { id, name, arguments, free_text, signature } => {
            let args = compose::args(arguments, *free_text);
            let signature = compose::own_signature(signature.as_ref());
            Some(compose::call_part(id, name, &args, signature))
        }
        Part::Opaque(_) => None,
    }
}

/// The body with this text as the first choice's; `None` if there is no place
/// for it. Thoughts and calls stay; further texts are taken out.
#[must_use]
pub fn amend_whole(body: &[u8], text: &str) -> Option<Bytes> {
    let node = Node::new(std::str::from_utf8(body).ok()?);
    let candidates = node.get("candidates")?;
    let first = |candidate: &Node<'_>| candidate.get("index").is_none_or(|n| n.u32() == Some(0));
    let (at, candidate) = candidates.items().enumerate().find(|(_, one)| first(one))?;
    let content = format!("/candidates/{at}/content");
    let parts = candidate.get("content").and_then(|content| content.get("parts"));
    let Some(parts) = parts.filter(|parts| parts.is_array()) else {
        let part = compose::text_part(text);
        let value = format!(r#"{{"parts":[{part}],"role":"model"}}"#);
        return edit::edit(body, &[Edit { pointer: content, value: Some(value) }]).ok();
    };
    let mut texts: Vec<usize> = Vec::new();
    for (place, part) in parts.items().enumerate() {
        let fields = Fields::of(part);
        if fields.text.is_some() && !fields.thought {
            texts.push(place);
        }
    }
    let mut edits = Vec::new();
    if let Some((kept, rest)) = texts.split_first() {
        let remove = |place| Edit { pointer: format!("{content}/parts/{place}"), value: None };
        edits.extend(rest.iter().rev().map(remove));
        let pointer = format!("{content}/parts/{kept}/text");
        edits.push(Edit { pointer, value: Some(json::quote(text)) });
    } else {
        let pointer = format!("{content}/parts/-");
        edits.push(Edit { pointer, value: Some(compose::text_part(text)) });
    }
    edit::edit(body, &edits).ok()
}

/// The model a body names, for embeddings.
#[must_use]
pub fn model(node: Node<'_>) -> String {
    fields::text(node, "modelVersion").unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::CallText;
    use crate::dialect::Dialect;
    use crate::dialect::answer::FinishReason;
    use crate::dialect::hub::Usage;
    use crate::dialect::writer::Framing;

    const ANSWER: &str = include_str!("../../../tests/golden/dialects/gemini/answer-tools.json");

    fn head() -> Head {
        Head {
            id: "trace".to_owned(),
            model: "asked".to_owned(),
            created: 7,
            include_usage: true,
            framing: Framing::Sse,
        }
    }

    /// `Ok` is the text, `Err` the class or the detail.
    fn read(task: Task, body: &str) -> Result<String, String> {
        whole::tests::read(Dialect::Gemini, task, body)
    }

    #[test]
    fn an_answer_is_read() {
        let whole = read_whole(Task::Generate, None, ANSWER.as_bytes(), &[]).unwrap();
        assert_eq!(whole.model.as_deref(), Some("gemini-2.5-flash"));
        assert_eq!(whole.answer.text, "I will look.");
        let call = CallText::json("lookup", r#"{"keys":["a b"],"deep":{"n":1.50}}"#);
        assert_eq!(whole.answer.tool_calls, [call]);
        assert_eq!(whole.answer.finish, FinishReason::ToolCalls);
        let answer = read_answer(ANSWER.as_bytes()).unwrap();
        assert_eq!(answer.text(), whole.answer);
        let expected = Usage {
            input: Some(91),
            cached: Some(64),
            cache_written: None,
            output: Some(40),
            reasoning: Some(25),
        };
        assert_eq!(answer.usage, Some(expected));
    }

    #[test]
    fn bodies_that_are_no_answer() {
        let check = |task, body: &str, expected: &str| {
            let seen = read(task, body).unwrap_err();
            assert!(seen.starts_with(expected), "{body}: {seen}");
        };
        let generate = |body: &str, expected| check(Task::Generate, body, expected);
        generate("", "an empty body");
        generate("<!doctype html>", "an HTML page");
        generate("data: {}\n\n", "a stream");
        generate("{\"candidates\":", "a body that is not the JSON");
        generate("[{}]", "a body that is no JSON object");
        generate("{}", "a JSON body without a candidate");
        generate(r#"{"candidates":[]}"#, "a JSON body without a candidate");
        generate(r#"{"candidates":[{"index":0}]}"#, "a candidate without content");
        generate(r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, "rate-limited");
        generate(r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, "overloaded");
        generate(
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
            "invalid-output",
        );
        generate(r#"{"candidates":[{"finishReason":"OTHER"}]}"#, "server-error");
        check(Task::Embed, "{}", "a JSON body without an embedding");
        check(Task::EmbedBatch, r#"{"embeddings":[]}"#, "a JSON body without an embedding");
        check(Task::CountTokens, r#"{"totalTokens":"x"}"#, "a JSON body without a count");
        check(Task::CountTokens, r#"{"error":{"code":500}}"#, "server-error");
        let page = read_whole(Task::Generate, Some("text/html"), b"oops", &[]);
        assert_eq!(page, Err(not_an_answer("an HTML page")));
    }

    #[test]
    fn odd_answers_are_answers() {
        let check = |task, body: &str| assert_eq!(read(task, body), Ok(String::new()), "{body}");
        check(Task::Generate, r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#);
        check(
            Task::Generate,
            r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}]}"#,
        );
        check(Task::Generate, r#"{"promptFeedback":{"blockReason":"SAFETY"},"error":null}"#);
        check(Task::Embed, r#"{"embedding":{"values":[1]}}"#);
        check(Task::EmbedBatch, r#"{"embeddings":[{}]}"#);
        check(Task::CountTokens, r#"{"totalTokens":3}"#);
        check(Task::CountTokens, "{}");
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
        let whole = read_whole(Task::Generate, None, blocked.as_bytes(), &[]).unwrap();
        assert_eq!(whole.answer.finish, FinishReason::ContentFilter);
    }

    #[test]
    fn an_answer_is_written() {
        let call = Part::Call {
            id: "toolu_1".to_owned(),
            name: "f".to_owned(),
            arguments: String::new(),
            free_text: false,
            signature: Some((Dialect::Anthropic, "hidden".to_owned())),
        };
        let parts = vec![
            Part::Thought { text: "hm".to_owned(), signature: None, redacted: false },
            Part::Text("say \"é\"".to_owned()),
            Part::Text(String::new()),
            call,
            Part::Opaque("citations"),
        ];
        let usage = Usage { input: Some(3), output: Some(4), ..Usage::default() };
        let first = Choice { parts, finish: Some(Finish::ToolCalls) };
        let second =
            Choice { parts: vec![Part::Refusal("no".to_owned())], finish: Some(Finish::Refusal) };
        let answer =
            Answer { choices: vec![first, second], usage: Some(usage), ..Answer::default() };
        let expected = concat!(
            r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"say \"é\""},"#,
            r#"{"functionCall":{"id":"toolu_1","name":"f","args":{}}}],"role":"model"},"finishReason":"STOP","index":0},"#,
            r#"{"content":{"parts":[{"text":"no"}],"role":"model"},"finishReason":"STOP","index":1}],"#,
            r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7},"#,
            r#""modelVersion":"asked","responseId":"trace"}"#
        );
        assert_eq!(std::str::from_utf8(&write_answer(&answer, &head())), Ok(expected));
    }

    #[test]
    fn an_amended_answer_differs_in_its_text_only() {
        let check = |body: &str, expected: Option<&str>| {
            let seen = amend_whole(body.as_bytes(), "n\"o");
            let seen = seen.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap());
            assert_eq!(seen, expected, "{body}");
        };
        let with = |parts: &str| {
            format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"x":1e2}}]}}"#)
        };
        check(
            &with(
                r#"{"text":"t","thought":true}, {"text":"a","thoughtSignature":"s"},{"functionCall":{}},{"text":"b"}"#,
            ),
            Some(&with(
                r#"{"text":"t","thought":true}, {"text":"n\"o","thoughtSignature":"s"},{"functionCall":{}}"#,
            )),
        );
        check(
            &with(r#"{"functionCall":{}}"#),
            Some(&with(r#"{"functionCall":{}},{"text":"n\"o"}"#)),
        );
        check(
            r#"{"candidates":[{"index":1},{"finishReason":"STOP"}]}"#,
            Some(
                r#"{"candidates":[{"index":1},{"finishReason":"STOP","content":{"parts":[{"text":"n\"o"}],"role":"model"}}]}"#,
            ),
        );
        check("{}", None);
        check("", None);
    }

    fn part_strategy() -> impl Strategy<Value = Part> {
        let signature = proptest::option::of("[a-z]{1,8}")
            .prop_map(|value| value.map(|value| (Dialect::Gemini, value)));
        prop_oneof![
            "\\PC{1,12}".prop_map(Part::Text),
            ("\\PC{1,12}", signature.clone()).prop_map(|(text, signature)| Part::Thought {
                text,
                signature,
                redacted: false
            }),
            ("[a-z]{1,6}", "[a-z_]{1,6}", "\\PC{0,8}", signature).prop_map(
                |(id, name, value, signature)| Part::Call {
                    id,
                    name,
                    arguments: format!(r#"{{"a":{}}}"#, json::quote(&value)),
                    free_text: false,
                    signature,
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"candidates\":\\[\\{\"(content|index)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,30}\\}\\]\\}") {
            for body in [&body[..], near.as_bytes()] {
                let _ = read_whole(Task::Generate, None, body, &[]);
                let _ = read_answer(body);
                let _ = amend_whole(body, "x");
            }
        }

        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec(part_strategy(), 1..6), usage in proptest::option::of((0..9_u32, 0..9_u32, 0..9_u32))) {
            let usage = usage.map(|(input, visible, reasoning)| Usage {
                input: Some(input),
                output: Some(visible + reasoning),
                reasoning: Some(reasoning),
                ..Usage::default()
            });
            let called = parts.iter().any(|part| matches!(part, Part::Call { .. }));
            let finish = if called { Finish::ToolCalls } else { Finish::Stop };
            let choice = Choice { parts, finish: Some(finish) };
            let answer = Answer { id: "i".to_owned(), model: "m".to_owned(), choices: vec![choice], usage };
            // What joins when it is read is one.
            let answer = Answer::of(answer.into_events());
            let body = write_answer(&answer, &head());
            prop_assert_eq!(read_answer(&body), Some(answer));
        }
    }
}
