//! Names of tools as a target allows them: kept where they can be, and made to
//! fit where not, so that different names stay different and the way back is
//! known. Must not know which dialect allows what; that is a [`Rule`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::digest;

/// Letters and digits at the end of a name whose plain form another has.
const DIGEST: usize = 12;

/// What names a target allows, besides ASCII letters, digits and underscores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// In bytes.
    pub longest: usize,
    pub marks: &'static str,
    /// The first is a letter or an underscore.
    pub letter_first: bool,
}

impl Rule {
    #[must_use]
    pub fn fits(self, name: &str) -> bool {
        (1..=self.longest).contains(&name.len())
            && name.chars().all(|c| self.allows(c))
            && name.starts_with(|c| self.begins(c))
    }

    fn allows(self, c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_' || self.marks.contains(c)
    }

    fn begins(self, c: char) -> bool {
        !self.letter_first || c.is_ascii_alphabetic() || c == '_'
    }

    /// The name with underscores for what is not allowed, and cut.
    #[must_use]
    pub fn plain(self, name: &str) -> String {
        let begins = name.starts_with(|c| self.begins(c) || !self.allows(c));
        let first = (!begins).then_some('_');
        let letters = name.chars().map(|c| if self.allows(c) { c } else { '_' });
        first.into_iter().chain(letters).take(self.longest).collect()
    }

    /// The plain name with an end that tells it from others like it.
    #[must_use]
    pub fn told_apart(self, plain: &str, end: &str) -> String {
        let head = &plain[..plain.len().min(self.longest - end.len() - 1)];
        format!("{head}_{end}")
    }
}

/// The names of one request's tools.
#[derive(Debug)]
pub struct Names {
    rule: Rule,
    /// From the client's name to the target's, where they differ.
    changed: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// `defined` are the client's: those that fit are theirs.
    #[must_use]
    pub fn new<'n>(rule: Rule, defined: impl IntoIterator<Item = &'n str>) -> Self {
        let taken = defined.into_iter().filter(|name| rule.fits(name));
        Self { rule, changed: BTreeMap::new(), taken: taken.map(ToOwned::to_owned).collect() }
    }

    /// The target's name for a client's; the same each time.
    pub fn of<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        if self.rule.fits(name) {
            return Cow::Borrowed(name);
        }
        if let Some(changed) = self.changed.get(name) {
            return Cow::Owned(changed.clone());
        }
        let plain = self.rule.plain(name);
        let made = if self.taken.contains(&plain) {
            self.rule.told_apart(&plain, &digest::letters(&[name], DIGEST))
        } else {
            plain
        };
        self.taken.insert(made.clone());
        self.changed.insert(name.to_owned(), made.clone());
        Cow::Owned(made)
    }

    /// The target's name for one that was asked for before. Of any other, such
    /// as that of a tool which is no longer defined, the plain form.
    #[must_use]
    pub fn get<'n>(&'n self, name: &'n str) -> Cow<'n, str> {
        match self.changed.get(name) {
            Some(changed) => Cow::Borrowed(changed),
            None if self.rule.fits(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.rule.plain(name)),
        }
    }

    /// A name nobody has, as like this one as can be; it is taken then.
    pub fn fresh(&mut self, like: &str) -> String {
        let mut name = like.to_owned();
        let mut n = 1_u32;
        while !self.taken.insert(name.clone()) {
            n += 1;
            name = self.rule.told_apart(like, &n.to_string());
        }
        name
    }

    /// From the target's names to the client's, where they differ.
    #[must_use]
    pub fn legend(&self) -> BTreeMap<String, String> {
        let back = self.changed.iter().map(|(client, made)| (made.clone(), client.clone()));
        back.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule { longest: 20, marks: "-", letter_first: false };
    const LETTER_FIRST: Rule = Rule { longest: 20, marks: "-.", letter_first: true };

    #[test]
    fn names_are_made_to_fit() {
        let check = |rule: Rule, name: &str, expected: &str| {
            assert_eq!(Names::new(rule, []).of(name), expected);
        };
        check(RULE, "a_b-1", "a_b-1");
        check(RULE, "a.b", "a_b");
        check(RULE, "1 ü", "1__");
        check(RULE, "", "_");
        check(RULE, &"x".repeat(21), &"x".repeat(20));
        check(LETTER_FIRST, "x.y-z", "x.y-z");
        check(LETTER_FIRST, "1st", "_1st");
        check(LETTER_FIRST, ".a b", "_.a_b");
        check(LETTER_FIRST, "ü", "_");
        check(LETTER_FIRST, "", "_");
    }

    #[test]
    fn names_stay_different() {
        let mut names = Names::new(RULE, ["a_b", "a.b", "a/b", "ok"]);
        assert_eq!((names.of("ok"), names.of("a_b")), ("ok".into(), "a_b".into()));
        let dotted = names.of("a.b").into_owned();
        assert!(dotted.starts_with("a_b_") && dotted.len() == 16, "{dotted}");
        assert_eq!((names.of("a.b"), names.get("a.b")), (dotted.clone().into(), (&*dotted).into()));
        assert_eq!((names.fresh("a_b"), names.fresh("a_b")), ("a_b_2".into(), "a_b_3".into()));
        assert_eq!(names.get("not.defined"), "not_defined");
        let long = names.of(&"n".repeat(21)).into_owned();
        let longer = names.of(&"n".repeat(22)).into_owned();
        assert!(long != longer && longer.len() == 20, "{longer}");
        let legend = names.legend();
        assert_eq!((legend.len(), &*legend[&dotted]), (3, "a.b"));
    }

    proptest! {
        #[test]
        fn every_name_fits_and_comes_back(given in proptest::collection::btree_set("[a1._ é/]{0,24}", 0..20), letter_first: bool) {
            let rule = if letter_first { LETTER_FIRST } else { RULE };
            let mut names = Names::new(rule, given.iter().map(|name| &**name));
            let made: Vec<String> = given.iter().map(|name| names.of(name).into_owned()).collect();
            let legend = names.legend();
            for (name, made) in given.iter().zip(&made) {
                prop_assert!(rule.fits(made), "{}", made);
                prop_assert_eq!(legend.get(made).unwrap_or(made), name);
            }
        }
    }
}
