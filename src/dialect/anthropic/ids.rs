//! Names of tools and ids of calls as Anthropic allows them, told apart as the
//! originals were. Must not know where they stand.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::dialect::hub::Request;
use crate::dialect::names::{Names, Rule};

/// What names of tools may be.
const NAMES: Rule = Rule { longest: 128, marks: "-", letter_first: false };

/// What an id begins with that had to be changed.
const PREFIX: &str = "toolu_";

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// An id of a call as Anthropic allows it. Different ids stay different: those
/// that look as if they had been changed are changed too.
#[must_use]
pub fn call_id(id: &str) -> Cow<'_, str> {
    let plain = !id.is_empty() && id.bytes().all(is_plain);
    if plain && !(id.starts_with(PREFIX) && id.contains('-')) {
        return Cow::Borrowed(id);
    }
    let mut out = String::from(PREFIX);
    if id.is_empty() {
        out.push('-');
    }
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push('-');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789abcdef"[usize::from(half)]));
            }
        }
    }
    Cow::Owned(out)
}

/// The names of a request's tools at the target.
#[must_use]
pub fn names(request: &Request<'_>) -> Names {
    let defined = || request.tools.iter().map(|tool| &*tool.name);
    let mut names = Names::new(NAMES, defined());
    for name in defined() {
        names.of(name);
    }
    names
}

/// Ids of the calls in one request: each is used once.
#[derive(Debug, Default)]
pub struct Ids {
    /// With how often each was made anew: however often an id occurs, a free
    /// one is found at once.
    used: HashMap<String, u32>,
}

impl Ids {
    /// The id at the target. Some servers count their calls anew in each turn;
    /// of an id that occurs again another is made.
    pub fn take(&mut self, id: Option<&str>) -> String {
        let wanted = match id {
            Some(id) => call_id(id).into_owned(),
            None => format!("{PREFIX}{}", self.used.len()),
        };
        let Some(times) = self.used.get(&wanted) else {
            self.used.insert(wanted.clone(), 1);
            return wanted;
        };
        let mut n = *times;
        let free = loop {
            n += 1;
            let made = format!("{wanted}_{n}");
            if !self.used.contains_key(&made) {
                break made;
            }
        };
        self.used.insert(wanted, n);
        self.used.insert(free.clone(), 1);
        free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::hub::Tool;

    #[test]
    fn ids_are_plain() {
        let check = |id, expected: &str| assert_eq!(call_id(id), expected);
        check("toolu_01Ab", "toolu_01Ab");
        check("call_1-2", "call_1-2");
        check("fc:1", "toolu_fc-3a1");
        check("toolu_a-b", "toolu_toolu_a-2db");
        check("", "toolu_-");
        check("é", "toolu_-c3-a9");
    }

    #[test]
    fn an_id_is_used_once() {
        let mut ids = Ids::default();
        let seen: Vec<String> =
            [Some("a"), Some("a"), None, Some("a")].map(|id| ids.take(id)).into();
        assert_eq!(seen, ["a", "a_2", "toolu_2", "a_3"]);
    }

    /// Minutes, if each had to look past those before it.
    #[test]
    fn one_id_may_occur_often() {
        let mut ids = Ids::default();
        let last = (0..50_000).map(|_| ids.take(Some("a"))).last();
        assert_eq!(last.as_deref(), Some("a_50000"));
    }

    #[test]
    fn names_come_back() {
        let long = "x".repeat(200);
        let mut request = Request::new();
        for name in ["a.b", "ok", &long] {
            request.tools.push(Tool {
                name: Cow::Owned(name.to_owned()),
                description: None,
                parameters: None,
                strict: None,
                free_text: false,
                cache_point: false,
            });
        }
        let names = names(&request);
        assert_eq!((names.get("a.b"), names.get("ok")), ("a_b".into(), "ok".into()));
        assert_eq!(names.get(&long).len(), 128);
        let legend = names.legend();
        assert_eq!((legend.len(), &*legend["a_b"]), (2, "a.b"));
    }

    proptest! {
        #[test]
        fn different_ids_stay_different(a in "(toolu_)?[a-c:é-]{0,4}", b in "(toolu_)?[a-c:é-]{0,4}") {
            prop_assert_eq!(a == b, call_id(&a) == call_id(&b));
            prop_assert!(call_id(&a).bytes().all(is_plain));
        }
    }
}
