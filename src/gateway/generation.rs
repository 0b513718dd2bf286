//! One immutable configuration, made ready to serve: routes with their targets
//! and endpoints, and the keys of clients. A call takes the current generation
//! once and keeps it to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::shadow::{ShadowRecord, Shadows};
use super::targets::Targets;
use super::trial::{Trial, Trials};
use crate::config::{self, Config};
use crate::dialect::hub::Strictness;
use crate::dialect::{Abilities, catalog};
use crate::failover::consult::Edit;
use crate::failover::{Candidate, Features, Route};
use crate::journal::Journal;
use crate::upstream::{Endpoint, EndpointError};

/// See the module.
#[derive(Debug)]
pub struct Generation {
    /// Counts the configurations since the start.
    pub number: u64,
    pub config: Arc<Config>,
    pub routes: BTreeMap<String, Arc<LiveRoute>>,
    pub clients: ClientKeys,
    /// Where decisions are recorded.
    pub journal: Option<Arc<Journal>>,
}

/// What lives longer than a generation, and is found again by the next.
#[derive(Clone, Copy, Debug)]
pub struct Lasting<'a> {
    pub targets: &'a Targets,
    pub shadows: &'a Shadows,
    pub trials: &'a Trials,
}

/// A route as calls use it.
#[derive(Debug)]
pub struct LiveRoute {
    pub name: Arc<str>,
    /// The name of the policy that decides.
    pub policy: String,
    pub shadow: Option<Arc<ShadowRecord>>,
    /// Of its canary.
    pub trial: Option<Arc<Trial>>,
    /// The policy's settings, as JSON.
    pub settings: Arc<str>,
    pub rules: Arc<Route>,
    pub strictness: Strictness,
    /// By candidate.
    pub targets: Vec<LiveTarget>,
}

/// A target as calls use it.
#[derive(Debug)]
pub struct LiveTarget {
    pub endpoint: Arc<Endpoint>,
    pub abilities: Arc<Abilities>,
    /// The template of its system prompt.
    pub system: Option<Arc<str>>,
    /// What is set or removed in its requests.
    pub parameters: Arc<[Edit]>,
}

impl Generation {
    /// Prepares a configuration. Providers share their endpoints.
    pub fn build(
        number: u64,
        config: Arc<Config>,
        lasting: Lasting<'_>,
        journal: Option<Arc<Journal>>,
        seed: u64,
    ) -> Result<Self, SetupError> {
        let mut endpoints = BTreeMap::new();
        for (name, provider) in &config.providers {
            let endpoint = endpoint(provider)
                .map_err(|source| SetupError { provider: name.clone(), source })?;
            endpoints.insert(name.clone(), endpoint);
        }
        let routes = config
            .routes
            .iter()
            .map(|(name, route)| (name.clone(), Arc::new(live(route, &endpoints, lasting, seed))))
            .collect();
        let clients = ClientKeys::new(&config.clients);
        Ok(Self { number, config, routes, clients, journal })
    }

    /// The route for the model that a client asks for.
    #[must_use]
    pub fn route(&self, model: &str) -> Option<&Arc<LiveRoute>> {
        self.routes.get(model).or_else(|| {
            let known = catalog::find(model).filter(|_| self.config.names_by_catalog)?;
            self.routes.get(&known.name)
        })
    }

    /// Whether a route names this policy.
    #[must_use]
    pub fn names_policy(&self, name: &str) -> bool {
        let named = self.config.routes.values().flat_map(|route| route.policies());
        named.into_iter().any(|(_, policy)| policy == name)
    }
}

fn endpoint(provider: &config::Provider) -> Result<Endpoint, EndpointError> {
    Endpoint::new(
        provider.site.clone(),
        provider.quirks,
        provider.api_key.as_ref(),
        &provider.headers,
        provider.connect_timeout,
    )
}

fn live(
    route: &config::Route,
    endpoints: &BTreeMap<String, Endpoint>,
    lasting: Lasting<'_>,
    seed: u64,
) -> LiveRoute {
    let candidates = route.targets.iter().zip(0..).map(|(target, n)| Candidate {
        facts: Arc::clone(&target.facts),
        target: lasting.targets.state_of(
            &target.provider,
            &target.facts.model,
            &target.rules,
            seed.wrapping_add(n),
        ),
    });
    let rules = Route {
        name: route.name.clone(),
        rules: route.rules.clone(),
        candidates: candidates.collect(),
    };
    let live = route.targets.iter().filter_map(|target| {
        let endpoint = endpoints.get(&target.provider.name)?;
        Some(LiveTarget {
            endpoint: Arc::new(endpoint.of_model(&target.facts.model)),
            abilities: abilities(target),
            system: target.system.clone(),
            parameters: Arc::clone(&target.parameters),
        })
    });
    let trial = route.canary.as_ref();
    LiveRoute {
        name: route.name.as_str().into(),
        policy: route.policy.clone(),
        shadow: route.shadow.as_ref().map(|name| lasting.shadows.record(&route.name, name)),
        trial: trial.map(|canary| lasting.trials.of(route, canary)),
        settings: route.settings.as_str().into(),
        rules: Arc::new(rules),
        strictness: route.strictness,
        targets: live.collect(),
    }
}

/// The catalog's word, but for what the operator says of prefill.
fn abilities(target: &config::Target) -> Arc<Abilities> {
    let prefill = target.facts.offers.contains(Features::PREFILL);
    if target.abilities.prefill == prefill {
        return Arc::clone(&target.abilities);
    }
    Arc::new(Abilities { prefill, ..(*target.abilities).clone() })
}

/// A configuration that reads well but cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("provider {provider:?}: {source}")]
pub struct SetupError {
    pub provider: String,
    pub source: EndpointError,
}

/// The keys that clients may present, as digests.
#[derive(Debug)]
pub struct ClientKeys(Vec<(String, [u8; 32])>);

/// Whether a request may come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admitted {
    /// No keys are configured: everyone may.
    Anyone,
    /// The client with this name.
    Client(String),
    No,
}

impl ClientKeys {
    fn new(clients: &[config::Client]) -> Self {
        let digest = |c: &config::Client| (c.name.clone(), Sha256::digest(c.key.expose()).into());
        Self(clients.iter().map(digest).collect())
    }

    /// Compares the key with every client's, in a time that tells nothing.
    #[must_use]
    pub fn admit(&self, presented: Option<&[u8]>) -> Admitted {
        if self.0.is_empty() {
            return Admitted::Anyone;
        }
        let presented: [u8; 32] = Sha256::digest(presented.unwrap_or_default()).into();
        let mut found = None;
        for (name, digest) in &self.0 {
            if bool::from(digest.ct_eq(&presented)) {
                found = Some(name);
            }
        }
        found.map_or(Admitted::No, |name| Admitted::Client(name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn keys_admit_their_clients_only() {
        let client =
            |name: &str, key: &str| config::Client { name: name.to_owned(), key: Secret::new(key) };
        let keys = ClientKeys::new(&[client("shop", "k1"), client("blog", "k2")]);
        for (presented, expected) in [
            (Some("k1"), Admitted::Client("shop".to_owned())),
            (Some("k2"), Admitted::Client("blog".to_owned())),
            (Some("k"), Admitted::No),
            (Some("k1 "), Admitted::No),
            (None, Admitted::No),
        ] {
            assert_eq!(keys.admit(presented.map(str::as_bytes)), expected, "{presented:?}");
        }
        assert_eq!(ClientKeys::new(&[]).admit(None), Admitted::Anyone);
    }
}
