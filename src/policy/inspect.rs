//! What the loader says of a file before a gateway is near it, what its answers
//! to the made-up questions use, and how long they take beside the built-in's.
//! A file is loaded as the library loads it; this only looks on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handle::{Digest, Facts, Origin, Policy};
use super::library::{BUILT_IN, LibraryConfig, OpenFault, start};
use super::load::{LoadFault, Loader, check_name};
use super::program::Measured;
use super::shelf::PinFault;
use super::trial::{self, TrialFault, VERBS};
use crate::failover::consult::{Admission, Opinion, Verb};

/// More samples of a verb are not kept: the measuring ends.
const SAMPLES_MAX: usize = 200_000;
/// Calls before the first that counts.
const WARM_UP: usize = 5;
/// Calls on the metered engine: what they burn hardly varies.
const METERED: usize = 50;
/// The default of the routes' rule of this name.
const COOLDOWN_MAX: Duration = Duration::from_hours(24);

/// Loads files as a gateway with this configuration would.
#[derive(Debug)]
pub struct Inspector {
    loader: Loader,
    /// A second engine that counts fuel.
    metered: Loader,
}

/// A file that is a policy, with one answer to each verb.
#[derive(Debug)]
pub struct Inspected {
    pub facts: Facts,
    pub answers: Vec<Answered>,
    policy: Arc<Policy>,
}

/// The answer to one made-up question.
#[derive(Clone, PartialEq, Debug)]
pub struct Answered {
    pub verb: &'static str,
    pub opinion: Opinion,
    /// Why the gateway would not do what it says; such an answer is a fault.
    pub inadmissible: Option<String>,
    pub used: Measured,
}

/// When to stop measuring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// So many calls of each verb.
    Calls(usize),
    /// So much time in all.
    Passed(Duration),
}

/// What calls of one verb used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effort {
    pub verb: &'static str,
    pub calls: usize,
    pub time: Quantiles<Duration>,
    pub memory: Quantiles<usize>,
    pub fuel: Quantiles<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quantiles<T> {
    pub p50: T,
    pub p99: T,
}

impl<T: Copy + Ord + Default> Quantiles<T> {
    /// By nearest rank; of nothing, nothing.
    fn of(values: impl Iterator<Item = T>) -> Self {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: rank(50), p99: rank(99) }
    }
}

/// The policy's effort and, as the control, the built-in's under the same
/// conditions: a fresh instance for every call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    pub policy: Vec<Effort>,
    pub built_in: Vec<Effort>,
}

impl Inspector {
    /// The directory is not looked at.
    pub fn open(config: &LibraryConfig) -> Result<Self, OpenFault> {
        let (loader, _) = start(config)?;
        let metered = loader.metered().map_err(|error| OpenFault::Engine(error.to_string()))?;
        Ok(Self { loader, metered })
    }

    /// Loads the file's content under this name, which may be pinned.
    pub fn inspect(
        &self,
        name: &str,
        file: PathBuf,
        bytes: &[u8],
        pin: Option<Digest>,
    ) -> Result<Inspected, LoadFault> {
        let found = Digest::of(bytes);
        if let Some(pin) = pin.filter(|pin| *pin != found) {
            return Err(PinFault { name: name.to_owned(), pin, found }.into());
        }
        check_name(name)?;
        let policy = self.loader.load(name, Origin::File(file), bytes, Arc::default())?;
        let answers = VERBS.into_iter().map(|verb| answer(&policy, verb)).collect();
        Ok(Inspected { facts: policy.facts().clone(), answers, policy: Arc::new(policy) })
    }

    /// Asks the policy and the built-in in turn, so that both meet the same
    /// machine. `bytes` are the policy's; they are compiled once more, to count
    /// fuel.
    pub fn compare(
        &self,
        inspected: &Inspected,
        bytes: &[u8],
        until: Until,
    ) -> Result<Comparison, LoadFault> {
        let file = |loader: &Loader, name: &str, bytes: &[u8]| {
            loader.load(name, Origin::File(PathBuf::new()), bytes, Arc::default())
        };
        let plain =
            [Arc::clone(&inspected.policy), Arc::new(file(&self.loader, "built-in", BUILT_IN)?)];
        let name = inspected.policy.name();
        let metered =
            [file(&self.metered, name, bytes)?, file(&self.metered, "built-in", BUILT_IN)?];
        let mut efforts = [Vec::new(), Vec::new()];
        for verb in VERBS {
            let fuel =
                alternate([&metered[0], &metered[1]], verb, Until::Calls(METERED), &self.loader)?;
            let until = match until {
                Until::Calls(calls) => Until::Calls(calls),
                Until::Passed(time) => {
                    Until::Passed(time / u32::try_from(VERBS.len()).unwrap_or(1))
                }
            };
            let time = alternate([&plain[0], &plain[1]], verb, until, &self.loader)?;
            for (effort, (time, fuel)) in efforts.iter_mut().zip(time.iter().zip(&fuel)) {
                effort.push(Effort::of(verb.label(), time, fuel));
            }
        }
        let [policy, built_in] = efforts;
        Ok(Comparison { policy, built_in })
    }
}

impl Effort {
    fn of(verb: &'static str, plain: &[Measured], metered: &[Measured]) -> Self {
        Self {
            verb,
            calls: plain.len(),
            time: Quantiles::of(plain.iter().map(|call| call.time)),
            memory: Quantiles::of(plain.iter().map(|call| call.memory)),
            fuel: Quantiles::of(metered.iter().filter_map(|call| call.fuel)),
        }
    }
}

fn answer(policy: &Policy, verb: Verb) -> Answered {
    let question = trial::question(verb);
    let used = policy.measure(&question, &trial::material());
    let admission = Admission::of(&question, COOLDOWN_MAX);
    let inadmissible = admission.admit(verb, &used.opinion).err();
    Answered { verb: verb.label(), opinion: used.opinion.clone(), inadmissible, used }
}

/// One call of each in turn, until it is enough.
fn alternate(
    policies: [&Policy; 2],
    verb: Verb,
    until: Until,
    loader: &Loader,
) -> Result<[Vec<Measured>; 2], TrialFault> {
    let (question, material) = (trial::question(verb), trial::material());
    let began = (loader.clock)();
    let mut samples = [Vec::new(), Vec::new()];
    for number in 0..SAMPLES_MAX + WARM_UP {
        let enough = match until {
            Until::Calls(calls) => number >= calls + WARM_UP,
            Until::Passed(time) => number > WARM_UP && (loader.clock)().since(began) >= time,
        };
        if enough {
            break;
        }
        for (policy, samples) in policies.iter().zip(&mut samples) {
            let measured = policy.measure(&question, &material);
            if let Opinion::Fault { reason } = measured.opinion {
                return Err(TrialFault::new(verb, reason));
            }
            if number >= WARM_UP {
                samples.push(Measured { opinion: Opinion::None, ..measured });
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        for (values, expected) in [
            (vec![], (0, 0)),
            (vec![7], (7, 7)),
            (vec![2, 1], (1, 2)),
            ((1..=100).rev().collect(), (50, 99)),
            ((1..=1000).collect(), (500, 990)),
        ] {
            let found = Quantiles::of(values.iter().copied());
            assert_eq!((found.p50, found.p99), expected, "{values:?}");
        }
    }
}
