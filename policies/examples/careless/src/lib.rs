//! A policy with a mistake that only real calls show. It passes the questions
//! that every new version is tried on, since their settings are empty, and
//! panics at the first call of a route that has a favourite. `backstay demo`
//! swaps it in to show what follows: nothing that a client would notice.

wit_bindgen::generate!({ world: "policy", path: "wit" });

use backstay::policy::exchange::{Output, Request};
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

struct Careless;

impl Guest for Careless {
    fn select_provider(
        call: Call,
        _request: &Request,
        _candidates: Vec<Candidate>,
        _attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        let settings: serde_json::Value = serde_json::from_str(&call.settings).ok()?;
        // The mistake: operators write the name of a provider.
        let favourite = settings.get("favourite")?.as_u64().expect("the favourite is a number");
        Some(Selection::Pick(favourite as u32))
    }

    fn classify_error(_: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        None
    }

    fn validate_output(_: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        None
    }
}

export!(Careless);
