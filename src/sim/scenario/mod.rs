//! A scenario as meant: providers and how they behave over time, who calls, and
//! what must hold. Everything here is resolved; [`parse`] makes it of a text, or
//! says every problem with its place and its remedy.
//!
//! Reading order: this file (what comes out), `read` (the walk), `providers`,
//! `traffic`, `cases`, `expect` (a table each), `values`.

mod cases;
mod expect;
mod providers;
mod read;
mod traffic;
mod values;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Problem, Route};
use crate::failover::Features;

use super::fault::Fault;
use super::numbers::Distribution;

pub use expect::{Bound, Expectation, Metric, Percentile, Relation};
pub use read::{load, parse};
pub use window::{Flap, Span, Window};

/// What `backstay simulate --example` prints: a scenario that explains itself.
pub const EXAMPLE: &str = include_str!("../example.toml");

/// See the module.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub about: String,
    pub seed: u64,
    /// Unix time of the beginning.
    pub starts_at: Duration,
    /// By name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// By name. Never empty.
    pub routes: Vec<Arc<Route>>,
    pub connect_timeout: Duration,
    pub traffic: Option<Traffic>,
    /// Of the traffic as a whole.
    pub expect: Vec<Expectation>,
    /// Of parts of it.
    pub during: Vec<Period>,
    pub cases: Vec<Case>,
    pub warnings: Vec<Problem>,
}

/// A part of the run with expectations of its own: of the calls that arrive in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Period {
    pub span: Span,
    pub expect: Vec<Expectation>,
}

/// `[providers.NAME]`: how a provider behaves when all is well, and when not.
/// Times are in milliseconds.
#[derive(Clone, PartialEq, Debug)]
pub struct Provider {
    pub connect: Distribution,
    /// From the request to the first content, the connection not counted.
    pub first_token: Distribution,
    pub per_token: Distribution,
    /// Until an error is answered.
    pub error_latency: Distribution,
    /// In a calendar minute; `None` is no limit.
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u32>,
    /// What a refusal for want of quota says of when to come back.
    pub retry_after: RetryAfter,
    /// Whether successes say what is left of the limits.
    pub remaining_headers: bool,
    pub capacity: Option<Capacity>,
    /// Shares of the attempts; together at most 1.
    pub errors: Vec<(Fault, f64)>,
    /// Those of its region included.
    pub windows: Vec<Window>,
}

/// What a rate-limited provider says of when to come back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RetryAfter {
    /// When the limit is free again.
    Exact,
    None,
    Always(Duration),
}

/// `[providers.NAME.capacity]`: how many attempts a provider works on at once.
#[derive(Clone, PartialEq, Debug)]
pub struct Capacity {
    pub slots: u32,
    /// Attempts that wait for a slot; one more is `overload`.
    pub queue: u32,
    pub overload: Fault,
    /// How much longer everything takes when all slots are in use: 1.0 is twice.
    pub slowdown: f64,
    /// Whether an attempt that was given up keeps its slot to its end, as where
    /// nobody notices that the caller has left.
    pub finishes_abandoned: bool,
}

/// `[traffic]`: who calls, how often, with what.
#[derive(Clone, PartialEq, Debug)]
pub struct Traffic {
    pub duration: Duration,
    /// Calls per second, on average.
    pub rate: f64,
    /// 24 factors of the rate, one an hour, in between on a straight line;
    /// empty: always the same.
    pub daily: Vec<f64>,
    pub bursts: Vec<Burst>,
    pub input_tokens: Distribution,
    pub output_tokens: Distribution,
    /// Share of the calls that stream, need JSON, need tools.
    pub streams: f64,
    pub json: f64,
    pub tools: f64,
    /// Names with weights. Empty: no tenant.
    pub tenants: Vec<(String, f64)>,
    /// Label names with the weights of their values.
    pub labels: Vec<(String, Vec<(String, f64)>)>,
    /// Routes by index, with weights.
    pub routes: Vec<(usize, f64)>,
    pub retries: Retries,
    /// A client leaves after so long.
    pub patience: Option<Duration>,
}

/// A time in which the rate is another.
#[derive(Clone, PartialEq, Debug)]
pub struct Burst {
    pub window: Window,
    pub factor: f64,
}

