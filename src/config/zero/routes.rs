//! Which models can be asked for, and where such calls go: first to the model
//! itself, wherever it is served, then to its equals at other providers.

use std::collections::BTreeSet;

use super::found::{Found, FoundProvider, OLLAMA};
use crate::dialect::catalog::{self, Entry, Tier};

/// More would mostly wait for their turn.
const MOST_TARGETS: usize = 4;

/// A route, with all names it can be asked for by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetRoute {
    /// The model's own name first, then those its providers have for it.
    pub names: Vec<String>,
    /// In the order in which they are tried.
    pub targets: Vec<SetTarget>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetTarget {
    pub provider: &'static str,
    pub model: String,
}

/// `auto`, one route per model of the catalog that is served, and one per model
/// that is not in it.
pub(super) fn routes(found: &Found) -> Vec<SetRoute> {
    let providers = &found.providers;
    let mut routes = Vec::new();
    let mut taken = BTreeSet::new();
    let mut add = |names: Vec<String>, targets: Vec<SetTarget>| {
        let names: Vec<_> = names.into_iter().filter(|name| taken.insert(name.clone())).collect();
        if !names.is_empty() && !targets.is_empty() {
            routes.push(SetRoute { names, targets });
        }
    };
    add(vec!["auto".to_owned()], providers.iter().filter_map(best_of).collect());
    for entry in catalog::entries() {
        let hosts: Vec<_> = providers.iter().filter_map(|one| at(one, entry)).collect();
        if !hosts.is_empty() {
            add(names(entry, &hosts), with_equals(hosts, entry, providers));
        }
    }
    for provider in providers {
        for model in &provider.models {
            add(vec![model.clone()], of_own(provider, model, providers));
        }
    }
    routes
}

/// The targets of a model that a provider has under a name of its own. What is
/// asked of a local model stays on the machine.
fn of_own(provider: &FoundProvider, model: &str, providers: &[FoundProvider]) -> Vec<SetTarget> {
    let own = target(provider, model);
    match catalog::find(model).filter(|_| provider.known.name != OLLAMA) {
        None => vec![own],
        Some(entry) => with_equals(vec![own], entry, providers),
    }
}

/// The entry's name, then what its hosts call it; a local model's own name is
/// another route.
fn names(entry: &Entry, hosts: &[SetTarget]) -> Vec<String> {
    let hosted = hosts.iter().filter(|host| entry.name_at(host.provider).is_some());
    [entry.name.clone()].into_iter().chain(hosted.map(|host| host.model.clone())).collect()
}

/// The hosts of a model, and after them the first of its equals at each
/// provider that is not one of them.
fn with_equals(
    mut targets: Vec<SetTarget>,
    entry: &Entry,
    providers: &[FoundProvider],
) -> Vec<SetTarget> {
    let hosts: BTreeSet<_> = targets.iter().map(|target| target.provider).collect();
    let others = providers.iter().filter(|one| !hosts.contains(one.known.name));
    if let Some(tier) = entry.tier {
        targets.extend(others.filter_map(|provider| first_of(provider, tier)));
    }
    targets.truncate(MOST_TARGETS);
    targets
}

/// The best that a provider has.
fn best_of(provider: &FoundProvider) -> Option<SetTarget> {
    let tiers = Tier::ALL.into_iter().find_map(|tier| first_of(provider, tier));
    tiers.or_else(|| provider.models.first().map(|model| target(provider, model)))
}

fn first_of(provider: &FoundProvider, tier: Tier) -> Option<SetTarget> {
    let mut equals = catalog::entries().iter().filter(|entry| entry.tier == Some(tier));
    equals.find_map(|entry| at(provider, entry))
}

/// A model at a provider.
fn at(provider: &FoundProvider, entry: &Entry) -> Option<SetTarget> {
    let is_it =
        |model: &&String| catalog::find(model).is_some_and(|known| known.name == entry.name);
    let name = entry.name_at(provider.known.name);
    let name = name.or_else(|| provider.models.iter().find(is_it).map(String::as_str));
    name.map(|model| target(provider, model))
}

fn target(provider: &FoundProvider, model: &str) -> SetTarget {
    SetTarget { provider: provider.known.name, model: model.to_owned() }
}
