//! What providers send that no fake does: torn events, answers without text,
//! and streams that go on after their end.

use backstay::fake::{DEFAULT_WORDS, answer};
use serde_json::json;

use crate::support::client::{chat, now, within};
use crate::support::gateway::{Gateway, Setup, asked, provider};
use crate::support::guests::misbehaving;
use crate::support::said::Said;
use crate::support::scripted::{head, scripted, table};

fn chunk(delta: &serde_json::Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [choice] });
    format!("data: {chunk}\n\n")
}

/// A stream that breaks within an event leaves nothing of it with the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_event_is_not_passed_on() {
    let b = provider("b", "ok");
    let beginning = chunk(&json!({ "role": "assistant", "content": answer("hi", 3) }), None);
    let torn = [
        "d",
        "data",
        "data:",
        "data: ",
        "event: x\n",
        "event: x\ndata:",
        "id: 1\n",
        "data: {\"id\"",
    ];
    for torn in torn {
        let a = scripted(head("text/event-stream") + &beginning + torn).await;
        let setup = Setup::new().with(&table("a", "openai", a)).provider("b", &b);
        let gateway = setup.route("m", &["a/m", "b/m"]).start().await;
        let reply = gateway.ask(&chat("m", "hi", true)).await;
        let whole = Said::of(&reply).is_whole(&answer("hi", DEFAULT_WORDS), true);
        whole.unwrap_or_else(|e| panic!("{torn:?}: {e}\n{}", reply.text()));
    }
}

/// What follows the end of a stream neither fills the memory nor keeps the
/// client waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_on_after_its_end_is_over() {
    let more = chunk(&json!({ "content": "x".repeat(64 << 10) }), None).repeat(512);
    let text = chunk(&json!({ "role": "assistant", "content": "so it is" }), None);
    let stream = head("text/event-stream") + &text + &chunk(&json!({}), Some("stop")) + &more;
    let a = scripted(stream).await;
    let setup = Setup::new().with(&table("a", "openai", a)).rule("terminator_timeout", "\"300ms\"");
    let gateway = setup.route("m", &["a/m"]).start().await;
    let began = now();
    let reply = within("the end", gateway.ask(&chat("m", "hi", true))).await;
    assert!(reply.body.len() < 2 << 20, "{} bytes after {:?}", reply.body.len(), began.elapsed());
    let said = Said::of(&reply);
    assert!(said.text.starts_with("so it is") && said.done == 1 && said.errors.is_empty());
}

/// What says why the model stopped ends the answer, also if an error follows:
/// nobody is asked to go on, and the last words are not lost.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_the_finish_is_no_failure() {
    let error = json!({ "error": { "message": "usage accounting failed", "code": 500 } });
    let stream = chunk(&json!({ "role": "assistant", "content": "so " }), None)
        + &chunk(&json!({ "content": "it is" }), Some("stop"))
        + &format!("data: {error}\n\n");
    let a = scripted(head("text/event-stream") + &stream).await;
    let b = provider("b", "ok");
    let setup = Setup::new().with(&table("a", "openai", a)).provider("b", &b);
    let gateway = setup.route("m", &["a/m", "b/m"]).start().await;
    let said = Said::of(&gateway.ask(&chat("m", "hi", true)).await);
    said.is_whole("so it is", true).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    assert_eq!(asked(&b, "m"), 0);
}

/// A stream that ends properly without saying why the model stopped was cut
/// before its provider: unless that never says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_proper_end_without_a_reason_is_a_cut() {
    let stream = chunk(&json!({ "role": "assistant", "content": answer("hi", 3) }), None)
        + "data: [DONE]\n\n";
    let a = scripted(head("text/event-stream") + &stream).await;
    let b = provider("b", "ok");
    let with = |more: &str, targets: &[&str]| {
        let setup = Setup::new().with(&format!("{}\n{more}", table("a", "openai", a)));
        setup.provider("b", &b).route("m", targets)
    };
    let gateway = with("", &["a/m", "b/m"]).start().await;
    let said = Said::of(&gateway.ask(&chat("m", "hi", true)).await);
    said.is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let gateway = with("", &["a/m"]).start().await;
    let said = Said::of(&gateway.ask(&chat("m", "hi", true)).await);
    assert!(said.errors.len() == 1 && said.done == 0 && said.finishes.is_empty(), "{said:?}");
    let gateway = with("quirks = [\"no-finish-reason\"]", &["a/m", "b/m"]).start().await;
    let said = Said::of(&gateway.ask(&chat("m", "hi", true)).await);
    assert!(said.done == 1 && said.text == answer("hi", 3) && said.errors.is_empty(), "{said:?}");
}

