//! `backstay policy list`: what a running gateway has loaded.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::super::say;
use super::running::Running;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 listed, 1 the gateway does not answer or refuses, 2 the \
                        arguments or the configuration are wrong.")]
pub struct List {
    #[command(flatten)]
    running: Running,
}

pub fn run(list: &List) -> ExitCode {
    let policies = match list.running.ask(async |client| client.policies().await) {
        Ok(policies) => policies,
        Err(ended) => return ended,
    };
    if list.running.json {
        say(&format!("{:#}", json!({ "policies": policies })));
    } else {
        say(&table(&policies));
    }
    ExitCode::SUCCESS
}

fn table(policies: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["name", "state", "current", "before", "contract", "faults", "note"]);
    for policy in policies {
        let text = |key: &str| policy[key].as_str().unwrap_or("-").to_owned();
        table.add_row([
            text("name"),
            text("state"),
            short(&policy["digest"]),
            short(&policy["previous"]),
            text("contract"),
            policy["faults"].to_string(),
            notes(policy),
        ]);
    }
    table.trim_fmt()
}

fn short(digest: &Value) -> String {
    digest.as_str().and_then(|digest| digest.get(..8)).unwrap_or("-").to_owned()
}

/// What an operator would want to know beside the state.
fn notes(policy: &Value) -> String {
    let mut notes = Vec::new();
    if !policy["pin"].is_null() {
        notes.push(format!("pinned to {}", short(&policy["pin"])));
    }
    if !policy["rolled_back_from"].is_null() {
        notes.push(format!("rolled back from {}", short(&policy["rolled_back_from"])));
    }
    if policy["deleted"] == true {
        notes.push("its file is gone".to_owned());
    }
    if let Some(millis) = policy["compiling"]["for_ms"].as_u64() {
        let (digest, length) = (short(&policy["compiling"]["digest"]), millis / 1000);
        notes.push(format!("compiling {digest} for {length} s"));
    }
    if let Some(reason) = policy["last_refusal"]["reason"].as_str() {
        let again = policy["last_refusal"]["again_in_ms"].as_u64();
        let again = again.map(|millis| format!(" (tried again in {} s)", millis.div_ceil(1000)));
        notes.push(format!("file refused: {reason}{}", again.unwrap_or_default()));
    }
    if let Some(reason) = policy["last_fault"]["reason"].as_str() {
        notes.push(format!("last fault: {reason}"));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_what_is_unusual() {
        let digest = "0123456789abcdef";
        for (policy, expected) in [
            (json!({ "pin": null, "deleted": false }), ""),
            (json!({ "pin": digest }), "pinned to 01234567"),
            (
                json!({ "rolled_back_from": digest, "deleted": true }),
                "rolled back from 01234567; its file is gone",
            ),
            (json!({ "last_refusal": { "reason": "empty" } }), "file refused: empty"),
            (
                json!({ "last_refusal": { "reason": "killed", "again_in_ms": 4_200 } }),
                "file refused: killed (tried again in 5 s)",
            ),
            (
                json!({ "compiling": { "digest": digest, "for_ms": 12_345 } }),
                "compiling 01234567 for 12 s",
            ),
            (json!({ "last_fault": { "reason": "trap" } }), "last fault: trap"),
        ] {
            assert_eq!(notes(&policy), expected, "{policy}");
        }
    }
}
