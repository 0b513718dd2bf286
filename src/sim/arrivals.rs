//! Who calls next, when, and with what.

use std::time::Duration;

use super::numbers::{choose, exponential, rng_for, whole};
use super::scenario::{Scenario, Traffic};
use crate::failover::backoff::Rng;
use crate::failover::{Features, Timestamp};

/// What a client wants answered; it may call more than once for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub route: usize,
    pub needs: Features,
    pub input_tokens: u32,
    pub output_tokens: u32,
    pub tenant: Option<String>,
    pub labels: Vec<(String, String)>,
    /// Calls that were made for it before.
    pub tries: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Arrivals<'s> {
    traffic: &'s Traffic,
    starts_at: Duration,
    /// The rate is never higher.
    peak: f64,
    at: Duration,
    times: Rng,
    contents: Rng,
}

impl<'s> Arrivals<'s> {
    #[must_use]
    pub fn new(traffic: &'s Traffic, scenario: &Scenario, seed: u64) -> Self {
        let daily = traffic.daily.iter().copied().fold(0.0, f64::max);
        let daily = if traffic.daily.is_empty() { 1.0 } else { daily };
        let bursts = traffic.bursts.iter().map(|burst| burst.factor.max(1.0)).product::<f64>();
        Self {
            traffic,
            starts_at: scenario.starts_at,
            peak: traffic.rate * daily * bursts,
            at: Duration::ZERO,
            times: rng_for(seed, "arrivals"),
            contents: rng_for(seed, "requests"),
        }
    }

    /// When the next request comes; none after the end. Those of a process with
    /// the highest rate are thinned to the rate of the moment.
    pub fn next_at(&mut self) -> Option<Timestamp> {
        loop {
            let wait = exponential(self.peak.max(1e-9), &mut self.times);
            self.at += Duration::from_micros(whole(wait * 1e6).max(1));
            if self.at >= self.traffic.duration {
                return None;
            }
            let now = Timestamp::from_origin(self.at);
            if self.times.unit() * self.peak < self.rate(now) {
                return Some(now);
            }
        }
    }

    /// Requests per second at this moment.
    fn rate(&self, now: Timestamp) -> f64 {
        let bursts = self.traffic.bursts.iter().filter(|burst| burst.window.applies(now));
        let factor: f64 = bursts.map(|burst| burst.factor).product();
        self.traffic.rate * factor * self.of_day(now)
    }

    fn of_day(&self, now: Timestamp) -> f64 {
        let daily = &self.traffic.daily;
        if daily.is_empty() {
            return 1.0;
        }
        let second = (self.starts_at + now.since_origin()).as_secs() % 86_400;
        let hour = usize::try_from(second / 3_600).unwrap_or(0);
        let into = (second % 3_600) as f64 / 3_600.0;
        let (from, to) = (daily[hour % daily.len()], daily[(hour + 1) % daily.len()]);
        from + (to - from) * into
    }

    pub fn request(&mut self) -> Request {
        let (traffic, rng) = (self.traffic, &mut self.contents);
        let route = choose(&traffic.routes, rng).copied().unwrap_or_default();
        let [streams, json, tools] =
            [traffic.streams, traffic.json, traffic.tools].map(|share| rng.unit() < share);
        let needs = Features::NONE
            .with(Features::STREAMING, streams)
            .with(Features::JSON_SCHEMA, json)
            .with(Features::TOOLS, tools);
        let input_tokens = traffic.input_tokens.draw_count(rng);
        let output_tokens = traffic.output_tokens.draw_count(rng);
        let tenant = choose(&traffic.tenants, rng).cloned();
        let value = |values: &Vec<(String, f64)>, rng: &mut Rng| choose(values, rng).cloned();
        let labels = traffic
            .labels
            .iter()
            .filter_map(|(name, values)| Some((name.clone(), value(values, rng)?)))
            .collect();
        Request { route, needs, input_tokens, output_tokens, tenant, labels, tries: 0 }
    }
}
