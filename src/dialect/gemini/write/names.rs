//! Names of functions as Gemini takes them, and the way back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::dialect::hub::Tool;

const MAX_NAME: usize = 64;

/// Gives each name of the client's one of Gemini's, and no two the same.
#[derive(Debug)]
pub struct Names {
    taken: BTreeSet<String>,
    /// From the client's name.
    made: BTreeMap<String, String>,
}

/// A letter or an underscore, then letters, digits, underscores, dots and
/// dashes.
fn fits(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && name.len() <= MAX_NAME
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

impl Names {
    pub fn new(tools: &[Tool<'_>]) -> Self {
        let taken = tools.iter().filter(|tool| fits(&tool.name));
        Self { taken: taken.map(|tool| tool.name.to_string()).collect(), made: BTreeMap::new() }
    }

    /// The name for Gemini; the same each time.
    pub fn of<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        if fits(name) {
            return Cow::Borrowed(name);
        }
        if let Some(made) = self.made.get(name) {
            return Cow::Owned(made.clone());
        }
        let made = self.make(name);
        self.taken.insert(made.clone());
        self.made.insert(name.to_owned(), made.clone());
        Cow::Owned(made)
    }

    fn make(&self, name: &str) -> String {
        let good = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
        let mut plain: String = name.chars().take(MAX_NAME + 1).map(good).collect();
        if !plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            plain.insert(0, '_');
        }
        if fits(&plain) && !self.taken.contains(&plain) {
            return plain;
        }
        let hash = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(name.as_bytes())[..12]);
        plain.truncate(MAX_NAME - hash.len() - 1);
        format!("{plain}_{hash}")
    }

    /// From Gemini's names to the client's, where they differ.
    pub fn into_legend(self) -> BTreeMap<String, String> {
        self.made.into_iter().map(|(client, made)| (made, client)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_to_fit() {
        let tool = |name: &'static str| Tool {
            name: name.into(),
            description: None,
            parameters: None,
            strict: None,
            free_text: false,
            cache_point: false,
        };
        let mut names = Names::new(&[tool("a_b"), tool("x.y-z")]);
        let mut check = |name: &str, expected: &str| assert_eq!(names.of(name), expected);
        check("x.y-z", "x.y-z");
        check("c d", "c_d");
        check("c d", "c_d");
        check("1st", "_1st");
        check("ü", "_");
        let taken = names.of("a b").into_owned();
        assert!(taken.starts_with("a_b_") && fits(&taken), "{taken}");
        let long = names.of(&"n".repeat(200)).into_owned();
        assert!(fits(&long) && long.len() == MAX_NAME, "{long}");
        assert_ne!(names.of(&"n".repeat(201)), long);
        let legend = names.into_legend();
        assert_eq!(legend["c_d"], "c d");
        assert_eq!(legend[&taken], "a b");
        assert_eq!(legend.len(), 6);
    }
}
