//! The record of a policy's faults, and when it is set aside for them. Pure:
//! time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use crate::failover::time::Timestamp;

/// So many faults within `WINDOW` set a policy aside.
const FAULTS_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(30);
/// The first pause; it doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// Answers in a row without a fault after which a policy has proved itself.
pub const PROVEN: u32 = 32;

/// Whether a policy is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Active,
    /// Not asked until then.
    Quarantined {
        until: Timestamp,
    },
    /// Asked again after a quarantine; one fault ends it.
    OnProbation,
}

/// A change worth a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Quarantined { pause: Duration },
    Retried,
    Restored,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastFault {
    pub at: Timestamp,
    pub reason: String,
}

#[derive(Debug)]
pub struct Faults {
    total: u64,
    recent: VecDeque<Timestamp>,
    last: Option<LastFault>,
    standing: Standing,
    /// Of the quarantine under way, or of the next one.
    pause: Duration,
    /// Answers in a row without a fault; stops at `PROVEN`.
    clean: u32,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            total: 0,
            recent: VecDeque::new(),
            last: None,
            standing: Standing::Active,
            pause: PAUSE_MIN,
            clean: 0,
        }
    }
}

impl Faults {
    pub const fn total(&self) -> u64 {
        self.total
    }

    pub const fn last(&self) -> Option<&LastFault> {
        self.last.as_ref()
    }

    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether there is nothing to watch for until the next fault.
    pub fn has_proved_itself(&self) -> bool {
        self.clean >= PROVEN && self.standing == Standing::Active
    }

    /// Whether the policy is asked now; ends a quarantine that is over.
    pub fn may_answer(&mut self, now: Timestamp) -> (bool, Option<Change>) {
        match self.standing {
            Standing::Active | Standing::OnProbation => (true, None),
            Standing::Quarantined { until } if now < until => (false, None),
            Standing::Quarantined { .. } => {
                self.standing = Standing::OnProbation;
                (true, Some(Change::Retried))
            }
        }
    }

    pub fn fault(&mut self, reason: &str, now: Timestamp) -> Option<Change> {
        self.total += 1;
        self.clean = 0;
        self.last = Some(LastFault { at: now, reason: reason.to_owned() });
        self.recent.push_back(now);
        self.recent.retain(|at| now.since(*at) < WINDOW);
        match self.standing {
            // Calls that had begun before the quarantine.
            Standing::Quarantined { .. } => None,
            Standing::Active if self.recent.len() < FAULTS_MAX => None,
            Standing::Active | Standing::OnProbation => Some(self.quarantine(now)),
        }
    }

    fn quarantine(&mut self, now: Timestamp) -> Change {
        let pause = self.pause;
        self.standing = Standing::Quarantined { until: now + pause };
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.recent.clear();
        Change::Quarantined { pause }
    }

    pub fn success(&mut self) -> Option<Change> {
        match self.standing {
            // A call that had begun before the quarantine.
            Standing::Quarantined { .. } => None,
            Standing::Active => {
                self.clean = (self.clean + 1).min(PROVEN);
                None
            }
            Standing::OnProbation => {
                self.clean = (self.clean + 1).min(PROVEN);
                (self.clean >= PROVEN).then(|| {
                    self.standing = Standing::Active;
                    self.pause = PAUSE_MIN;
                    Change::Restored
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn faults(record: &mut Faults, times: &[u64]) -> Vec<Option<u64>> {
        let pause = |change| match change {
            Change::Quarantined { pause } => Some(pause.as_secs()),
            Change::Retried | Change::Restored => None,
        };
        times.iter().map(|time| record.fault("trap", at(*time)).and_then(pause)).collect()
    }

    #[test]
    fn five_faults_in_thirty_seconds_are_too_many() {
        let rows: [(&[u64], Option<u64>); 3] = [
            (&[0, 0, 0, 0, 0], Some(30)),
            (&[0, 7, 14, 21, 29], Some(30)),
            (&[0, 7, 14, 21, 30], None),
        ];
        for (times, expected) in rows {
            let answers = faults(&mut Faults::default(), times);
            assert_eq!(answers.last().copied().flatten(), expected, "{times:?}");
            assert!(answers[..4].iter().all(Option::is_none), "{times:?}");
        }
    }

    #[test]
    fn pauses_grow_to_ten_minutes() {
        let mut record = Faults::default();
        faults(&mut record, &[0, 0, 0, 0]);
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let pause = faults(&mut record, &[now])[0].expect("a fault too many");
            assert_eq!(record.may_answer(at(now + pause - 1)), (false, None));
            now += pause;
            assert_eq!(record.may_answer(at(now)), (true, Some(Change::Retried)));
            pauses.push(pause);
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn a_policy_that_proves_itself_is_restored() {
        let mut record = Faults::default();
        faults(&mut record, &[0, 0, 0, 0, 0]);
        assert_eq!(record.may_answer(at(30)), (true, Some(Change::Retried)));
        let changes: Vec<_> = (0..PROVEN).map(|_| record.success()).collect();
        assert_eq!(changes.iter().flatten().collect::<Vec<_>>(), [&Change::Restored]);
        assert_eq!(changes.last(), Some(&Some(Change::Restored)));
        assert_eq!(faults(&mut record, &[31, 31, 31, 31, 31]).last(), Some(&Some(30)));
    }
}
