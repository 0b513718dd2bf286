//! The state of things, as one JSON document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::watching;
use crate::failover::{Candidate, Timestamp};
use crate::gateway::Shared;

/// Targets, routes, policies, generation.
pub fn status(shared: &Shared) -> Value {
    let now = shared.clock.now();
    let generation = shared.generation();
    let routes: BTreeMap<_, _> = generation
        .routes
        .iter()
        .map(|(name, route)| {
            let targets: Vec<_> =
                route.rules.candidates.iter().map(|c| c.facts.target.as_str()).collect();
            let mut shown = json!({ "policy": route.policy, "targets": targets });
            watching::of_route(route, now, &mut shown);
            (name.as_str(), shown)
        })
        .collect();
    let candidates = generation.routes.values().flat_map(|route| &route.rules.candidates);
    let targets: BTreeMap<_, _> =
        candidates.map(|c| (c.facts.target.as_str(), target(c, now))).collect();
    let fault = shared
        .config_fault()
        .map(|fault| json!({ "reason": fault.said, "ago_ms": now.since(fault.since).as_millis() }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "generation": generation.number,
        "configuration": {
            "file": generation.config.source,
            "digest": generation.config.digest,
            // Of the file as it is now; what is served by is still the one above.
            "error": fault,
        },
        "uptime_s": now.since_origin().as_secs(),
        "calls_under_way": shared.under_way(),
        "targets": targets,
        "routes": routes,
        "journal": generation.journal.as_deref().map(watching::journal),
        "policies": super::policies::all(shared),
    })
}

fn target(candidate: &Candidate, now: Timestamp) -> Value {
    let health = candidate.target.snapshot(now);
    let credential = candidate.target.credential_out(now);
    json!({
        "circuit": health.circuit.label(),
        "cooldown_ms": health.cooldown.as_millis(),
        "credential_out": credential.map(|(until, class)| json!({
            "class": class.label(),
            "for_ms": until.since(now).as_millis(),
        })),
        "samples": health.samples,
        "error_rate": health.error_rate,
        "consecutive_failures": health.consecutive_failures,
        "in_flight": health.in_flight,
        "first_token_p50_ms": health.first_token_p50.as_millis(),
        "first_token_p95_ms": health.first_token_p95.as_millis(),
        "total_p50_ms": health.total_p50.as_millis(),
        "total_p95_ms": health.total_p95.as_millis(),
        "requests_left": health.requests_left,
        "tokens_left": health.tokens_left,
    })
}
