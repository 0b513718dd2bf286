//! What is known of a target, shared by all calls: the sliding window, the
//! circuit, cooldowns, latencies, concurrency, and the credential behind it.
//! Outlives configurations: a reload does not forget that a provider is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backoff::Rng;
use super::breaker::{Breaker, Change, Failed, Rate};
use super::budget::{Draw, Window};
use super::call::{Bar, HealthView};
use super::classify::{FailureClass, Weight};
use super::latency::{PeakEwma, Percentiles, Samples};
use super::limiter::Limiter;
use super::rules::{CallRules, TargetRules};
use super::time::Timestamp;

/// The credential several targets of one provider may share.
#[derive(Debug, Default)]
pub struct Credential(Mutex<Option<(Timestamp, FailureClass)>>);

impl Credential {
    /// Until when it is out, and why.
    #[must_use]
    pub fn out(&self, now: Timestamp) -> Option<(Timestamp, FailureClass)> {
        lock(&self.0).filter(|(until, _)| now < *until)
    }

    /// Takes it out; true if it was in.
    fn take_out(&self, until: Timestamp, class: FailureClass, now: Timestamp) -> bool {
        let mut out = lock(&self.0);
        let was_in = out.is_none_or(|(until, _)| until <= now);
        *out = Some((until, class));
        was_in
    }
}

/// A target's shared state.
#[derive(Debug)]
pub struct Target {
    credential: Arc<Credential>,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    rules: TargetRules,
    window: Window,
    breaker: Breaker,
    cooldown_until: Timestamp,
    /// The failure that set it.
    cooldown_class: Option<FailureClass>,
    in_flight: u32,
    limiter: Limiter,
    first_token: Samples,
    total: Samples,
    ewma: PeakEwma,
    last_start: Option<Timestamp>,
    requests_left: Option<Fresh>,
    tokens_left: Option<Fresh>,
    rng: Rng,
}

/// A count, and when the provider said it.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    count: u32,
    said: Timestamp,
}

/// What an attempt showed of its target.
#[derive(Clone, Copy, Debug)]
pub enum Observation {
    Succeeded {
        first_token: Duration,
        total: Duration,
    },
    Failed {
        class: FailureClass,
        weight: Weight,
        elapsed: Duration,
        /// How long the provider asked to be left alone.
        least_pause: Duration,
        /// No connection in time, or no capacity: the limit of concurrent
        /// calls shrinks.
        congested: bool,
    },
    /// Nothing: it was ended before it could.
    Nothing,
}

/// What changed for the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthChange {
    Circuit(Change),
    CredentialOut { class: FailureClass, length: Duration },
}

impl Target {
    #[must_use]
    pub fn new(rules: TargetRules, credential: Arc<Credential>, seed: u64) -> Self {
        let health = Health {
            window: Window::new(rules.window),
            breaker: Breaker::default(),
            cooldown_until: Timestamp::ORIGIN,
            cooldown_class: None,
            in_flight: 0,
            limiter: Limiter::new(rules.concurrency),
            first_token: Samples::default(),
            total: Samples::default(),
            ewma: PeakEwma::default(),
            last_start: None,
            requests_left: None,
            tokens_left: None,
            rng: Rng::new(seed),
            rules,
        };
        Self { credential, health: Mutex::new(health) }
    }

    /// A reload changed the numbers; what was measured stays.
    pub fn set_rules(&self, rules: TargetRules) {
        let mut health = lock(&self.health);
        if health.rules.window != rules.window {
            health.window = Window::new(rules.window);
        }
        if health.rules.concurrency != rules.concurrency {
            health.limiter = Limiter::new(rules.concurrency);
        }
        health.rules = rules;
    }

    #[must_use]
    pub fn credential_out(&self, now: Timestamp) -> Option<(Timestamp, FailureClass)> {
        self.credential.out(now)
    }

    /// Why an attempt would not be started now. `early` is for when nothing is
    /// healthy: a probe may go through an open circuit, one per interval.
    pub fn bar(&self, ask: Ask, now: Timestamp) -> Option<Bar> {
        if self.credential.out(now).is_some() {
            return Some(Bar::CredentialOut);
        }
        lock(&self.health).bar(ask, now)
    }

