//! The simulated driver: performs the heart's actions with scripted providers
//! and real policies on a virtual clock, and tells it what happens. Like the
//! live driver, it has no opinion of its own.

mod calls;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::{Arrivals, Request};
use super::book::Book;
use super::call::{End, Running, SimCall, pending};
use super::clock::VirtualClock;
use super::contender::Deciders;
use super::numbers::rng_for;
use super::performance::{Ask, Beat, Performance, Report};
use super::provider::{Arrival, Key, Provider};
use super::queue::Queue;
use super::scenario::{Scenario, Scripted};
use crate::failover::backoff::Rng;
use crate::failover::note::FaultKind;
use crate::failover::{
    Action, Answer, AttemptId, Decider, Delivery, ErrorReply, Event, FailureClass, Features, Note,
    Outcome, Progress, Question, Route, Start, Timestamp,
};

/// What will happen.
#[derive(Debug)]
pub enum Happening {
    /// The next request of the traffic.
    Arrives,
    /// A client tries again.
    TriesAgain(Box<Request>),
    /// The next report of an attempt.
    Reports(Key),
    /// A slot came free for an attempt that waited.
    Served(Box<(Key, Performance)>),
    /// A provider is done with an attempt.
    Done(usize, Key),
    Wakes(u64),
    /// The client of a call runs out of patience.
    Leaves(u64),
}

/// Where a candidate of a route leads: indices of the world's.
#[derive(Clone, Copy, Debug)]
struct Place {
    target: usize,
    provider: usize,
}

