//! Short words that stand for longer texts: always the same for the same text,
//! another for any other. Must not know what they are for.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// So many hexadecimal digits, at most 64.
#[must_use]
pub fn hex(text: &str, digits: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let digit = |half: u8| char::from(ALPHABET[usize::from(half)]);
    let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.take(digits).map(digit).collect()
}

/// So many letters and digits, at most 32, that stand for texts in a row.
#[must_use]
pub fn letters(texts: &[&str], length: usize) -> String {
    let mut hash = Sha256::new();
    for (place, text) in texts.iter().enumerate() {
        if place > 0 {
            // No UTF-8 has this byte: the texts stay apart.
            hash.update([0xff]);
        }
        hash.update(text.as_bytes());
    }
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    hash.finalize().iter().take(length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_texts_stay_different() {
        assert_eq!(hex("", 8), "e3b0c442");
        assert_eq!((hex("a", 64).len(), hex("a", 1).len()), (64, 1));
        let word = letters(&["a", "b"], 32);
        assert_eq!(word, letters(&["a", "b"], 32));
        assert!(word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(word.starts_with(&letters(&["a", "b"], 5)));
        assert_ne!(word, letters(&["ab", ""], 32));
        assert_ne!(word, letters(&["ab"], 32));
    }
}
