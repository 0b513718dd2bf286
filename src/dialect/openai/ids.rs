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
}

impl Ids {
    /// `short`: nine letters and digits each.
    #[must_use]
    pub fn new(short: bool) -> Self {
        Self { short, used: BTreeMap::new() }
    }

    /// The id to send for a client's.
    pub fn of(&mut self, id: &str) -> String {
        let mut salt = 0_u32;
        loop {
            let sent = if salt == 0 && self.fits(id) { id.to_owned() } else { self.hash(id, salt) };
            let known = self.used.entry(sent.clone()).or_insert_with(|| id.to_owned());
            if known == id {
                return sent;
            }
            salt += 1;
        }
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
