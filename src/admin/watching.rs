//! Who looks on at live decisions: shadows, canaries, the journal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::failover::Timestamp;
use crate::gateway::{LiveRoute, Shared};
use crate::journal::Journal;

/// Adds a route's shadow and canary, where it has them. What the shadow would
/// have done instead is on a page of its own.
pub fn of_route(route: &LiveRoute, now: Timestamp, shown: &mut Value) {
    if let Some(shadow) = &route.shadow {
        let mut view = shadow.view();
        let disagreements = std::mem::take(&mut view.disagreements);
        shown["shadow"] = json!(view);
        shown["shadow"]["disagreements"] = json!(disagreements.len());
    }
    if let Some(trial) = &route.trial {
        shown["canary"] = trial.view(now);
    }
}

pub fn journal(journal: &Journal) -> Value {
    let status = journal.status();
    json!({
        "directory": status.directory,
        "file": status.file,
        "written": status.written,
        "dropped": status.dropped,
        "lost": status.lost,
        "error": status.error,
    })
}

/// All shadows, by route.
pub fn shadows(shared: &Shared) -> Value {
    let generation = shared.generation();
    let shadows: BTreeMap<_, _> = generation
        .routes
        .iter()
        .filter_map(|(name, route)| Some((name.as_str(), route.shadow.as_ref()?.view())))
        .collect();
    json!({ "shadows": shadows })
}

/// The shadow of the route that a path names, percent-encoded or not.
pub fn shadow(shared: &Shared, path: &str) -> Option<Value> {
    let name = decoded(path);
    let generation = shared.generation();
    let route = generation.routes.get(path).or_else(|| generation.routes.get(&name))?;
    route.shadow.as_ref().map(|shadow| json!(shadow.view()))
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let encoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = encoded.filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = &after[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_routes_are_decoded() {
        for (path, expected) in [
            ("gpt-5", "gpt-5"),
            ("openai%2Fgpt-5", "openai/gpt-5"),
            ("a%20b%", "a b%"),
            ("%zz%4", "%zz%4"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(decoded(path), expected, "{path}");
        }
    }
}
