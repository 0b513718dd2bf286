//! Ids of tool calls that servers accept: kept where they can be, hashed where
//! they are too long or of the wrong form. Different ids stay different. Must
//! not know who made them.

use std::collections::BTreeMap;

use crate::dialect::digest;

/// `OpenAI` refuses longer ones.
const LONGEST: usize = 40;

/// What Mistral's older models demand.
const SHORT: usize = 9;

/// The ids of one request.
#[derive(Debug, Default)]
pub struct Ids {
    short: bool,
    /// From the id as it is sent to the client's.
    used: BTreeMap<String, String>,
    /// From the client's to those that differ: what took long to find, as
    /// someone may have sent the hashes as ids, is found once.
    made: BTreeMap<String, String>,
}

impl Ids {
    /// `short`: nine letters and digits each.
    #[must_use]
    pub fn new(short: bool) -> Self {
        Self { short, used: BTreeMap::new(), made: BTreeMap::new() }
    }

    /// The id to send for a client's.
    pub fn of(&mut self, id: &str) -> String {
        if let Some(made) = self.made.get(id) {
            return made.clone();
        }
        if self.fits(id) && self.claim(id, id) {
            return id.to_owned();
        }
        let mut salt = u32::from(self.fits(id));
        let mut made = self.hash(id, salt);
        while !self.claim(&made, id) {
            salt += 1;
            made = self.hash(id, salt);
        }
        self.made.insert(id.to_owned(), made.clone());
        made
    }

    /// Whether this client's id may be sent so: no other one is.
    fn claim(&mut self, sent: &str, id: &str) -> bool {
        self.used.entry(sent.to_owned()).or_insert_with(|| id.to_owned()) == id
    }

    fn fits(&self, id: &str) -> bool {
        if self.short {
            id.len() == SHORT && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        } else {
            (1..=LONGEST).contains(&id.len())
        }
    }

    fn hash(&self, id: &str, salt: u32) -> String {
        let seed = format!("{salt}:{id}");
        let letters = |length| digest::letters(&[&seed], length);
        if self.short { letters(SHORT) } else { format!("call_{}", letters(24)) }
    }
}

/// The id of a call to which the provider gave none.
#[must_use]
pub fn made(answer: &str, choice: u32, call: u32) -> String {
    let letters = digest::letters(&[answer, &choice.to_string(), &call.to_string()], 24);
    format!("call_{letters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_where_they_can_be() {
        let mut ids = Ids::new(false);
        assert_eq!(ids.of("call_1"), "call_1");
        let long = "x".repeat(41);
        let sent = ids.of(&long);
        assert_eq!((sent.len(), sent.starts_with("call_")), (29, true));
        assert_eq!(ids.of(&long), sent);
        // Someone else's id that happens to be the hash.
        assert_ne!(ids.of(&sent), sent);
        assert_eq!(made("t", 0, 1), made("t", 0, 1));
        assert_ne!(made("t", 0, 1), made("t", 1, 0));
    }

    /// Minutes, if each time all hashes were tried anew.
    #[test]
    fn hashes_may_be_taken() {
        let mut ids = Ids::new(false);
        let long = "x".repeat(41);
        for salt in 0..5000 {
            let taken = ids.hash(&long, salt);
            ids.of(&taken);
        }
        let sent = ids.of(&long);
        assert!((0..5000).all(|_| ids.of(&long) == sent));
    }

    #[test]
    fn short_ids_are_nine_letters_and_digits() {
        let mut ids = Ids::new(true);
        assert_eq!(ids.of("abc123XYZ"), "abc123XYZ");
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..1000 {
            let sent = ids.of(&format!("toolu_{n}"));
            assert!(sent.len() == 9 && sent.bytes().all(|b| b.is_ascii_alphanumeric()), "{sent}");
            assert!(seen.insert(sent));
        }
        assert_eq!(ids.of("").len(), 9);
    }
}