/// Anthropic's are not shown the white space that a text was cut at, and say it
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn white_space_at_the_seam_comes_once() {
    let beginning = chunk(&json!({ "role": "assistant", "content": "def f():\n    " }), None);
    let a = scripted(head("text/event-stream") + &beginning).await;
    let event = |event: &serde_json::Value| {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    };
    let events: String = [
        json!({ "type": "message_start", "message": { "id": "m1", "type": "message",
            "role": "assistant", "model": "m", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": "\n    return 1\n" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn",
            "stop_sequence": null }, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ]
    .iter()
    .map(event)
    .collect();
    let b = scripted(head("text/event-stream") + &events).await;
    let setup = Setup::new().with(&table("a", "openai", a)).with(&table("b", "anthropic", b));
    let prefilled = "b/m features = [\"streaming\", \"prefill\"]";
    let gateway = setup.route("m", &["a/m", prefilled]).start().await;
    let said = Said::of(&gateway.ask(&chat("m", "hi", true)).await);
    said.is_whole("def f():\n    return 1\n", true).unwrap_or_else(|e| panic!("{e}: {said:?}"));
}

/// A target that is asked to go on and says nothing has not ended the answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_continuation_is_no_end() {
    let beginning = chunk(&json!({ "role": "assistant", "content": answer("hi", 3) }), None);
    let silent = chunk(&json!({ "role": "assistant", "content": " \n" }), None)
        + &chunk(&json!({}), Some("stop"))
        + "data: [DONE]\n\n";
    let a = scripted(head("text/event-stream") + &beginning).await;
    let b = scripted(head("text/event-stream") + &silent).await;
    let c = provider("c", "ok");
    let with = |targets: &[&str]| {
        let setup = Setup::new().with(&table("a", "openai", a)).with(&table("b", "openai", b));
        setup.provider("c", &c).route("m", targets)
    };
    let gateway = with(&["a/m", "b/m"]).start().await;
    let reply = gateway.ask(&chat("m", "hi", true)).await;
    let said = Said::of(&reply);
    assert!(said.errors.len() == 1 && said.done == 0 && said.finishes.is_empty(), "{said:?}");
    let gateway = with(&["a/m", "b/m", "c/m"]).start().await;
    let reply = gateway.ask(&chat("m", "hi", true)).await;
    assert_eq!(asked(&c, "m"), 1);
    let said = Said::of(&reply);
    assert!(said.done == 1 && said.text.starts_with(&answer("hi", 3)), "{said:?}");
}

/// Answers that say something, but not in text.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_text_are_answers() {
    let message = |message: &serde_json::Value, finish: &str| {
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let body = json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [choice] });
        (head("application/json") + &body.to_string(), body)
    };
    let patch = json!({ "id": "t", "type": "custom",
        "custom": { "name": "patch", "input": "*** Begin" } });
    let audio = json!({ "role": "assistant", "content": null,
        "audio": { "id": "a", "data": "AAAA", "transcript": "so it is" } });
    let rows = [
        ("audio", message(&audio, "stop"), json!({}), 200),
        (
            "patch",
            message(
                &json!({ "role": "assistant", "content": null, "tool_calls": [patch] }),
                "tool_calls",
            ),
            json!({ "tools": [{ "type": "custom", "custom": { "name": "patch" } }] }),
            200,
        ),
        (
            "limited",
            message(&json!({ "role": "assistant", "content": "" }), "length"),
            json!({ "max_tokens": 1 }),
            200,
        ),
        ("empty", message(&json!({ "role": "assistant", "content": "" }), "stop"), json!({}), 502),
    ];
    for (case, (answer, body), more, status) in rows {
        let a = scripted(answer).await;
        let gateway =
            Setup::new().with(&table("a", "openai", a)).route("m", &["a/m"]).start().await;
        let mut call = chat("m", "hi", false);
        let fields = more.as_object().expect("an object").clone();
        call.as_object_mut().expect("an object").extend(fields);
        let reply = gateway.ask(&call).await;
        assert_eq!(reply.status, status, "{case}: {}", reply.text());
        if status == 200 {
            assert_eq!(reply.json(), body, "{case}");
        }
    }
}

/// Edits are made in what the target is sent; those that cannot be made are the
/// policy's fault, and never the client's.
#[tokio::test(flavor = "multi_thread")]
async fn edits_are_made_last_or_not_at_all() {
    let rows = [
        // the edit, the target's dialect, where a 7 must be found, faults counted
        ("/seed", "openai", Some("/seed"), 0),
        ("/top_k", "anthropic", Some("/top_k"), 0),
        ("/generationConfig/topK", "gemini", Some("/generationConfig/topK"), 0),
        ("seed", "openai", None, 1),
        ("/nowhere/at/all", "openai", None, 1),
    ];
    for (edit, dialect, found, faults) in rows {
        let a = provider("a", "ok");
        let lines = format!("policy = \"p\"\npolicy_settings = {{ do = \"edit {edit}\" }}");
        let setup = Setup::new().provider_of("a", dialect, &a).route_with("m", &lines, &["a/m"]);
        let gateway = Gateway::start(&setup.text(), &[("p.wasm", misbehaving())]).await;
        let mut call = chat("m", "hi", false);
        call["temperature"] = json!(0.5);
        let reply = gateway.ask(&call).await;
        let case = format!("{edit} at {dialect}");
        assert_eq!(reply.status, 200, "{case}: {}", reply.text());
        let seen = a.log().last().map(|seen| seen.body.clone()).expect("it was asked");
        let seen: serde_json::Value = serde_json::from_slice(&seen).expect("a JSON body");
        if let Some(at) = found {
            assert_eq!(seen.pointer(at), Some(&json!(7)), "{case}: {seen}");
        }
        let status = gateway.see("/status").await;
        let policies = status["policies"].as_array().expect("a list");
        let own = policies.iter().find(|policy| policy["name"] == "p").expect("it is loaded");
        assert_eq!(own["faults"], json!(faults), "{case}: {own}");
    }
}
