//! A hedge: when the first target has not answered by the time it usually has
//! (its p95), a second is asked too, and the first answer wins. That costs a
//! twentieth more calls, and cuts off the tail of the latencies.
//!
//! ```toml
//! [routes."gpt-5".policy_settings]
//! min_samples = 20      # below that the p95 says nothing
//! at_least_ms = 200     # no sooner than this, however quick the target is
//! ```

wit_bindgen::generate!({ world: "policy", path: "wit" });

use backstay::policy::exchange::{Output, Request};
use backstay::policy::types::Launch;
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

struct Hedge;

impl Guest for Hedge {
    fn select_provider(
        call: Call,
        _request: &Request,
        candidates: Vec<Candidate>,
        attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        // After a failure there is no time to lose on finesse, and a stream
        // that has begun is continued by one target.
        if !attempts.is_empty() || call.delivered > 0 || call.attempts_left < 2 {
            return None;
        }
        let settings: serde_json::Value = serde_json::from_str(&call.settings).ok()?;
        let number = |name: &str, usual| settings[name].as_u64().unwrap_or(usual) as u32;
        let [first, second] = best_two(&call, &candidates)?;
        let health = &candidates[first as usize].health;
        if health.samples < number("min_samples", 20) {
            return None;
        }
        let after = health.first_token_p95.max(number("at_least_ms", 200));
        if after >= call.time_left {
            return None;
        }
        Some(Selection::Launch(vec![launch(first, 0), launch(second, after)]))
    }

    fn classify_error(_: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        None
    }

    fn validate_output(_: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        None
    }
}

/// The two best that can take the call now: by tier, then by load.
fn best_two(call: &Call, candidates: &[Candidate]) -> Option<[u32; 2]> {
    let usable = |c: &Candidate| c.barred.is_none() && c.offers.contains(call.needs);
    let mut usable: Vec<_> = candidates.iter().zip(0..).filter(|(c, _)| usable(c)).collect();
    usable.sort_by(|(a, _), (b, _)| {
        a.priority.cmp(&b.priority).then(a.health.load.total_cmp(&b.health.load))
    });
    let &[(_, first), (_, second), ..] = usable.as_slice() else { return None };
    Some([first, second])
}

/// With the route's limits, and the request as it came.
fn launch(candidate: u32, after: u32) -> Launch {
    Launch { candidate, after, first_token_timeout: None, total_timeout: None, edits: Vec::new() }
}

export!(Hedge);
