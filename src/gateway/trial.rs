//! Canaries of routes: which calls they decide, how both arms do, and that one
//! was given up. They outlive the configurations; when to give one up is the
//! heart's knowledge.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tracing::warn;

use super::trace::{End, Trace};
use crate::config;
use crate::failover::canary::{Arm, CallEnd, Canary, Figures, Lot, Why, blames_request};
use crate::failover::note::FaultKind;
use crate::failover::{Decider, Note, Timestamp};
use crate::policy::{Digest, Policy, Standing};

/// The canaries of all routes, by the route's name.
#[derive(Debug, Default)]
pub struct Trials(Mutex<BTreeMap<String, Arc<Trial>>>);

impl Trials {
    /// The trial of a route's canary. Other settings, of the canary or of the
    /// policies, are another trial.
    pub fn of(&self, route: &config::Route, canary: &config::Canary) -> Arc<Trial> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&route.name) {
            Some(trial) if trial.is_of(route, canary) => Arc::clone(trial),
            Some(_) | None => {
                let trial = Arc::new(Trial::new(route, canary));
                known.insert(route.name.clone(), Arc::clone(&trial));
                trial
            }
        }
    }

    /// Forgets the routes that have no canary any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|route, _| wanted(route));
    }
}

/// A canary of one route.
#[derive(Debug)]
pub struct Trial {
    route: String,
    /// As configured.
    canary: config::Canary,
    /// The name of the route's own policy.
    own: String,
    /// Of the policies, as JSON.
    settings: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The version that is tried; another is another trial.
    digest: Option<Digest>,
    arms: Canary,
    given_up: Option<GivenUp>,
}

#[derive(Clone, Debug)]
struct GivenUp {
    why: Why,
    at: Timestamp,
}

impl Trial {
    fn new(route: &config::Route, canary: &config::Canary) -> Self {
        let arms = Canary::new(canary.margins);
        let state = State { digest: None, arms, given_up: None };
        Self {
            route: route.name.clone(),
            canary: canary.clone(),
            own: route.policy.clone(),
            settings: route.settings.clone(),
            state: Mutex::new(state),
        }
    }

    fn is_of(&self, route: &config::Route, canary: &config::Canary) -> bool {
        self.canary == *canary && self.own == route.policy && self.settings == route.settings
    }

