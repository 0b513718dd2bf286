//! A policy in ten lines: calls go to the provider that the route's settings
//! name as `favourite`, while it can be used. In all else, and once it fails,
//! the built-in decides.

wit_bindgen::generate!({ world: "policy", path: "wit" });

use backstay::policy::exchange::{Output, Request};
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

struct Prefer;

impl Guest for Prefer {
    fn select_provider(
        call: Call,
        _request: &Request,
        candidates: Vec<Candidate>,
        _attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        let settings: serde_json::Value = serde_json::from_str(&call.settings).ok()?;
        let favourite = settings["favourite"].as_str()?;
        let usable =
            |c: &Candidate| c.tried == 0 && c.barred.is_none() && c.offers.contains(call.needs);
        let position = candidates.iter().position(|c| c.provider == favourite && usable(c))?;
        Some(Selection::Pick(position as u32))
    }

    fn classify_error(_: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        None
    }

    fn validate_output(_: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        None
    }
}

export!(Prefer);
