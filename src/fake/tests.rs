//! What holds in every dialect alike: the text of a healthy answer, and that
//! each fault is there, and ends as it does in the others.

use serde_json::{Value, json};

use super::answer::answer;
use super::grammar::FAULTS;
use super::script::End;
use super::testing::{Told, tell};

/// One way to ask "hi": where, with which headers, with which body.
struct Way {
    target: &'static str,
    headers: &'static str,
    body: Value,
}

const GEMINI: &str = "x-goog-api-key: k";
const ANTHROPIC: &str = "x-api-key: k\nanthropic-version: 2023-06-01";

/// All ways to ask for a whole answer, or for a stream.
fn ways(streamed: bool) -> Vec<Way> {
    let way = |target, headers, body| Way { target, headers, body };
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let chat = json!({ "model": "m", "messages": messages, "stream": streamed });
    let mut anthropic = chat.clone();
    anthropic["max_tokens"] = 1000.into();
    let responses = json!({ "model": "m", "input": "hi", "stream": streamed });
    let gemini = json!({ "contents": [{ "parts": [{ "text": "hi" }] }] });
    let deployed = "/openai/deployments/m/chat/completions?api-version=1";
    let mut ways = vec![
        way("/v1/chat/completions", "authorization: Bearer k", chat.clone()),
        way(deployed, "api-key: k", chat),
        way("/v1/responses", "authorization: Bearer k", responses),
        way("/v1/messages", ANTHROPIC, anthropic),
    ];
    if streamed {
        let events = "/v1beta/models/m:streamGenerateContent?alt=sse";
        ways.push(way(events, GEMINI, gemini.clone()));
        ways.push(way("/v1beta/models/m:streamGenerateContent", GEMINI, gemini));
    } else {
        ways.push(way("/v1/models/m:generateContent", GEMINI, gemini));
    }
    ways
}

impl Way {
    fn ask(&self, spec: &str) -> Told {
        tell(self.target, self.headers, &self.body, spec)
    }
}

/// The text in an answer of any dialect.
fn text(told: &Told) -> String {
    let events = told.events();
    let values: Vec<_> = if !events.is_empty() {
        events.into_iter().map(|(_, data)| data).collect()
    } else if told.body.starts_with('[') {
        serde_json::from_str(&told.body).unwrap()
    } else {
        vec![told.json()]
    };
    let pointers = [
        "/choices/0/message/content",
        "/choices/0/delta/content",
        "/content/0/text",
        "/delta/text",
        "/output/0/content/0/text",
        "/delta",
        "/candidates/0/content/parts/0/text",
    ];
    let found = |value: &Value| {
        let said = pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_str());
        said.map(str::to_owned)
    };
    values.iter().filter_map(found).collect()
}

#[test]
fn a_healthy_answer_is_the_same_text() {
    for way in ways(false).into_iter().chain(ways(true)) {
        for spec in ["ok", "words=0", "words=1", "slow-first:1ms", "huge-header"] {
            let words = match spec {
                "words=0" => 0,
                "words=1" => 1,
                _ => 60,
            };
            let told = way.ask(spec);
            assert_eq!(told.status, 200, "{}: {}", way.target, told.body);
            assert_eq!(text(&told), answer("hi", words), "{} {spec}", way.target);
        }
    }
}

/// How an answer ends, which is not a matter of dialects.
fn ending(told: &Told) -> (bool, &'static str) {
    let end = match &told.end {
        End::KeepAlive => "keep-alive",
        End::Close => "close",
        End::Reset => "reset",
        End::Silence => "silence",
        End::Repeat { .. } => "repeat",
    };
    (told.complete, end)
}

#[test]
fn every_fault_is_there_and_ends_alike() {
    let parts = FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when:") && !effect.starts_with("setting:"));
    for (name, ..) in parts {
        let name = if name.starts_with("400") { "418" } else { name };
        // Nothing is answered: there is no dialect in it.
        if ["refuse", "reset", "close", "silence", "garbage"].contains(&name) {
            continue;
        }
        for streamed in [false, true] {
            let ways = ways(streamed);
            let first = ways[0].ask(name);
            for way in &ways[1..] {
                let told = way.ask(name);
                assert_eq!(ending(&told), ending(&first), "{name} {}", way.target);
                let own = ["overloaded", "content-filter"];
                if told.dialect != "gemini" || !own.contains(&name) {
                    assert_eq!(told.status, first.status, "{name} {}", way.target);
                }
            }
        }
    }
}

#[test]
fn a_fault_leaves_the_words_before_it() {
    for way in ways(true) {
        for spec in ["cut-reset", "cut-clean", "cut-fin", "stall", "bad-chunking"] {
            let told = way.ask(&format!("{spec}:after=3+words=9"));
            let begun = answer("hi", 3);
            if told.events().is_empty() {
                assert!(told.body.contains(begun.split(' ').next_back().unwrap()), "{}", told.body);
            } else {
                assert_eq!(text(&told), begun, "{spec} {}", way.target);
            }
        }
    }
}

#[test]
fn a_bad_key_is_told_in_every_dialect() {
    for way in ways(false) {
        let headers = way.headers.replace(" k", " other");
        let told = tell(way.target, &headers, &way.body, "ok");
        let status = if told.dialect == "gemini" { 400 } else { 401 };
        assert_eq!(told.status, status, "{}", way.target);
        assert!(told.json()["error"].is_object());
    }
}
