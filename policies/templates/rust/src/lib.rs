//! A failover policy. Each function may return `None`, which leaves the
//! decision to the built-in: a policy says only what it wants otherwise.
//!
//! This one sends calls to the provider that the route's settings name as
//! `favourite`, while that can be used. What a policy is told and what it may
//! answer is in `wit/failover-policy.wit`.

wit_bindgen::generate!({ world: "policy", path: "wit" });

use backstay::policy::exchange::{Output, Request};
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

struct Policy;

impl Guest for Policy {
    /// Where to send the call.
    fn select_provider(
        call: Call,
        _request: &Request,
        candidates: Vec<Candidate>,
        _attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        let settings: serde_json::Value = serde_json::from_str(&call.settings).ok()?;
        let favourite = settings["favourite"].as_str()?;
        favoured(favourite, &call, &candidates).map(Selection::Pick)
    }

    /// What a failed attempt means, and what follows from it.
    fn classify_error(_: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        None
    }

    /// Whether an answer may be delivered.
    fn validate_output(_: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        None
    }
}

/// The first candidate of this provider that can serve the call, was not tried
/// yet and that the gateway would start now.
fn favoured(favourite: &str, call: &Call, candidates: &[Candidate]) -> Option<u32> {
    let usable =
        |c: &Candidate| c.tried == 0 && c.barred.is_none() && c.offers.contains(call.needs);
    let position = candidates.iter().position(|c| c.provider == favourite && usable(c))?;
    Some(position as u32)
}

export!(Policy);
