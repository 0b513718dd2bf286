//! What is known of models by their names: sizes, prices, features, abilities,
//! and which can stand in for which. Owns `catalog.toml` and how a name is
//! looked up in it; must not know providers' settings or a request.
//!
//! Catalogs lag: a model that is not there is judged by its name and dialect
//! (`guess`), so that a new one works the day it appears.

mod guess;
mod name;
mod read;

use std::sync::LazyLock;

use super::Dialect;
use super::target::Abilities;
use crate::failover::call::Features;

/// A model, or several with nothing between them.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The model's own name.
    pub name: String,
    /// Its other names; one that ends in `*` stands for all that begin so.
    pub also: Vec<String>,
    /// Its name at the providers that are set up without a configuration.
    pub at: Vec<(String, String)>,
    /// Models of one tier can stand in for each other.
    pub tier: Option<Tier>,
    /// Tokens of input.
    pub context_window: Option<u32>,
    /// Tokens of output.
    pub output_limit: Option<u32>,
    /// US dollars per million tokens.
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
    /// With prefill where `abilities` say so.
    pub offers: Features,
    pub abilities: Abilities,
}

impl Entry {
    /// The model's name at a provider, if it is known to be there.
    #[must_use]
    pub fn name_at(&self, provider: &str) -> Option<&str> {
        self.at.iter().find(|(at, _)| at == provider).map(|(_, name)| name.as_str())
    }
}

/// How much is asked of a model, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Frontier,
    Balanced,
    Small,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Frontier, Self::Balanced, Self::Small];
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    read::entries(include_str!("catalog.toml")).expect("a test reads the catalog")
});

/// Every entry, in the catalog's order.
#[must_use]
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// What is known of a model. A provider in front of its name and a date behind
/// it are looked through; the longest name that fits wins.
#[must_use]
pub fn find(model: &str) -> Option<&'static Entry> {
    name::spellings(model).iter().find_map(|spelling| longest(spelling))
}

/// What a model can do, from the catalog or by its name.
#[must_use]
pub fn abilities(dialect: Dialect, model: &str) -> Abilities {
    let known = find(model).map(|entry| entry.abilities.clone());
    known.unwrap_or_else(|| guess::abilities(dialect, model))
}

/// What a model offers, from the catalog; of an unknown one all is believed but
/// prefill, which its abilities must say.
#[must_use]
pub fn offers(dialect: Dialect, model: &str) -> Features {
    let unknown = || {
        let prefill = guess::abilities(dialect, model).prefill;
        Features::ALL.without(Features::PREFILL).with(Features::PREFILL, prefill)
    };
    find(model).map_or_else(unknown, |entry| entry.offers)
}

fn longest(spelling: &str) -> Option<&'static Entry> {
    let fit = |entry: &'static Entry| {
        let names = entry.also.iter().chain([&entry.name]);
        names.filter_map(|name| fits(name, spelling)).max().map(|length| (length, entry))
    };
    ENTRIES.iter().filter_map(fit).max_by_key(|(length, _)| *length).map(|(_, entry)| entry)
}

/// How much of the spelling a name in the catalog accounts for: an exact one
/// for more than any that only begins so.
fn fits(pattern: &str, spelling: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(start) => spelling.starts_with(start).then_some(start.len()),
        None => (pattern == spelling).then_some(pattern.len() + 1),
    }
}

#[cfg(test)]
mod tests;
