//! What becomes of a thing that the target cannot express: dropped in silence,
//! dropped with notice, or the target is not eligible (wire formats §4, the
//! policy column). Must not know any dialect's fields.

use std::borrow::Cow;

/// How much would be lost without the thing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Gravity {
    /// Nothing a client could notice.
    Nothing,
    /// It tunes sampling, caching, billing or tracing.
    Tuning,
    /// It changes what the caller asked to receive; in a lenient route the
    /// answer is still worth having without it.
    Meaning,
    /// Without it the answer would be to another question.
    Vital,
}

/// What a route does about losses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// Nothing is dropped but what nobody could notice.
    Strict,
    #[default]
    Normal,
    /// Only what is vital is insisted on.
    Lenient,
}

impl Strictness {
    pub const NAMES: [(&'static str, Self); 3] =
        [("strict", Self::Strict), ("normal", Self::Normal), ("lenient", Self::Lenient)];

    /// The gravest loss that is still borne.
    const fn bears(self) -> Gravity {
        match self {
            Self::Strict => Gravity::Nothing,
            Self::Normal => Gravity::Tuning,
            Self::Lenient => Gravity::Meaning,
        }
    }
}

/// The target cannot be asked this.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field} cannot be expressed for this target{}{reason}", if .reason.is_empty() { "" } else { ": " })]
pub struct Untranslatable {
    /// The client's field.
    pub field: String,
    pub reason: String,
}

impl Untranslatable {
    #[must_use]
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// How many fields a notice names; the rest are counted.
const MOST_NAMED: usize = 32;

/// The losses of one translation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    strictness: Strictness,
    dropped: Vec<String>,
    more: usize,
}

impl Losses {
    #[must_use]
    pub fn new(strictness: Strictness) -> Self {
        Self { strictness, ..Self::default() }
    }

    #[must_use]
    pub const fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// A thing that cannot be said. Each field is named once.
    pub fn lose(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        gravity: Gravity,
        reason: &str,
    ) -> Result<(), Untranslatable> {
        let field = field.into();
        if gravity > self.strictness.bears() {
            return Err(Untranslatable::new(field, reason));
        }
        if gravity > Gravity::Nothing && !self.dropped.iter().any(|known| *known == field) {
            if self.dropped.len() < MOST_NAMED {
                self.dropped.push(field.into_owned());
            } else {
                self.more += 1;
            }
        }
        Ok(())
    }

    /// A thing that only tunes.
    pub fn tuning(&mut self, field: impl Into<Cow<'static, str>>) -> Result<(), Untranslatable> {
        self.lose(field, Gravity::Tuning, "")
    }

    /// What was dropped, for the client.
    #[must_use]
    pub fn into_dropped(mut self) -> Vec<String> {
        if self.more > 0 {
            self.dropped.push(format!("and {} more", self.more));
        }
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borne_depends_on_the_route() {
        let check = |strictness, borne: usize| {
            let all = [Gravity::Nothing, Gravity::Tuning, Gravity::Meaning, Gravity::Vital];
            for (at, gravity) in all.into_iter().enumerate() {
                let mut losses = Losses::new(strictness);
                let seen = losses.lose("x", gravity, "no such thing");
                assert_eq!(seen.is_ok(), at <= borne, "{strictness:?} {gravity:?}");
                let named = seen.is_ok() && gravity > Gravity::Nothing;
                assert_eq!(losses.into_dropped().len(), usize::from(named));
            }
        };
        check(Strictness::Strict, 0);
        check(Strictness::Normal, 1);
        check(Strictness::Lenient, 2);
    }

    #[test]
    fn a_notice_is_bounded() {
        let mut losses = Losses::default();
        for n in 0..40 {
            losses.tuning(format!("x{n}")).unwrap();
            losses.tuning(format!("x{n}")).unwrap();
        }
        let dropped = losses.into_dropped();
        assert_eq!(dropped.len(), MOST_NAMED + 1);
        assert!(
            Untranslatable::new("n", "one answer only").to_string().ends_with(": one answer only")
        );
    }
}