/// Clients that try again by themselves, whatever they are told.
#[derive(Clone, PartialEq, Debug)]
pub struct Retries {
    /// Further calls of a client that was refused, at the most.
    pub attempts: u32,
    /// Before the first of them; doubled for each further one, ± half of it.
    pub pause: Duration,
}

/// `[[case]]`: one call with scripted answers, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// In the world that the case before has left, rather than in a new one.
    pub after_previous: bool,
    /// After the beginning of its world.
    pub at: Duration,
    /// An index into the scenario's routes.
    pub route: usize,
    pub needs: Features,
    pub tenant: Option<String>,
    pub labels: Vec<(String, String)>,
    /// Request headers, names in lower case.
    pub headers: Vec<(String, String)>,
    pub input_tokens: u32,
    pub max_output_tokens: Option<u32>,
    /// The request's JSON, which policies read by pointer.
    pub request: Option<serde_json::Value>,
    /// By target: what each attempt there comes to; the last goes on for ever.
    pub answers: BTreeMap<String, Vec<Scripted>>,
    pub expect: CaseExpect,
}

/// What an attempt comes to.
#[derive(Clone, PartialEq, Debug)]
pub struct Scripted {
    /// `None` is a good answer.
    pub fault: Option<Fault>,
    /// The answer's text, instead of a made-up one.
    pub text: Option<String>,
    pub output_tokens: u32,
    pub first_token: Option<Duration>,
}

/// What must come of a case; what is `None` may be anything.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CaseExpect {
    /// Who answered.
    pub target: Option<String>,
    /// Every attempt's target, in order.
    pub targets: Option<Vec<String>>,
    /// What every attempt came to: a class, or `answered`.
    pub classes: Option<Vec<String>>,
    pub attempts: Option<u32>,
    pub end: Option<String>,
    pub status: Option<u32>,
    pub code: Option<String>,
    pub text: Option<String>,
    pub faults: Option<u32>,
    /// Until the call's end, at the most.
    pub within: Option<Duration>,
}

impl Scenario {
    pub fn target_names(&self) -> impl Iterator<Item = &str> {
        let targets = self.routes.iter().flat_map(|route| &route.targets);
        targets.map(|target| target.facts.target.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_example_is_a_scenario() {
        let scenario = parse(EXAMPLE, Path::new("example.toml")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(scenario.warnings, Vec::new());
        assert_eq!(scenario.providers["alpha"].windows.len(), 3, "its own and its region's");
        assert_eq!(scenario.cases.len(), 2);
        assert_eq!((scenario.expect.len(), scenario.during.len()), (8, 1));
    }

    /// Every problem, with its place and its remedy.
    #[test]
    fn problems_are_told_all_at_once() {
        let text = r#"
[providers.a]
first_token = { p50 = "2s", p95 = "1s" }
errors = { "99" = 0.5, "500" = 0.7, "503" = 0.4 }
windos = []
[[providers.a.windows]]
from = "2h"
until = "1h"
[routes.chat]
targets = [{ provider = "a", model = "m" }]
[traffic]
duration = "1h"
rate = 0
[expect]
availability = "0.99"
share = { "b/m" = ">= 1" }
[[case]]
answers."a/n" = "ok"
"#;
        let problems = parse(text, Path::new("s.toml")).expect_err("full of problems").to_string();
        for expected in [
            "s.toml:3:15: the lesser value of [providers.a.first_token] must come first",
            "s.toml:4:12: `99` cannot be \"99\": there is no fault `99`",
            "the shares of [providers.a.errors] are more than 1",
            "s.toml:5:1: `windos` is no setting of [providers.a]",
            "did you mean `windows`?",
            "s.toml:8:9: [providers.a.windows] ends before it begins",
            "[providers.a.windows] changes nothing",
            "s.toml:13:8: `rate` is out of bounds: `0`",
            "s.toml:15:16: `availability` is no bound: \"0.99\"",
            "s.toml:16:11: \"b/m\" is unknown here",
            "s.toml:18:9: there is no target of this route \"a/n\"",
            "[case] expects nothing",
        ] {
            assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
        }
    }
}
