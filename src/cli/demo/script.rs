//! The bad day as data: what happens, in which order, and what must have been
//! seen before the next thing happens. Decides nothing and touches nothing.

use std::time::Duration;

/// One part of the day.
#[derive(Debug)]
pub struct Phase {
    /// For machines.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Its length in a demo of the usual length.
    pub seconds: u32,
    /// What happens at its beginning.
    pub acts: &'static [Act],
    /// It lasts until this was seen, though not for ever.
    pub until: Until,
}

/// Something that happens to the gateway.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A provider changes its ways, as `backstay fake` has them.
    Behave(Provider, &'static str),
    /// The policy's file gets this content.
    Install(Version),
    /// The configuration names another policy for the route.
    Decide(&'static str),
}

/// The providers, in the order of their priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    Alpha,
    Beta,
    Gamma,
}

impl Provider {
    pub const ALL: [Self; 3] = [Self::Alpha, Self::Beta, Self::Gamma];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Gamma => "gamma",
        }
    }

    pub const fn index(self) -> usize {
        match self {
            Self::Alpha => 0,
            Self::Beta => 1,
            Self::Gamma => 2,
        }
    }
}

/// What the policy's file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// `policies/examples/prefer`.
    Prefer,
    /// The first half of it, as an interrupted copy leaves it.
    Torn,
    /// `policies/examples/careless`: loads, and panics at the first call.
    Careless,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Its time has passed.
    Over,
    /// The route's own policy decides calls.
    Decided,
    /// A file was refused, and the version before still decides.
    Refused,
    /// A policy was taken out of service.
    Quarantined,
    /// The built-in decides, and the first provider serves again.
    Recovered,
}

/// The route that is called, and the policy that it names at first. There is no
/// such file at the beginning of the day: the built-in decides.
pub const ROUTE: &str = "demo";
pub const POLICY: &str = "favourite";
/// The built-in's name.
pub const BUILT_IN: &str = "default";

/// How a healthy provider answers, in all phases.
pub const HEALTHY: &str = "ok+words=24+latency=20ms+chunk-delay=4ms";
/// Words in an answer; must agree with `HEALTHY`.
pub const WORDS: usize = 24;

use Act::{Behave, Decide, Install};
use Provider::{Alpha, Beta, Gamma};

pub const DAY: &[Phase] = &[
    Phase { name: "calm", title: "all is well", seconds: 4, acts: &[], until: Until::Over },
    Phase {
        name: "rate-limits",
        title: "alpha answers 429 to every call",
        seconds: 4,
        acts: &[Behave(Alpha, "429:retry-after=1")],
        until: Until::Over,
    },
    Phase {
        name: "dead",
        title: "alpha is dead",
        seconds: 4,
        acts: &[Behave(Alpha, "refuse")],
        until: Until::Over,
    },
    Phase {
        name: "cuts",
        title: "alpha is back, but cuts answers short",
        seconds: 5,
        acts: &[Behave(Alpha, "cut-reset:after=6+rate=0.15")],
        until: Until::Over,
    },
    Phase {
        name: "stalls",
        title: "alpha falls silent within answers",
        seconds: 5,
        acts: &[Behave(Alpha, "stall:after=6+rate=0.1")],
        until: Until::Over,
    },
    Phase {
        name: "errors",
        title: "every provider fails now and then",
        seconds: 4,
        acts: &[
            Behave(Alpha, "500+rate=0.15"),
            Behave(Beta, "503+rate=0.1"),
            Behave(Gamma, "reset+rate=0.03"),
        ],
        until: Until::Over,
    },
    Phase {
        name: "swap",
        title: "a policy is swapped in: gamma first",
        seconds: 4,
        acts: &[
            Behave(Alpha, "ok"),
            Behave(Beta, "ok"),
            Behave(Gamma, "ok"),
            Install(Version::Prefer),
        ],
        until: Until::Decided,
    },
    Phase {
        name: "torn",
        title: "its next version is only half copied",
        seconds: 3,
        acts: &[Install(Version::Torn)],
        until: Until::Refused,
    },
    Phase {
        name: "careless",
        title: "its next version panics at every call",
        seconds: 4,
        acts: &[Install(Version::Careless)],
        until: Until::Quarantined,
    },
    Phase {
        name: "recovery",
        title: "the built-in decides again",
        seconds: 4,
        acts: &[Install(Version::Prefer), Decide(BUILT_IN)],
        until: Until::Recovered,
    },
];

/// The usual length of the whole day.
pub fn usual_seconds() -> u32 {
    DAY.iter().map(|phase| phase.seconds).sum()
}

/// How long a phase is in a day of this length.
pub fn length_of(phase: &Phase, day: Duration) -> Duration {
    day * phase.seconds / usual_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Behaviour;

    #[test]
    fn every_behaviour_can_be_read() {
        let healthy = Behaviour::parse(HEALTHY).unwrap();
        for act in DAY.iter().flat_map(|phase| phase.acts) {
            if let Behave(provider, spec) = act {
                assert!(healthy.with(spec).is_ok(), "{} {spec}", provider.name());
            }
        }
    }

    #[test]
    fn the_phases_fill_the_day() {
        let day = Duration::from_secs(u64::from(usual_seconds()) * 2);
        let total: Duration = DAY.iter().map(|phase| length_of(phase, day)).sum();
        assert_eq!(total, day);
        assert_eq!(length_of(&DAY[0], day), Duration::from_secs(8));
    }

    #[test]
    fn providers_are_numbered_in_order() {
        for (index, provider) in Provider::ALL.into_iter().enumerate() {
            assert_eq!(provider.index(), index);
        }
    }
}
