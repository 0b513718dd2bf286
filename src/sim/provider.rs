//! A scripted provider while a run goes on: its limits, its slots, and what
//! befalls an attempt that comes to it. Knows nothing of calls but their keys.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, class_of};
use super::numbers::{choose, rng_for};
use super::performance::{Ask, Circumstances, Performance, perform};
use super::scenario::{self, RetryAfter, Scripted, Window};
use crate::failover::backoff::Rng;
use crate::failover::{AttemptId, FailureClass, Timestamp};

const MINUTE: Duration = Duration::from_mins(1);

/// An attempt of a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub call: u64,
    pub attempt: AttemptId,
}

/// What became of an attempt that came.
#[derive(Debug)]
pub enum Arrival {
    /// It goes like this; `works` says whether it takes a slot meanwhile.
    Goes { performance: Performance, works: bool },
    /// It waits for a slot.
    Waits,
}

/// See the module.
#[derive(Debug)]
pub struct Provider {
    behaviour: Arc<scenario::Provider>,
    connect_timeout: Duration,
    rng: Rng,
    minute: Minute,
    working: BTreeSet<Key>,
    /// At most `capacity.queue`.
    waiting: VecDeque<(Key, Ask)>,
}

/// What was used of the limits in the present minute.
#[derive(Clone, Copy, Default, Debug)]
struct Minute {
    number: u64,
    requests: u32,
    tokens: u32,
}