    /// Starts an attempt, or says why not. The pass holds the place in flight
    /// and, in a half-open circuit, the probe.
    pub fn start(self: &Arc<Self>, ask: Ask, now: Timestamp) -> Result<Pass, Bar> {
        if self.credential.out(now).is_some() {
            return Err(Bar::CredentialOut);
        }
        let mut health = lock(&self.health);
        if let Some(bar) = health.bar(ask, now) {
            return Err(bar);
        }
        let draw = health.draw(ask, now);
        health.window.draw(draw, now);
        health.in_flight += 1;
        health.last_start = Some(now);
        let probe = health.breaker.take();
        drop(health);
        Ok(Pass { target: Some(Arc::clone(self)), probe })
    }

    /// Keeps the target out of rotation until then, at least.
    pub fn cool_down(&self, until: Timestamp, class: FailureClass) {
        let mut health = lock(&self.health);
        if until > health.cooldown_until {
            (health.cooldown_until, health.cooldown_class) = (until, Some(class));
        }
    }

    /// What failure it cools down after, while it does.
    #[must_use]
    pub fn cools_after(&self, now: Timestamp) -> Option<FailureClass> {
        let health = lock(&self.health);
        health.cooldown_class.filter(|_| now < health.cooldown_until)
    }

    /// What the provider's rate-limit headers say is left.
    pub fn rate_limits(&self, requests: Option<u32>, tokens: Option<u32>, now: Timestamp) {
        let mut health = lock(&self.health);
        let said = |count: Option<u32>| count.map(|count| Fresh { count, said: now });
        health.requests_left = said(requests).or(health.requests_left);
        health.tokens_left = said(tokens).or(health.tokens_left);
    }

    pub fn snapshot(&self, now: Timestamp) -> HealthView {
        let mut view = lock(&self.health).view(now);
        if let Some((until, _)) = self.credential.out(now) {
            view.cooldown = view.cooldown.max(until.since(now));
        }
        view
    }

    /// The limit of a whole answer: from the p95 once there are samples.
    pub fn answer_limit(&self, rules: &CallRules, now: Timestamp) -> Duration {
        let mut health = lock(&self.health);
        if health.total.count() < rules.whole_samples {
            return rules.whole_max;
        }
        let p95 = health.total.percentiles(now).p95;
        (p95 * rules.whole_factor).clamp(rules.whole_min.min(rules.whole_max), rules.whole_max)
    }
}

/// What kind of start is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state machine")]
pub struct Ask {
    /// Not the call's first attempt.
    pub further: bool,
    /// The call has been at this target before.
    pub again: bool,
    /// Another attempt of the call is under way.
    pub beside: bool,
    /// Nothing is healthy: an open circuit may be probed.
    pub early: bool,
}

impl Health {
    fn rate(&mut self, now: Timestamp) -> Rate {
        let sum = self.window.sum(now);
        Rate { succeeded: sum.succeeded, failed: sum.failed }
    }

    fn draw(&mut self, ask: Ask, now: Timestamp) -> Draw {
        let failing = self
            .rate(now)
            .is_under(self.rules.breaker.success_rate, self.rules.breaker.min_samples);
        if ask.beside {
            Draw::Hedge
        } else if ask.again || (ask.further && failing) {
            Draw::Retry
        } else {
            Draw::Nothing
        }
    }

    fn bar(&mut self, ask: Ask, now: Timestamp) -> Option<Bar> {
        if now < self.cooldown_until {
            return Some(Bar::CoolingDown);
        }
        let interval_over =
            self.last_start.is_none_or(|last| now.since(last) >= self.rules.probe_interval);
        if !self.breaker.permits(now, ask.early && interval_over) {
            return Some(Bar::CircuitOpen);
        }
        if !self.limiter.admits(self.in_flight) {
            return Some(Bar::Full);
        }
        let affords = match self.draw(ask, now) {
            Draw::Nothing => true,
            Draw::Retry => self.window.affords_retry(&self.rules, now),
            Draw::Hedge => {
                self.window.affords_hedge(&self.rules, now)
                    && self.window.affords_retry(&self.rules, now)
            }
        };
        (!affords).then_some(Bar::OverBudget)
    }

