//! How calls begin and end, and the world that a scenario describes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Happening, Place, World};
use crate::config;
use crate::failover::exchange::Candidate;
use crate::failover::{Call, Credential, Event, Exchange, Operation, Route, Target, Timestamp};
use crate::policy::Material;
use crate::sim::arrivals::Request;
use crate::sim::book::Ended;
use crate::sim::call::{SimCall, shown_request};
use crate::sim::numbers::{from_ms, micros, rng_for};
use crate::sim::provider::Provider;
use crate::sim::scenario::{Case, Scenario};

impl World<'_> {
    /// A call comes.
    pub(super) fn begin(&mut self, request: Request, case: Option<Arc<Case>>) -> u64 {
        self.numbered += 1;
        let number = self.numbered;
        let config = &self.scenario.routes[request.route];
        let call = Arc::new(self.call_of(&request, config, case.as_deref()));
        let material = Material {
            call: Arc::clone(&call),
            route: config.name.as_str().into(),
            settings: config.settings.as_str().into(),
            request: shown_request(&request, &config.name, case.as_deref()),
            output: None,
        };
        let route = Arc::clone(&self.routes[request.route]);
        let exchange = Exchange::new(Arc::clone(&call), route, self.now);
        let begun = SimCall {
            number,
            request,
            call,
            material,
            exchange,
            attempts: Vec::new(),
            whys: Vec::new(),
            source: None,
            amended: None,
            begun: self.now,
            first_delivered: None,
            armed: None,
            end: None,
            case,
            faults: BTreeMap::new(),
        };
        self.calls.insert(number, begun);
        let patience = self.scenario.traffic.as_ref().and_then(|traffic| traffic.patience);
        if let Some(patience) = patience {
            self.queue.put(self.now + patience, Happening::Leaves(number));
        }
        self.with(number, |world, call| world.feed(call, Event::Begin));
        number
    }

    fn call_of(&mut self, request: &Request, route: &config::Route, case: Option<&Case>) -> Call {
        let seed = self.seeds.next();
        Call {
            id: format!("{seed:016x}"),
            model: route.name.clone(),
            operation: Operation::Chat,
            needs: request.needs,
            input_tokens: request.input_tokens,
            max_output_tokens: case.and_then(|case| case.max_output_tokens),
            tenant: request.tenant.clone(),
            labels: request.labels.clone(),
            origin_unix: self.scenario.starts_at,
            seed,
            own_policy: self.deciders.has_own(),
        }
    }

    /// A call is over: it is entered in the book, and its client may try again.
    pub(super) fn ended(&mut self, mut call: SimCall) {
        let end = call.end.get_or_insert(super::End::ClientGone);
        let succeeded = end.is_success();
        self.book.ended(&Ended { call: &call, now: self.now });
        if call.case.is_some() {
            self.last = Some(call);
            return;
        }
        let again = if succeeded { None } else { self.pause_before_next(call.request.tries) };
        if let Some(pause) = again {
            let tries = call.request.tries + 1;
            let request = Box::new(Request { tries, ..call.request });
            self.queue.put(self.now + pause, Happening::TriesAgain(request));
        } else {
            self.book.settled(call.request.tries, succeeded, call.begun);
        }
    }

    /// How long a client waits before it tries again by itself, if it does.
    fn pause_before_next(&mut self, tries: u32) -> Option<Duration> {
        let retries = &self.scenario.traffic.as_ref()?.retries;
        if tries >= retries.attempts {
            return None;
        }
        let doubled = retries.pause.saturating_mul(1 << tries.min(16));
        Some(from_ms(micros(doubled) as f64 / 1e3 * (0.5 + self.clients.unit())))
    }

    /// Plays a case to its end.
    pub fn play(&mut self, case: &Arc<Case>) -> Option<SimCall> {
        self.now = self.now.max(Timestamp::from_origin(case.at));
        self.clock.set(self.now);
        let request = Request {
            route: case.route,
            needs: case.needs,
            input_tokens: case.input_tokens,
            output_tokens: u32::MAX / 8,
            tenant: case.tenant.clone(),
            labels: case.labels.clone(),
            tries: 0,
        };
        self.begin(request, Some(Arc::clone(case)));
        while self.last.is_none() {
            let (at, happening) = self.queue.pop()?;
            self.step(at, happening);
        }
        self.last.take()
    }
}

/// What a scenario describes, made ready for a run.
pub(super) struct Map {
    pub routes: Vec<Arc<Route>>,
    pub places: Vec<Vec<Place>>,
    /// Names, with the prices of a million tokens.
    pub targets: Vec<(String, Option<(f64, f64)>)>,
    pub providers: Vec<Provider>,
}

pub(super) fn map(scenario: &Scenario, seed: u64) -> Map {
    let names: Vec<&String> = scenario.providers.keys().collect();
    let credentials: Vec<Arc<Credential>> = names.iter().map(|_| Arc::default()).collect();
    let mut states: BTreeMap<&str, (usize, Arc<Target>)> = BTreeMap::new();
    let mut map = Map {
        routes: Vec::new(),
        places: Vec::new(),
        targets: Vec::new(),
        providers: scenario
            .providers
            .iter()
            .map(|(name, behaviour)| {
                Provider::new(name, Arc::clone(behaviour), scenario.connect_timeout, seed)
            })
            .collect(),
    };
    for route in &scenario.routes {
        let (mut candidates, mut places) = (Vec::new(), Vec::new());
        for target in &route.targets {
            let facts = &target.facts;
            let Some(provider) = names.iter().position(|name| **name == facts.provider) else {
                continue;
            };
            let (index, state) = states.entry(&facts.target).or_insert_with(|| {
                let prices = facts.input_price.zip(facts.output_price);
                map.targets.push((facts.target.clone(), prices));
                let mut seeds = rng_for(seed, &format!("target {}", facts.target));
                let credential = Arc::clone(&credentials[provider]);
                let state = Target::new(target.rules.clone(), credential, seeds.next());
                (map.targets.len() - 1, Arc::new(state))
            });
            places.push(Place { target: *index, provider });
            candidates.push(Candidate { facts: Arc::clone(facts), target: Arc::clone(state) });
        }
        let (name, rules) = (route.name.clone(), route.rules.clone());
        map.routes.push(Arc::new(Route { name, rules, candidates }));
        map.places.push(places);
    }
    map
}
