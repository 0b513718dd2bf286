//! The seam between a broken stream's text and its continuation by another
//! model. A continuing model may go on exactly where the text stopped, repeat
//! its tail first, or start all over; the client must see each word once. Owns
//! that decision; must not know of frames, targets or dialects.
//!
//! The rule: every place of the delivered text where its remainder could be
//! what the continuation begins with is a *hypothesis*: the very beginning (a
//! restart), and every character of the last 4 KiB (a repeated tail). The
//! continuation is held while a hypothesis lives. When none does, the longest
//! remainder that was repeated in full is swallowed, if it is long enough to be
//! no coincidence: the whole delivered text; or 12 bytes with a letter or digit
//! in them; or 4 bytes with a letter, from the beginning of a word on.
//!
//! Text that repeats itself (`0, 0, 0, `) cannot be told from a repeated tail.
//! There the seam prefers to swallow; but of a target that takes the answer so
//! far as the beginning of its own turn, and so should not repeat anything, only
//! a restart is swallowed, or 12 bytes that the delivered text has but once.
//!
//! A target may be shown the delivered text without the white space at its end,
//! and will say that again: as much of it as comes back is swallowed.

use super::request::Continuation;

/// How far back a repeated tail is looked for, in bytes.
const TAIL: usize = 4096;

/// The continuation began with this much of the delivered text and then went
/// another way: a new answer from the start.
const MISFIT: usize = 32;

/// A restart of a short text counts from half of it on, but from here on.
const MISFIT_MIN: usize = 4;

/// A repeated tail of this length is no coincidence.
const SURE_OVERLAP: usize = 12;

/// One that begins with a word counts from here on.
const WORD_OVERLAP: usize = 4;

/// The continuation is another answer: it does not fit what was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the continuation does not fit what was delivered")]
pub struct Misfit;

/// Lets the text of a continuation through, without what the client has.
#[derive(Debug)]
pub struct Seam {
    state: State,
}

#[derive(Debug)]
enum State {
    Holding(Hold),
    Passing,
}

#[derive(Debug)]
struct Hold {
    delivered: String,
    /// The continuation so far.
    held: String,
    /// Bytes of `held` the hypotheses were tested with.
    tested: usize,
    /// Living hypotheses, as offsets into `delivered`, ascending.
    alive: Vec<usize>,
    /// The longest remainder that was repeated in full.
    repeated: usize,
    /// How far the continuation went along with the beginning.
    restarted: usize,
    asked: Continuation,
    /// Bytes of `delivered` that the target was shown.
    shown: usize,
}

impl Seam {
    /// The seam after `delivered`, for a target that was shown this many bytes
    /// of it and was asked in this way.
    #[must_use]
    pub fn new(delivered: &str, shown: usize, asked: Continuation) -> Self {
        if delivered.is_empty() {
            return Self { state: State::Passing };
        }
        let tail = delivered.ceil_char_boundary(delivered.len().saturating_sub(TAIL));
        let mut alive: Vec<usize> =
            delivered[tail..].char_indices().map(|(at, _)| tail + at).collect();
        if tail > 0 {
            alive.insert(0, 0);
        }
        let hold = Hold {
            delivered: delivered.to_owned(),
            held: String::new(),
            tested: 0,
            alive,
            repeated: 0,
            restarted: 0,
            asked,
            shown,
        };
        Self { state: State::Holding(hold) }
    }

    /// The text to forward for this text of the continuation; `None` while it
    /// is held. What is held is never longer than what was delivered, but for
    /// the last piece.
    pub fn push(&mut self, text: &str) -> Result<Option<String>, Misfit> {
        match &mut self.state {
            State::Passing => Ok(some(text)),
            State::Holding(hold) => {
                hold.held.push_str(text);
                hold.test();
                if hold.alive.is_empty() { self.settle() } else { Ok(None) }
            }
        }
    }

    /// The continuation has ended: what is still to be forwarded.
    pub fn end(&mut self) -> Result<Option<String>, Misfit> {
        self.settle()
    }