    fn view(&mut self, now: Timestamp) -> HealthView {
        let sum = self.window.sum(now);
        let samples = sum.succeeded + sum.failed;
        let Percentiles { p50: first_token_p50, p95: first_token_p95 } =
            self.first_token.percentiles(now);
        let Percentiles { p50: total_p50, p95: total_p95 } = self.total.percentiles(now);
        // A target that is avoided for what it once said has no way to unsay it.
        let left =
            |fresh: Fresh| (now.since(fresh.said) < self.rules.window).then_some(fresh.count);
        HealthView {
            circuit: self.breaker.circuit(now),
            cooldown: self.cooldown_until.since(now).max(self.breaker.pause_left(now)),
            samples,
            error_rate: if samples == 0 { 0.0 } else { sum.failed as f32 / samples as f32 },
            consecutive_failures: self.breaker.consecutive_failures(),
            in_flight: self.in_flight,
            first_token_p50,
            first_token_p95,
            total_p50,
            total_p95,
            load: self.ewma.value(now) * f64::from(self.in_flight + 1),
            requests_left: self.requests_left.and_then(left),
            tokens_left: self.tokens_left.and_then(left),
        }
    }

    fn observe(&mut self, observation: Observation, probe: bool, now: Timestamp) -> Option<Change> {
        self.in_flight = self.in_flight.saturating_sub(1);
        match observation {
            Observation::Nothing => {
                if probe {
                    self.breaker.give_back();
                }
                None
            }
            Observation::Succeeded { first_token, total } => {
                self.window.at(now).succeeded += 1;
                self.first_token.record(first_token);
                self.total.record(total);
                self.ewma.record(first_token, now);
                self.limiter.succeeded(self.in_flight + 1);
                let change = self.breaker.succeeded(probe);
                if change.is_some() {
                    self.window.forget_outcomes();
                }
                change
            }
            Observation::Failed { weight, elapsed, least_pause, congested, .. } => {
                if congested {
                    self.limiter.congested(now);
                }
                if weight == Weight::None {
                    if probe {
                        self.breaker.give_back();
                    }
                    return None;
                }
                self.window.at(now).failed += 1;
                self.ewma.punish(elapsed, now);
                let failed = Failed {
                    hard: weight == Weight::Hard,
                    probe,
                    rate: self.rate(now),
                    least_pause,
                };
                self.breaker.failed(failed, &self.rules.breaker, now, &mut self.rng)
            }
        }
    }
}

/// The right to have one attempt at a target under way. Dropped unsettled, it
/// gives its place and its probe back.
#[derive(Debug)]
pub struct Pass {
    target: Option<Arc<Target>>,
    probe: bool,
}

impl Pass {
    /// Whether the attempt is the probe of a half-open circuit.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe
    }

    /// Tells the target how the attempt ended.
    pub fn settle(mut self, observation: Observation, now: Timestamp) -> Vec<HealthChange> {
        let Some(target) = self.target.take() else { return Vec::new() };
        let (circuit, credential_out) = {
            let mut health = lock(&target.health);
            let change = health.observe(observation, self.probe, now);
            (change, health.rules.credential_out)
        };
        let mut changes: Vec<_> = circuit.map(HealthChange::Circuit).into_iter().collect();
        if let Observation::Failed { class, .. } = observation
            && class.blames_credential()
            && target.credential.take_out(now + credential_out, class, now)
        {
            changes.push(HealthChange::CredentialOut { class, length: credential_out });
        }
        changes
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            let nothing = Observation::Nothing;
            let _ = lock(&target.health).observe(nothing, self.probe, Timestamp::ORIGIN);
        }
    }
}