impl Provider {
    #[must_use]
    pub fn new(
        name: &str,
        behaviour: Arc<scenario::Provider>,
        connect_timeout: Duration,
        seed: u64,
    ) -> Self {
        Self {
            behaviour,
            connect_timeout,
            rng: rng_for(seed, &format!("provider {name}")),
            minute: Minute::default(),
            working: BTreeSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// An attempt comes.
    pub fn arrive(&mut self, who: Key, ask: Ask, now: Timestamp) -> Arrival {
        let fault = self.draw_fault(now);
        if fault.is_some_and(|fault| fault.at_the_door()) {
            return self.refuse(&ask, fault, now);
        }
        if let Err(refusal) = self.within_limits(&ask, now) {
            return self.refuse(&ask, Some(refusal), now);
        }
        let Some(capacity) = self.behaviour.capacity.clone() else {
            let performance = self.perform(&ask, fault, 1.0, now);
            return Arrival::Goes { performance, works: false };
        };
        if self.working.len() < capacity.slots as usize {
            return Arrival::Goes { performance: self.work(who, &ask, fault, now), works: true };
        }
        if self.waiting.len() < capacity.queue as usize {
            self.waiting.push_back((who, ask));
            return Arrival::Waits;
        }
        self.refuse(&ask, Some(capacity.overload), now)
    }

    /// An attempt whose outcome the scenario prescribes.
    pub fn play(&mut self, ask: &Ask, scripted: &Scripted, now: Timestamp) -> Performance {
        self.perform(ask, scripted.fault, 1.0, now)
    }

    /// A slot is free again: who comes next, and how that goes.
    pub fn done(&mut self, who: Key, now: Timestamp) -> Option<(Key, Performance)> {
        if !self.working.remove(&who) {
            return None;
        }
        let (next, ask) = self.waiting.pop_front()?;
        let fault = self.draw_fault(now).filter(|fault| !fault.at_the_door());
        let performance = self.work(next, &ask, fault, now);
        Some((next, performance))
    }

    /// The caller has left. If nobody notices, it is worked on as if he had not.
    pub fn abandoned(&mut self, who: Key, now: Timestamp) -> Option<(Key, Performance)> {
        if self.behaviour.capacity.as_ref().is_none_or(|capacity| capacity.finishes_abandoned) {
            return None;
        }
        self.waiting.retain(|(waiting, _)| *waiting != who);
        self.done(who, now)
    }

    fn refuse(&mut self, ask: &Ask, fault: Option<Fault>, now: Timestamp) -> Arrival {
        Arrival::Goes { performance: self.perform(ask, fault, 1.0, now), works: false }
    }

    fn work(&mut self, who: Key, ask: &Ask, fault: Option<Fault>, now: Timestamp) -> Performance {
        self.working.insert(who);
        let load = self.behaviour.capacity.as_ref().map_or(0.0, |capacity| {
            capacity.slowdown * self.working.len() as f64 / f64::from(capacity.slots)
        });
        self.perform(ask, fault, 1.0 + load, now)
    }

    fn perform(
        &mut self,
        ask: &Ask,
        fault: Option<Fault>,
        load: f64,
        now: Timestamp,
    ) -> Performance {
        let behaviour = Arc::clone(&self.behaviour);
        let applying = || behaviour.windows.iter().filter(|window| window.applies(now));
        let told = behaviour.remaining_headers;
        let left = |limit: Option<u32>, used: u32| {
            limit.filter(|_| told).map(|limit| limit.saturating_sub(used))
        };
        let circumstances = Circumstances {
            provider: &behaviour,
            connect_timeout: self.connect_timeout,
            fault,
            slower: applying().fold(load, |slower, window| slower * window.slower),
            adds: applying().map(|window| window.adds).sum(),
            cut_at: behaviour.windows.iter().filter_map(|window| cuts_at(window, now)).min(),
            requests_left: left(behaviour.requests_per_minute, self.minute.requests),
            tokens_left: left(behaviour.tokens_per_minute, self.minute.tokens),
        };
        perform(ask, &circumstances, now, &mut self.rng)
    }

    /// What befalls an attempt that comes now: by the first window that says
    /// so, else as usual.
    fn draw_fault(&mut self, now: Timestamp) -> Option<Fault> {
        let windows = self.behaviour.windows.iter().filter(|window| window.applies(now));
        let mut errors = windows.map(|window| &window.errors).filter(|errors| !errors.is_empty());
        let errors = errors.next().unwrap_or(&self.behaviour.errors);
        if errors.is_empty() {
            return None;
        }
        let failing: f64 = errors.iter().map(|(_, share)| share).sum();
        if self.rng.unit() >= failing {
            return None;
        }
        choose(errors, &mut self.rng).copied()
    }

    /// Counts an attempt against the limits of the minute, or says how it is refused.
    fn within_limits(&mut self, ask: &Ask, now: Timestamp) -> Result<(), Fault> {
        let number = now.since_origin().as_secs() / MINUTE.as_secs();
        if self.minute.number != number {
            self.minute = Minute { number, ..Minute::default() };
        }
        let requests = self.minute.requests.saturating_add(1);
        let tokens = ask.input_tokens.saturating_add(ask.output_tokens);
        let tokens = self.minute.tokens.saturating_add(tokens);
        let over = |limit: Option<u32>, used: u32| limit.is_some_and(|limit| used > limit);
        if over(self.behaviour.requests_per_minute, requests)
            || over(self.behaviour.tokens_per_minute, tokens)
        {
            let next = Timestamp::from_origin(MINUTE * u32::try_from(number + 1).unwrap_or(0));
            let retry_after = match self.behaviour.retry_after {
                RetryAfter::Exact => Some(next.since(now)),
                RetryAfter::None => None,
                RetryAfter::Always(length) => Some(length),
            };
            let class: FailureClass = class_of(429);
            return Err(Fault::Status { status: 429, class, retry_after });
        }
        self.minute = Minute { number, requests, tokens };
        Ok(())
    }
}

/// When a window that cuts begins next.
fn cuts_at(window: &Window, now: Timestamp) -> Option<Timestamp> {
    if window.cuts { window.next_start(now) } else { None }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::failover::Outcome;
    use crate::sim::performance::Report;
    use crate::sim::scenario::parse;

    const ASK: Ask = Ask {
        input_tokens: 100,
        output_tokens: 50,
        streams: false,
        json: false,
        text: None,
        first_token: None,
    };

    fn provider(keys: &str) -> Provider {
        let text = format!(
            "[providers.a]\n{keys}\n[routes.r]\ntargets = [{{ provider = \"a\", model = \"m\" }}]\n\
             [[case]]\nexpect.attempts = 1"
        );
        let scenario = parse(&text, Path::new("s.toml")).unwrap_or_else(|e| panic!("{e}"));
        let behaviour = Arc::clone(&scenario.providers["a"]);
        Provider::new("a", behaviour, scenario.connect_timeout, 1)
    }

    const fn key(call: u64) -> Key {
        Key { call, attempt: AttemptId(0) }
    }

    /// How an attempt ends, in a word, and whether it takes a slot.
    fn end(arrival: &Arrival) -> String {
        let Arrival::Goes { performance, works } = arrival else { return "waits".to_owned() };
        let word = match performance.beats.back().map(|beat| &beat.report) {
            Some(Report::Ended(Outcome::Completed)) => "completes".to_owned(),
            Some(Report::Ended(Outcome::Error(reply))) => match reply.retry_after {
                Some(length) => format!("{} after {} s", reply.status, length.as_secs()),
                None => reply.status.to_string(),
            },
            other => format!("{other:?}"),
        };
        if *works { format!("{word} in a slot") } else { word }
    }

    #[test]
    fn limits_of_a_minute_refuse_until_the_next() {
        let mut limited = provider("requests_per_minute = 2");
        let at = |secs| Timestamp::from_millis(secs * 1_000);
        for (secs, expected) in
            [(0, "completes"), (10, "completes"), (20, "429 after 40 s"), (60, "completes")]
        {
            assert_eq!(end(&limited.arrive(key(secs), ASK, at(secs))), expected, "{secs}");
        }
        let mut silent = provider("tokens_per_minute = 160\nretry_after = \"none\"");
        assert_eq!(end(&silent.arrive(key(1), ASK, at(0))), "completes");
        assert_eq!(end(&silent.arrive(key(2), ASK, at(1))), "429");
    }

    #[test]
    fn slots_are_taken_waited_for_and_given_back() {
        let mut busy = provider("capacity = { slots = 1, queue = 1, overload = \"529\" }");
        let now = Timestamp::ORIGIN;
        assert_eq!(end(&busy.arrive(key(1), ASK, now)), "completes in a slot");
        assert_eq!(end(&busy.arrive(key(2), ASK, now)), "waits");
        assert_eq!(end(&busy.arrive(key(3), ASK, now)), "529");
        assert_eq!(busy.done(key(1), now).map(|(next, _)| next), Some(key(2)));
        assert!(busy.done(key(1), now).is_none(), "given back once");
        assert!(busy.abandoned(key(2), now).is_none(), "nobody waits");
        assert_eq!(end(&busy.arrive(key(4), ASK, now)), "completes in a slot");
    }

    #[test]
    fn abandoned_work_may_keep_its_slot() {
        let keys = "capacity = { slots = 1, queue = 1, finishes_abandoned = true }";
        let mut zombie = provider(keys);
        let now = Timestamp::ORIGIN;
        let _ = zombie.arrive(key(1), ASK, now);
        assert_eq!(end(&zombie.arrive(key(2), ASK, now)), "waits");
        assert!(zombie.abandoned(key(1), now).is_none());
        assert_eq!(end(&zombie.arrive(key(3), ASK, now)), "503");
    }
}
