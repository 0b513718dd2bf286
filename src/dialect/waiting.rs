//! Calls that wait for their results, each found in a few steps however many
//! wait: clients send lists of any length. Must not know how a dialect pairs.

use std::collections::{HashMap, VecDeque};

/// What a waiting call can be found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key<'c> {
    Any,
    Id(&'c str),
    Name(&'c str),
    AnyWithoutId,
    NameWithoutId(&'c str),
}

/// The calls by place: they are numbered as they are added.
#[derive(Debug, Default)]
pub struct Waiting<'c> {
    waits: Vec<bool>,
    open: usize,
    /// In order. A place is in several lists, and leaves each when it is come
    /// upon after it was answered.
    places: HashMap<Key<'c>, VecDeque<usize>>,
}

impl<'c> Waiting<'c> {
    pub fn add(&mut self, id: Option<&'c str>, name: &'c str) {
        let place = self.waits.len();
        self.waits.push(true);
        self.open += 1;
        let own = match id {
            Some(id) => [Some(Key::Id(id)), None],
            None => [Some(Key::AnyWithoutId), Some(Key::NameWithoutId(name))],
        };
        for key in [Key::Any, Key::Name(name)].into_iter().chain(own.into_iter().flatten()) {
            self.places.entry(key).or_default().push_back(place);
        }
    }

    /// The first call of this kind that waits.
    pub fn find(&mut self, key: Key<'c>) -> Option<usize> {
        let places = self.places.get_mut(&key)?;
        while let Some(&place) = places.front() {
            if self.waits[place] {
                return Some(place);
            }
            places.pop_front();
        }
        None
    }

    /// The call at this place waits no more.
    pub fn answer(&mut self, place: usize) {
        self.open -= usize::from(std::mem::take(&mut self.waits[place]));
    }

    /// Whether no call waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Those that wait, in order.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.waits.len()).filter(|place| self.waits[*place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_order() {
        let mut waiting = Waiting::default();
        for (id, name) in [(Some("a"), "f"), (None, "f"), (Some("a"), "g"), (None, "g")] {
            waiting.add(id, name);
        }
        let mut next = |key, expected: Option<usize>| {
            let place = waiting.find(key);
            assert_eq!(place, expected, "{key:?}");
            if let Some(place) = place {
                waiting.answer(place);
            }
        };
        next(Key::Id("b"), None);
        next(Key::NameWithoutId("g"), Some(3));
        next(Key::Id("a"), Some(0));
        next(Key::Name("f"), Some(1));
        next(Key::AnyWithoutId, None);
        next(Key::Any, Some(2));
        next(Key::Id("a"), None);
        assert!(waiting.is_empty() && waiting.places().next().is_none());
    }
    /// Minutes, if all that wait were looked through for each.
    #[test]
    fn many_are_found_in_any_order() {
        let names: Vec<String> = (0..100_000).map(|n| format!("f{n}")).collect();
        let mut waiting = Waiting::default();
        for name in &names {
            waiting.add(None, name);
        }
        for (place, name) in names.iter().enumerate().rev() {
            assert_eq!(waiting.find(Key::Name(name)), Some(place));
            waiting.answer(place);
        }
        assert_eq!(waiting.find(Key::Any), None);
    }
}
