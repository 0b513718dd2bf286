//! What the smaller endpoints answer, the same in every dialect: embeddings and
//! the names of models. Pure.

use std::borrow::Cow;

use super::answer::{fnv1a, mix};
use super::grammar::FAULTS;

pub(super) const DEFAULT_DIMENSIONS: u16 = 8;

/// What is to be embedded.
#[derive(Clone, Debug)]
pub(super) struct Vectors<'a> {
    /// Each as JSON: the same text has the same vector in every dialect.
    pub inputs: Vec<Cow<'a, str>>,
    pub dimensions: u16,
    pub form: Form,
}

/// How vectors are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `OpenAI`'s list, as numbers or as base64.
    List { base64: bool },
    /// Gemini's single one, or its list.
    Gemini { batch: bool },
}

/// Numbers from -1 to 1 that depend on the input alone.
pub(super) fn embedding(input: &str, dimensions: u16) -> Vec<f32> {
    let seed = fnv1a(input.as_bytes());
    let value = |place: u16| {
        let bits = u16::try_from(mix(seed, u64::from(place)) >> 48).expect("16 bits are left");
        f32::from(bits) / f32::from(u16::MAX) * 2.0 - 1.0
    };
    (0..dimensions).map(value).collect()
}

/// The models that a provider lists: its own, and one for each fault.
pub(super) fn model_names(provider: &str) -> impl Iterator<Item = String> {
    let faults = FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when:") && !effect.starts_with("setting:"));
    std::iter::once(format!("{provider}-model"))
        .chain(faults.map(|(name, ..)| format!("fault-{}", name.split(' ').next().unwrap_or(name))))
}
