//! Every reader of the wire formats, fed with damaged input: none panics, and
//! none holds more than four times the input in memory, and 64 KiB besides.
//!
//! A test binary of its own because it counts allocations, with a global
//! allocator; see [`memory`]. The inputs are the golden files of the dialects
//! and the files in `seeds/`, damaged with numbers that are the same in every
//! run. `FUZZ_ROUNDS` says how many inputs are made for each dialect (a few
//! hundred if it is not set, for half a minute in all), `FUZZ_SEED` where to
//! begin: `FUZZ_ROUNDS=1000000 FUZZ_SEED=2 cargo test --test readers` is a long
//! search. An input that fails is made smaller and written to a temporary file.

mod corpus;
mod damage;
mod feed;
mod memory;
mod random;
mod round_trip;
mod trial;

use std::collections::HashSet;
use std::ops::Range;

use backstay::dialect::Dialect;

use corpus::corpus;
use damage::{Place, bulks, damaged, places, repeated, replaced, texts};
use feed::Depth;
use random::Random;
use trial::Trials;

const ROUNDS: u64 = 1000;
const FILLS: u64 = 20;

/// Large enough that 64 KiB do not hide what grows.
const BULK: usize = 96 << 10;

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run itself")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// How many rounds there are, and where to begin.
fn settings(rounds: u64) -> (u64, u64) {
    (setting("FUZZ_ROUNDS").unwrap_or(rounds), setting("FUZZ_SEED").unwrap_or(0))
}

/// Inputs with some damage.
fn search(dialect: Dialect) {
    let (rounds, first) = settings(ROUNDS);
    let corpus = corpus();
    let all: Vec<&[u8]> = corpus.iter().map(|seed| &*seed.bytes).collect();
    let own = corpus.iter().filter(|seed| seed.dialect == dialect);
    let own: Vec<&[u8]> = own.map(|seed| &*seed.bytes).collect();
    let mut trials = Trials::new(dialect, Depth::Write);
    for round in 0..rounds {
        let mut random = Random::new(first.wrapping_mul(1 << 32) + round);
        let from = if random.percent(90) { &own } else { &all };
        let seed = *random.pick(from);
        trials.one(&damaged(seed, &all, &mut random), round);
    }
    trials.end();
}

/// Inputs of many small things, where a list was and in some other places. What
/// is small as text and large in memory is found here.
fn fill(dialect: Dialect) {
    let (rounds, first) = settings(FILLS);
    let seeds: Vec<_> = corpus().into_iter().filter(|seed| seed.dialect == dialect).collect();
    let mut trials = Trials::new(dialect, Depth::Read);
    let mut known = HashSet::new();
    for seed in &seeds {
        for text in texts(&seed.bytes) {
            long_lists(&seed.bytes, &text, &mut known, &mut trials);
        }
    }
    let bulks = bulks(BULK);
    for round in 0..rounds {
        let mut random = Random::new(first.wrapping_mul(1 << 32) + round);
        let input = &random.pick(&seeds).bytes;
        let places = places(input, random.pick(&texts(input)));
        let bulk: &Vec<u8> = random.pick(&bulks);
        trials.one(&replaced(input, random.pick(&places).item.value.clone(), bulk), round);
    }
    trials.end();
}

/// Every list of the text made long: of its own elements, and of empty objects.
/// Lists and elements that begin like known ones are most likely read alike.
fn long_lists(
    input: &[u8],
    text: &Range<usize>,
    known: &mut HashSet<Vec<u8>>,
    trials: &mut Trials,
) {
    for Place { item, .. } in places(input, text) {
        let value = &input[item.value.clone()];
        let Some(key) = item.key.clone().map(|key| &input[key]) else {
            if known.insert(value[..value.len().min(24)].to_vec()) {
                let times = BULK / (value.len() + 1);
                trials.one(&repeated(input, &item, times), 0);
            }
            continue;
        };
        if value.starts_with(b"[") && known.insert(key.to_vec()) {
            let objects = format!("[{}{{}}]", "{},".repeat(BULK / 3));
            trials.one(&replaced(input, item.value, objects.as_bytes()), 0);
        }
    }
}

#[test]
fn damaged_inputs_of_chat_completions() {
    search(Dialect::OpenAi);
}

#[test]
fn damaged_inputs_of_responses() {
    search(Dialect::Responses);
}

#[test]
fn damaged_inputs_of_anthropic() {
    search(Dialect::Anthropic);
}

#[test]
fn damaged_inputs_of_gemini() {
    search(Dialect::Gemini);
}

#[test]
fn many_small_things_of_chat_completions() {
    fill(Dialect::OpenAi);
}

#[test]
fn many_small_things_of_responses() {
    fill(Dialect::Responses);
}

#[test]
fn many_small_things_of_anthropic() {
    fill(Dialect::Anthropic);
}

#[test]
fn many_small_things_of_gemini() {
    fill(Dialect::Gemini);
}