/// The state is counters and averages, each valid by itself: a panic elsewhere
/// while the lock was held leaves nothing to distrust.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::call::Circuit;
    use crate::failover::rules::Concurrency;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn target(rules: TargetRules) -> Arc<Target> {
        Arc::new(Target::new(rules, Arc::default(), 1))
    }

    fn failure(class: FailureClass) -> Observation {
        Observation::Failed {
            class,
            weight: class.weight(),
            elapsed: Duration::from_millis(5),
            least_pause: Duration::ZERO,
            congested: false,
        }
    }

    fn fail(target: &Arc<Target>, class: FailureClass, times: u32, now: Timestamp) {
        for _ in 0..times {
            let pass = target.start(Ask::default(), now).expect("a start");
            let _ = pass.settle(failure(class), now);
        }
    }

    #[test]
    fn classes_count_as_the_design_says() {
        for (class, opens) in [
            (FailureClass::ServerError, true),
            (FailureClass::Timeout, true),
            (FailureClass::RateLimited, true),
            (FailureClass::BadRequest, false),
            (FailureClass::ContextLength, false),
            (FailureClass::ContentFilter, false),
            (FailureClass::Cancelled, false),
        ] {
            let target = target(TargetRules::default());
            fail(&target, class, 5, at(10));
            let open = target.snapshot(at(10)).circuit == Circuit::Open;
            assert_eq!(open, opens, "{}", class.label());
        }
    }

    #[test]
    fn a_dropped_pass_gives_back_its_place_and_its_probe() {
        let target = target(TargetRules::default());
        fail(&target, FailureClass::ServerError, 5, at(0));
        assert_eq!(target.bar(Ask::default(), at(500)), Some(Bar::CircuitOpen));
        let probe = target.start(Ask::default(), at(2_000)).expect("the probe");
        assert!(probe.is_probe());
        assert_eq!(target.bar(Ask::default(), at(2_000)), Some(Bar::CircuitOpen));
        assert_eq!(target.snapshot(at(2_000)).in_flight, 1);
        drop(probe);
        assert_eq!(target.bar(Ask::default(), at(2_000)), None);
        assert_eq!(target.snapshot(at(2_000)).in_flight, 0);
    }

    #[test]
    fn an_open_circuit_is_probed_early_once_an_interval() {
        let target = target(TargetRules::default());
        for t in [0, 2_000, 6_000, 12_000] {
            let times = if t == 0 { 5 } else { 1 };
            fail(&target, FailureClass::ServerError, times, at(t));
        }
        let early = Ask { early: true, ..Ask::default() };
        assert_eq!(target.bar(Ask::default(), at(13_500)), Some(Bar::CircuitOpen));
        assert_eq!(target.bar(early, at(12_900)), Some(Bar::CircuitOpen));
        assert_eq!(target.bar(early, at(13_500)), None);
    }

    #[test]
    fn an_exhausted_credential_takes_its_neighbours_out() {
        let credential = Arc::new(Credential::default());
        let one = Arc::new(Target::new(TargetRules::default(), Arc::clone(&credential), 1));
        let two = Arc::new(Target::new(TargetRules::default(), credential, 2));
        let pass = one.start(Ask::default(), at(0)).expect("a start");
        let changes = pass.settle(failure(FailureClass::Quota), at(0));
        assert!(matches!(changes[..], [HealthChange::CredentialOut { .. }]));
        assert_eq!(two.bar(Ask::default(), at(1)), Some(Bar::CredentialOut));
        assert_eq!(two.bar(Ask::default(), at(1_800_000)), None);
    }

    #[test]
    fn a_fixed_limit_of_concurrent_calls_makes_a_target_full() {
        let rules = TargetRules { concurrency: Concurrency::Fixed(2), ..TargetRules::default() };
        let target = target(rules);
        let one = target.start(Ask::default(), at(0));
        let two = target.start(Ask::default(), at(0));
        assert_eq!(target.bar(Ask::default(), at(0)), Some(Bar::Full));
        drop((one, two));
        assert_eq!(target.bar(Ask::default(), at(0)), None);
    }

    #[test]
    fn a_whole_answer_s_limit_follows_the_p95() {
        let rules = CallRules::default();
        let target = target(TargetRules::default());
        let succeed = |ms, times| {
            for _ in 0..times {
                let length = Duration::from_millis(ms);
                let pass = target.start(Ask::default(), at(0)).expect("a start");
                let seen = Observation::Succeeded { first_token: length, total: length };
                let _ = pass.settle(seen, at(0));
            }
        };
        succeed(5_000, 19);
        assert_eq!(target.answer_limit(&rules, at(0)), Duration::from_mins(1));
        succeed(5_000, 1);
        assert_eq!(target.answer_limit(&rules, at(0)), Duration::from_secs(15));
    }

    #[test]
    fn moving_on_to_a_failing_target_draws_on_its_budget() {
        let target = target(TargetRules {
            breaker: super::super::rules::BreakerRules {
                consecutive_failures: 1_000,
                min_samples: 5,
                success_rate: 0.0,
                ..Default::default()
            },
            ..TargetRules::default()
        });
        let further = Ask { further: true, ..Ask::default() };
        let again = Ask { again: true, ..further };
        assert!(target.start(again, at(0)).is_ok(), "one a second is always within");
        assert_eq!(target.bar(again, at(0)), Some(Bar::OverBudget));
        assert_eq!(target.bar(further, at(0)), None, "moving on to good health is free");
    }
}