/// See the module.
pub struct World<'s> {
    scenario: &'s Scenario,
    clock: VirtualClock,
    deciders: Deciders,
    now: Timestamp,
    queue: Queue<Happening>,
    providers: Vec<Provider>,
    routes: Vec<Arc<Route>>,
    places: Vec<Vec<Place>>,
    calls: BTreeMap<u64, SimCall>,
    numbered: u64,
    seeds: Rng,
    clients: Rng,
    arrivals: Option<Arrivals<'s>>,
    pub book: Book,
    /// The last call that ended, if a case is played.
    last: Option<SimCall>,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'s> World<'s> {
    #[must_use]
    pub fn new(scenario: &'s Scenario, deciders: Deciders, clock: VirtualClock, seed: u64) -> Self {
        let calls::Map { routes, places, targets, providers } = calls::map(scenario, seed);
        Self {
            scenario,
            clock,
            deciders,
            now: Timestamp::ORIGIN,
            queue: Queue::default(),
            providers,
            routes,
            places,
            calls: BTreeMap::new(),
            numbered: 0,
            seeds: rng_for(seed, "calls"),
            clients: rng_for(seed, "clients"),
            arrivals: None,
            book: Book::new(scenario, targets),
            last: None,
        }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Plays the traffic to its end; `progress` is told the time now and then.
    pub fn run(&mut self, seed: u64, progress: &dyn Fn(Duration)) {
        let Some(traffic) = &self.scenario.traffic else { return };
        self.arrivals = Some(Arrivals::new(traffic, self.scenario, seed));
        self.await_arrival();
        let mut steps: u32 = 0;
        while let Some((at, happening)) = self.queue.pop() {
            self.step(at, happening);
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(4_096) {
                progress(self.now.since_origin());
            }
        }
    }

    fn step(&mut self, at: Timestamp, happening: Happening) {
        self.now = at;
        self.clock.set(at);
        match happening {
            Happening::Arrives => {
                if let Some(request) = self.arrivals.as_mut().map(Arrivals::request) {
                    self.book.requested(at);
                    self.begin(request, None);
                }
                self.await_arrival();
            }
            Happening::TriesAgain(request) => {
                self.begin(*request, None);
            }
            Happening::Reports(key) => self.report(key),
            Happening::Served(served) => {
                let (key, performance) = *served;
                self.with(key.call, |world, call| world.begin_performance(call, key, performance));
            }
            Happening::Done(provider, key) => {
                let next = self.providers[provider].done(key, at);
                self.serve_next(provider, next);
            }
            Happening::Wakes(number) => self.wake(number),
            Happening::Leaves(number) => self.with(number, |world, call| {
                world.feed(call, Event::ClientGone);
                call.end.get_or_insert(End::ClientGone);
            }),
        }
    }

    fn await_arrival(&mut self) {
        if let Some(at) = self.arrivals.as_mut().and_then(Arrivals::next_at) {
            self.queue.put(at, Happening::Arrives);
        }
    }

    /// Does something with a call that is under way, and sees whether that ended it.
    fn with(&mut self, number: u64, act: impl FnOnce(&mut Self, &mut SimCall)) {
        let Some(mut call) = self.calls.remove(&number) else { return };
        act(self, &mut call);
        if call.exchange.is_over() {
            self.ended(call);
        } else {
            self.arm(&mut call);
            self.calls.insert(number, call);
        }
    }

    fn wake(&mut self, number: u64) {
        let now = self.now;
        self.with(number, |world, call| {
            // An earlier alarm has taken the place of this one.
            if call.armed != Some(now) {
                return;
            }
            call.armed = None;
            if call.exchange.wake_at().is_some_and(|at| at <= now) {
                world.feed(call, Event::Woke);
            }
        });
    }

    /// Sees that the call is woken in time. An alarm that rings too early is
    /// set again then, which costs less than setting it at every report.
    fn arm(&mut self, call: &mut SimCall) {
        let Some(at) = call.exchange.wake_at() else { return };
        if call.armed.is_none_or(|armed| at < armed) {
            let at = at.max(self.now);
            call.armed = Some(at);
            self.queue.put(at, Happening::Wakes(call.number));
        }
    }

    /// Tells the heart, does what it says, and tells it what came of that.
    fn feed(&mut self, call: &mut SimCall, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in call.exchange.on(event, self.now) {
                events.extend(self.perform(call, action));
            }
        }
    }

    fn perform(&mut self, call: &mut SimCall, action: Action) -> Option<Event> {
        match action {
            Action::Consult(question) => return Some(self.consult(call, &question)),
            Action::Start(start) => return self.start(call, &start),
            Action::Abort(id) => self.stop(call, id),
            Action::Deliver(Delivery::Text(text)) => {
                call.first_delivered.get_or_insert(self.now);
                call.end = Some(End::Answered(text));
            }
            Action::Deliver(Delivery::Attempt { attempt, amended }) => {
                call.first_delivered.get_or_insert(self.now);
                call.source = Some(attempt);
                call.amended = amended;
            }
            Action::Finish => call.end = Some(End::Delivered),
            Action::Refuse(refusal) => call.end = Some(End::Refused(refusal)),
            Action::Park => call.end = Some(End::Parked),
            Action::Record(note) => self.record(call, &note),
        }
        None
    }

    fn consult(&mut self, call: &SimCall, question: &Question) -> Event {
        let policy = self.deciders.decider(question.decider);
        let opinion = policy.ask(question, &call.material_for(question.verb));
        Event::Answered(Answer { number: question.number, opinion })
    }

    fn record(&mut self, call: &mut SimCall, note: &Note) {
        call.note(note);
        match note {
            Note::Circuit { candidate, change } => {
                let place = self.places[call.request.route][candidate.index()];
                self.book.circuit(place.target, change, self.now);
            }
            Note::Faulted { decider, reason, fault, .. } => {
                self.book.fault(reason);
                if *fault == FaultKind::Inadmissible && *decider == Decider::Policy {
                    self.deciders.count_fault(reason);
                }
            }
            Note::Decided { .. }
            | Note::PassedOver { .. }
            | Note::Barred { .. }
            | Note::Started { .. }
            | Note::Exempted { .. }
            | Note::Ended { .. }
            | Note::Committed { .. }
            | Note::CredentialOut { .. }
            | Note::Waiting { .. } => {}
        }
    }

    fn start(&mut self, call: &mut SimCall, start: &Start) -> Option<Event> {
        let Start { attempt, candidate, continues, .. } = *start;
        let place = self.places[call.request.route][candidate.index()];
        let before = if continues { call.delivered() } else { 0 };
        let refused = self.unfit(call, candidate.index());
        let key = Key { call: call.number, attempt };
        call.attempts.push(Running {
            target: place.target,
            provider: place.provider,
            performance: pending(),
            started: self.now,
            served: self.now,
            stopped: false,
            headed: false,
            before,
            said: 0,
            failure: None,
            judged: false,
        });
        if let Some(outcome) = refused {
            return Some(Event::Ended(attempt, outcome));
        }
        self.ask_provider(call, key, place);
        None
    }

    fn ask_provider(&mut self, call: &mut SimCall, key: Key, place: Place) {
        let scripted = scripted(call, key.attempt, self.book.target_name(place.target));
        let ask = ask(call, scripted.as_ref());
        let provider = &mut self.providers[place.provider];
        if let Some(scripted) = scripted {
            let performance = provider.play(&ask, &scripted, self.now);
            self.begin_performance(call, key, performance);
            return;
        }
        match provider.arrive(key, ask, self.now) {
            Arrival::Waits => {}
            Arrival::Goes { performance, works } => {
                if works {
                    let done = Happening::Done(place.provider, key);
                    self.queue.put(self.now + performance.work, done);
                }
                self.begin_performance(call, key, performance);
            }
        }
    }

    /// A slot came free for an attempt that waited, though its call may be over.
    fn serve_next(&mut self, provider: usize, next: Option<(Key, Performance)>) {
        let Some((key, performance)) = next else { return };
        self.queue.put(self.now + performance.work, Happening::Done(provider, key));
        self.queue.put(self.now, Happening::Served(Box::new((key, performance))));
    }

    fn begin_performance(&mut self, call: &mut SimCall, key: Key, performance: Performance) {
        let Some(running) = call.attempts.get_mut(key.attempt.index()) else { return };
        if running.stopped {
            return;
        }
        running.performance = performance;
        running.served = self.now;
        self.await_report(running, key);
    }

    fn await_report(&mut self, running: &Running, key: Key) {
        if let Some(beat) = running.performance.beats.front() {
            self.queue.put(running.served + beat.after, Happening::Reports(key));
        }
    }

    /// What the request itself makes impossible at this target.
    fn unfit(&self, call: &SimCall, candidate: usize) -> Option<Outcome> {
        let facts = &self.routes[call.request.route].candidates[candidate].facts;
        if !facts.offers.contains(call.call.needs.without(Features::PREFILL)) {
            let detail = "the target lacks a feature of the request".to_owned();
            return Some(Outcome::Unsupported { field: String::new(), detail });
        }
        let too_long = facts.context_window.is_some_and(|most| call.call.input_tokens > most);
        too_long.then(|| {
            Outcome::Error(ErrorReply {
                status: 400,
                class: FailureClass::ContextLength,
                code: "context_length_exceeded".to_owned(),
                message: "simulated 400".to_owned(),
                retry_after: None,
            })
        })
    }

    fn report(&mut self, key: Key) {
        self.with(key.call, |world, call| {
            let Some(running) = call.attempts.get_mut(key.attempt.index()) else { return };
            if running.stopped {
                return;
            }
            let Some(Beat { report, .. }) = running.performance.beats.pop_front() else { return };
            world.await_report(running, key);
            world.reported(call, key.attempt, report);
        });
    }

    fn reported(&mut self, call: &mut SimCall, id: AttemptId, report: Report) {
        let running = &mut call.attempts[id.index()];
        let event = match report {
            Report::Headers { requests_left, tokens_left } => {
                running.headed = true;
                if requests_left.is_some() || tokens_left.is_some() {
                    let route = &self.routes[call.request.route];
                    let places = self.places[call.request.route].iter();
                    let candidate = places
                        .zip(&route.candidates)
                        .find(|(place, _)| place.target == running.target);
                    if let Some((_, candidate)) = candidate {
                        candidate.target.rate_limits(requests_left, tokens_left, self.now);
                    }
                }
                Event::Progress(id, Progress::Headers)
            }
            Report::Text(tokens) => {
                let before = running.bytes();
                running.said = running.said.saturating_add(tokens);
                let text = running.bytes() - before;
                Event::Progress(id, Progress::Content { text, blank: text == 0, continuable: true })
            }
            Report::Finished => Event::Progress(id, Progress::Finished),
            Report::Ended(outcome) => {
                running.stopped = true;
                Event::Ended(id, outcome)
            }
        };
        self.feed(call, event);
    }

    /// Nothing more is taken from an attempt.
    fn stop(&mut self, call: &mut SimCall, id: AttemptId) {
        let running = &mut call.attempts[id.index()];
        if std::mem::replace(&mut running.stopped, true) {
            return;
        }
        let (provider, key) = (running.provider, Key { call: call.number, attempt: id });
        let next = self.providers[provider].abandoned(key, self.now);
        self.serve_next(provider, next);
    }
}

/// What the scenario prescribes for this attempt of a case.
fn scripted(call: &SimCall, attempt: AttemptId, target: &str) -> Option<Scripted> {
    let case = call.case.as_ref()?;
    let running = &call.attempts[attempt.index()];
    let earlier = call.attempts[..attempt.index()].iter();
    let earlier = earlier.filter(|other| other.target == running.target).count();
    let usual = || Scripted { fault: None, text: None, output_tokens: 32, first_token: None };
    let list = case.answers.get(target);
    Some(list.and_then(|list| list.get(earlier).or(list.last())).cloned().unwrap_or_else(usual))
}

fn ask(call: &SimCall, scripted: Option<&Scripted>) -> Ask {
    let wanted = scripted.map_or(call.request.output_tokens, |scripted| scripted.output_tokens);
    Ask {
        input_tokens: call.request.input_tokens,
        output_tokens: wanted.min(call.tokens_left()),
        streams: call.call.streams(),
        json: call.call.needs.contains(Features::JSON_SCHEMA),
        text: scripted.and_then(|scripted| scripted.text.clone()),
        first_token: scripted.and_then(|scripted| scripted.first_token),
    }
}