    /// The canary's name.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.canary.policy
    }

    /// What a call draws. `canary` is the version that is loaded now, if one is.
    pub fn draw(&self, id: &str, canary: Option<&Policy>, now: Timestamp) -> Drawn {
        let lot = Lot::of(id, self.canary.share);
        let mut state = self.lock();
        let Some(policy) = canary else { return Drawn { lot: as_own(lot), digest: None } };
        let digest = policy.digest();
        if state.digest != Some(digest) {
            let arms = Canary::new(self.canary.margins);
            *state = State { digest: Some(digest), arms, given_up: None };
        }
        if matches!(policy.standing(), Standing::Quarantined { .. }) {
            self.give_up(&mut state, Why::Quarantined, now);
        }
        let lot = if state.given_up.is_some() { as_own(lot) } else { lot };
        Drawn { lot, digest: Some(digest) }
    }

    /// The policy that decided a call failed.
    fn faulted(&self, drawn: Drawn, now: Timestamp) {
        let mut state = self.lock();
        if let Some(why) = state.of(drawn).and_then(|arms| arms.faulted(drawn.lot.arm)) {
            self.give_up(&mut state, why, now);
        }
    }

    fn ended(&self, drawn: Drawn, end: CallEnd, attempts: u32, now: Timestamp) {
        let mut state = self.lock();
        let why = state.of(drawn).and_then(|arms| arms.ended(drawn.lot, end, attempts, now));
        if let Some(why) = why {
            self.give_up(&mut state, why, now);
        }
    }

    /// Once; told to the operator, who must act.
    fn give_up(&self, state: &mut State, why: Why, now: Timestamp) {
        if state.given_up.is_some() {
            return;
        }
        state.given_up = Some(GivenUp { why, at: now });
        let (own, canary) = (&state.arms.own, &state.arms.canary);
        warn!(
            route = self.route,
            policy = self.canary.policy,
            digest = state.digest.map(|digest| digest.short()),
            reason = why.label(),
            figures = why.describe(),
            canary_calls = canary.calls,
            canary_refused = canary.refused,
            canary_bad_requests = canary.bad_requests,
            canary_faults = canary.faults,
            own_calls = own.calls,
            own_refused = own.refused,
            own_bad_requests = own.bad_requests,
            "canary rolled back: the route's own policy decides all calls again"
        );
    }

    /// As the status shows it.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> Value {
        let mut state = self.lock();
        let digest = state.digest.map(|digest| digest.to_string());
        let given_up = state.given_up.clone();
        let label = match (&given_up, &digest) {
            (Some(_), _) => "rolled-back",
            (None, Some(_)) => "running",
            (None, None) => "not-loaded",
        };
        json!({
            "policy": self.canary.policy,
            "share": self.canary.share,
            "state": label,
            "digest": digest,
            "why": given_up.as_ref().map(|it| it.why.label()),
            "figures": given_up.as_ref().map(|it| it.why.describe()),
            "rolled_back_ago_ms": given_up.map(|it| now.since(it.at).as_millis()),
            "arms": {
                "own": figures(&self.own, &mut state.arms.own, now),
                "canary": figures(&self.canary.policy, &mut state.arms.canary, now),
            },
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The arms, for a call of the version they are about.
    fn of(&mut self, drawn: Drawn) -> Option<&mut Canary> {
        let same = drawn.digest.is_some() && self.digest == drawn.digest;
        let goes_on = self.given_up.is_none();
        (same && goes_on).then_some(&mut self.arms)
    }
}

fn figures(policy: &str, figures: &mut Figures, now: Timestamp) -> Value {
    let (first, total) = figures.latencies(now);
    let counted = figures.delivered + figures.refused;
    let of_all = |count: u64, all: u64| (all > 0).then(|| count as f64 / all as f64);
    json!({
        "policy": policy,
        "calls": figures.calls,
        "delivered": figures.delivered,
        "refused": figures.refused,
        "bad_requests": figures.bad_requests,
        "excused": figures.excused,
        "availability": of_all(figures.delivered, counted),
        "faults": figures.faults,
        "attempts_per_call": of_all(figures.attempts, figures.calls),
        "first_content_p50_ms": first.p50.as_millis(),
        "first_content_p95_ms": first.p95.as_millis(),
        "total_p50_ms": total.p50.as_millis(),
        "total_p95_ms": total.p95.as_millis(),
    })
}

/// A call that the route's own policy decides after all.
const fn as_own(lot: Lot) -> Lot {
    Lot { arm: Arm::Own, matched: lot.matched && matches!(lot.arm, Arm::Own) }
}

/// What a call drew, and of which version.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub lot: Lot,
    digest: Option<Digest>,
}

/// A call's part in a trial.
#[derive(Debug)]
pub struct Part {
    pub trial: Arc<Trial>,
    pub drawn: Drawn,
}

impl Part {
    /// What the heart notes while the call is served.
    pub fn noted(&self, note: &Note, now: Timestamp) {
        if let Note::Faulted { decider: Decider::Policy, fault, .. } = note
            && *fault != FaultKind::NotAsked
        {
            self.trial.faulted(self.drawn, now);
        }
    }

    /// The call is over.
    pub fn close(&self, trace: &Trace) {
        let end = call_end(&trace.end, &trace.notes, trace.begun, trace.ended);
        self.trial.ended(self.drawn, end, trace.count_attempts(), trace.ended);
    }
}

fn call_end(end: &End, notes: &[(Timestamp, Note)], begun: Timestamp, now: Timestamp) -> CallEnd {
    match end {
        End::Delivered | End::Answered => {
            let committed = notes.iter().find(|(_, note)| matches!(note, Note::Committed { .. }));
            let total = now.since(begun);
            let first = committed.map_or(total, |(at, _)| at.since(begun));
            CallEnd::Delivered { first, total }
        }
        End::Refused { .. } if all_blame_request(notes) => CallEnd::BadRequest,
        End::Refused { .. } | End::Parked => CallEnd::Refused,
        End::ClientGone => CallEnd::Excused,
    }
}

/// Whether every attempt failed because of the request.
fn all_blame_request(notes: &[(Timestamp, Note)]) -> bool {
    let mut failures = notes
        .iter()
        .filter_map(|(_, note)| match note {
            Note::Ended { failure, .. } => failure.as_ref(),
            Note::Decided { .. }
            | Note::PassedOver { .. }
            | Note::Faulted { .. }
            | Note::Barred { .. }
            | Note::Started { .. }
            | Note::Exempted { .. }
            | Note::Committed { .. }
            | Note::Circuit { .. }
            | Note::CredentialOut { .. }
            | Note::Waiting { .. } => None,
        })
        .peekable();
    failures.peek().is_some() && failures.all(blames_request)
}