    fn settle(&mut self) -> Result<Option<String>, Misfit> {
        match std::mem::replace(&mut self.state, State::Passing) {
            State::Passing => Ok(None),
            State::Holding(hold) => {
                let swallowed = hold.verdict()?;
                Ok(some(&hold.held[swallowed..]))
            }
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Hold {
    fn test(&mut self) {
        let delivered = self.delivered.as_bytes();
        for &byte in &self.held.as_bytes()[self.tested..] {
            let at = self.tested;
            self.alive.retain(|&start| delivered[start + at] == byte);
            self.tested += 1;
            if self.alive.first() == Some(&0) {
                self.restarted = self.tested;
            }
            if self.alive.last().is_some_and(|start| start + self.tested == delivered.len()) {
                self.repeated = self.tested;
                self.alive.pop();
            }
            if self.alive.is_empty() {
                return;
            }
        }
    }

    /// How many bytes of the held text the client already has.
    fn verdict(&self) -> Result<usize, Misfit> {
        if self.significant() {
            return Ok(self.repeated);
        }
        let half = self.restarted * 2 >= self.delivered.len() && self.restarted >= MISFIT_MIN;
        if half || self.restarted >= MISFIT {
            return Err(Misfit);
        }
        Ok(self.unseen_repeated())
    }

    /// Bytes of the continuation that say again what its target was not shown.
    fn unseen_repeated(&self) -> usize {
        let unseen = self.delivered[self.shown..].bytes();
        let same = unseen.zip(self.held.bytes()).take_while(|(ours, theirs)| ours == theirs);
        self.held.floor_char_boundary(same.count())
    }

    fn significant(&self) -> bool {
        let start = self.delivered.len() - self.repeated;
        let (before, repeated) = self.delivered.split_at(start);
        if before.is_empty() {
            return true;
        }
        let long = repeated.len() >= SURE_OVERLAP && repeated.contains(char::is_alphanumeric);
        if self.asked == Continuation::Prefill {
            return long && self.delivered.find(repeated) == Some(start);
        }
        let within_a_word =
            before.ends_with(char::is_alphanumeric) && repeated.starts_with(char::is_alphanumeric);
        let word = repeated.len() >= WORD_OVERLAP && repeated.contains(char::is_alphabetic);
        long || (!within_a_word && word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the continuation in pieces of this many characters.
    fn join(delivered: &str, continuation: &str, piece: usize) -> Result<String, Misfit> {
        let seam = Seam::new(delivered, delivered.len(), Continuation::Ask);
        feed(seam, continuation, piece)
    }

    fn feed(mut seam: Seam, continuation: &str, piece: usize) -> Result<String, Misfit> {
        let mut out = String::new();
        let characters: Vec<char> = continuation.chars().collect();
        for piece in characters.chunks(piece) {
            let piece: String = piece.iter().collect();
            out.push_str(&seam.push(&piece)?.unwrap_or_default());
        }
        out.push_str(&seam.end()?.unwrap_or_default());
        Ok(out)
    }

    #[test]
    fn continuations_of_all_kinds() {
        let check = |delivered: &str, continuation: &str, expected: Result<&str, Misfit>| {
            for piece in [1, 2, 5, 1000] {
                let seen = join(delivered, continuation, piece);
                assert_eq!(
                    seen.as_deref().map_err(|error| *error),
                    expected,
                    "{delivered:?} {piece}"
                );
            }
        };
        let text = "The quick brown fox jumps over the lazy dog.";
        // exact
        check("The quick", " brown fox", Ok(" brown fox"));
        check("The quick ", " brown fox", Ok(" brown fox"));
        check("", "all of it", Ok("all of it"));
        check("The quick", "", Ok(""));
        check("Gr", "üße", Ok("üße"));
        // a restart
        check(&text[..20], text, Ok(&text[20..]));
        check("I", "I think", Ok(" think"));
        check("Grü", "Grüße", Ok("ße"));
        check(text, text, Ok(""));
        // a repeated tail
        check(&text[..20], &text[4..], Ok(&text[20..]));
        check("see the brown", "brown fox", Ok(" fox"));
        check("nine ropes hold", " ropes hold it", Ok(" it"));
        check("nine ropes hold", " hold it", Ok(" it"));
        check("1. one\n2. two\n3. th", "3. three", Ok("ree"));
        // a coincidence
        check("one tw", "wice", Ok("wice"));
        check("the end of a ", " b", Ok(" b"));
        check("x = 0.3333", "3333", Ok("3333"));
        check("    if a:\n            ", "            b", Ok("            b"));
        check("| --- ", "--- |", Ok("--- |"));
        check("what is this", "is it", Ok("is it"));
        // another answer
        check(&text[..20], "The quick brown cat", Err(Misfit));
        check(text, &text[..40], Err(Misfit));
        check("Sure, it is", "Sure, a", Err(Misfit));
        check(&text.repeat(9), &format!("{}!", &text[..40]), Err(Misfit));
    }

    #[test]
    fn an_exact_continuation_is_not_held() {
        let mut seam = Seam::new("The quick brown", 15, Continuation::Ask);
        assert_eq!(seam.push("!"), Ok(Some("!".into())));
        assert_eq!(seam.push("The"), Ok(Some("The".into())));
    }

    #[test]
    fn a_long_restart_of_a_repetitive_text_is_quick() {
        let delivered = "ab".repeat(200_000);
        let all = format!("{delivered}!");
        assert_eq!(join(&delivered, &all, 4000), Ok("!".into()));
    }

    /// Words that differ from each other, so that nothing repeats by itself.
    fn text(words: usize) -> String {
        let words: Vec<String> = (0..words).map(|n| format!("w{}ö ", n * 7919 % 100_003)).collect();
        words.concat()
    }

    #[test]
    fn of_a_prefilled_target_only_what_is_sure_is_swallowed() {
        for (delivered, continuation, rest) in [
            ("1, 2, ha ha ha ha ", "ha ha ha ha!", "ha ha ha ha!"),
            ("one two three ", "three ", "three "),
            ("one two three four ", "two three four five", "five"),
            ("one two three ", "one two three four", "four"),
        ] {
            let mut seam = Seam::new(delivered, delivered.len(), Continuation::Prefill);
            let mut whole = String::new();
            for piece in continuation.split_inclusive(' ') {
                whole.push_str(&seam.push(piece).expect("a fit").unwrap_or_default());
            }
            whole.push_str(&seam.end().expect("a fit").unwrap_or_default());
            assert_eq!(whole, rest, "{delivered:?} + {continuation:?}");
        }
    }

    #[test]
    fn white_space_that_the_target_was_not_shown_comes_once() {
        for (delivered, continuation, rest) in [
            ("def f():\n    ", "\n    return 1", "return 1"),
            ("def f():\n", "\n    return 1", "    return 1"),
            ("def f():\n    ", "\n  return 1", "return 1"),
            ("one ", " two", "two"),
            ("one ", "two", "two"),
            ("one ", "\ntwo", "\ntwo"),
            ("one\u{3000}", "\u{3000}two", "two"),
            ("one\u{3000}", "\u{3001}two", "\u{3001}two"),
            ("one \n\n", " \n\n\n two", "\n two"),
            ("one two ", "one two three", "three"),
            ("one", " two", " two"),
        ] {
            for piece in [1, 2, 100] {
                let shown = delivered.trim_end().len();
                let seam = Seam::new(delivered, shown, Continuation::Prefill);
                let whole = feed(seam, continuation, piece);
                assert_eq!(whole, Ok(rest.to_owned()), "{delivered:?} + {continuation:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_word_once(words in 2_usize..400, cut in 0.0..1.0, back in 12_usize..600, piece in 1_usize..40) {
            let text = text(words);
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a share of a small length")]
            let cut = text.floor_char_boundary((text.len() as f64 * cut) as usize);
            let (delivered, rest) = text.split_at(cut);
            let tail = delivered.floor_char_boundary(cut.saturating_sub(back));
            for continuation in [rest, &text, &text[tail..]] {
                prop_assert_eq!(join(delivered, continuation, piece), Ok(rest.to_owned()));
            }
        }

        #[test]
        fn nothing_panics(delivered in "\\PC{0,40}", continuation in "\\PC{0,40}", piece in 1_usize..9) {
            let _ = join(&delivered, &continuation, piece);
        }
    }
}
