//! Golden files across dialects: agents' requests, whole answers and streams
//! as each of the other dialects has them. `UPDATE_GOLDEN=1` writes them anew.
#![expect(clippy::disallowed_methods, reason = "golden files are written on request")]

use std::path::PathBuf;

use backstay::dialect::hub::{Legend, Strictness};
use backstay::dialect::translate::{Original, translate};
use backstay::dialect::{Abilities, Address, Dialect, Framing, Quirks, Target, Task, Written};
use serde_json::{Value, json};

use crate::rows::{streamed, whole};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dialects/cross").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether a file is what was made; or writes it.
fn check(name: &str, made: &str) {
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(path(name), made).unwrap();
        return;
    }
    let expected = read(name);
    for (number, (expected, made)) in (1..).zip(expected.lines().zip(made.lines())) {
        assert_eq!(made, expected, "{name}:{number}: write it anew with UPDATE_GOLDEN=1");
    }
    assert_eq!(made.len(), expected.len(), "{name}: one is longer than the other");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// An agent's request: whose it is, and the file.
const AGENTS: [(Dialect, &str); 4] = [
    (Dialect::OpenAi, "agent-openai"),
    (Dialect::Responses, "agent-openai-responses"),
    (Dialect::Anthropic, "agent-anthropic"),
    (Dialect::Gemini, "agent-gemini"),
];

fn others(own: Dialect) -> impl Iterator<Item = Dialect> {
    Dialect::ALL.into_iter().filter(move |other| *other != own)
}

/// The request for a target. That agents offer tools of their provider beside
/// their own needs no lenient route; stop sequences for the Responses API do.
fn written(client: Dialect, body: &str, wire: Dialect) -> Written {
    let stream = client == Dialect::Gemini;
    let address = Address { model: Some("m".to_owned()), stream, framing: Framing::Sse };
    let task = Task::Generate;
    client.peek(task, body.as_bytes(), &address).unwrap();
    let original = Original { client, task, body, address: &address, continues: None };
    let (abilities, quirks) = (Abilities::unknown(), Quirks::NONE);
    let strictness = match client {
        Dialect::OpenAi => Strictness::Lenient,
        Dialect::Responses | Dialect::Anthropic | Dialect::Gemini => Strictness::Normal,
    };
    let target = Target { model: "m", abilities: &abilities, quirks, strictness };
    translate(original, wire, &target).unwrap()
}

#[test]
fn requests_of_agents() {
    for (client, name) in AGENTS {
        let body = read(&format!("{name}.json"));
        for wire in others(client) {
            let Written { body, dropped, legend } = written(client, &body, wire);
            let body: Value = serde_json::from_slice(&body).unwrap();
            let legend = json!({ "names": legend.names, "free_text": legend.free_text,
                                 "hides_thoughts": legend.hides_thoughts });
            let made = pretty(&json!({ "dropped": dropped, "legend": legend, "body": body }));
            check(&format!("{name}.to-{}.json", wire.label()), &made);
        }
    }
}

/// What stands for a long text in the files.
const LONG: &str = "@@LONG@@";

/// The same with texts as long as agents send: 100 KB and more of quotes,
/// backslashes, line ends and characters of every width.
#[test]
fn large_requests_of_agents() {
    let long = "fn main() {\n\tprintln!(\"naïve \\ 😀 \u{1}\");\n}\r\n".repeat(3000);
    assert!(long.len() > 100_000, "{}", long.len());
    let quoted = serde_json::to_string(&long).unwrap();
    let quoted = quoted.trim_matches('"');
    for (client, name) in AGENTS {
        let short = read(&format!("{name}.json"));
        assert!(short.contains(LONG), "{name} has no long text");
        let body = short.replace(LONG, quoted);
        for wire in others(client) {
            let seen = written(client, &body, wire).body;
            let short = String::from_utf8(written(client, &short, wire).body.to_vec()).unwrap();
            let seen: Value = serde_json::from_slice(&seen).unwrap();
            let expected: Value = serde_json::from_str(&short.replace(LONG, quoted)).unwrap();
            assert!(seen == expected, "{name} to {} differs when it is large", wire.label());
            assert!(seen.to_string().len() > 100_000);
        }
    }
}

#[test]
fn whole_answers() {
    for wire in Dialect::ALL {
        let body: Value =
            serde_json::from_str(&read(&format!("answer-{}.json", wire.label()))).unwrap();
        for client in others(wire) {
            let made = pretty(&whole(wire, &body, client, Legend::default()));
            check(&format!("answer-{}.to-{}.json", wire.label(), client.label()), &made);
        }
    }
}

#[test]
fn streams() {
    for wire in Dialect::ALL {
        let sent = read(&format!("stream-{}.sse", wire.label()));
        for client in others(wire) {
            let made = streamed(wire, &sent, client, Legend::default());
            check(&format!("stream-{}.to-{}.sse", wire.label(), client.label()), &made);
        }
    }
}

/// Of reasoning that is not shown, nothing is left: no words, no proof, and no
/// empty block.
#[test]
fn hidden_reasoning_leaves_no_trace() {
    let hidden = Legend { hides_thoughts: true, ..Legend::default() };
    for wire in Dialect::ALL {
        let sent = read(&format!("stream-{}.sse", wire.label()));
        for client in others(wire) {
            let made = streamed(wire, &sent, client, hidden.clone());
            let case = format!("{} to {}: {made}", wire.label(), client.label());
            for trace in [
                "wants it",
                "ErUBCkYIBxgCIkDw",
                "thinking\"",
                "\"type\":\"reasoning\"",
                "thought\"",
            ] {
                assert!(!made.contains(trace), "{trace}: {case}");
            }
            assert!(made.contains("Naïve ") && made.contains("\"read\""), "{case}");
        }
    }
}
