//! The targets of all generations and what is known of each. A reload finds
//! here what was measured before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::config;
use crate::failover::{Credential, Target, TargetRules};

/// What makes a target the same target after a reload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct TargetKey {
    credential: CredentialKey,
    model: String,
}

/// Targets that share a key share its fate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct CredentialKey {
    provider: String,
    base_url: String,
    /// A digest, so that the key itself is nowhere else.
    secret: [u8; 32],
}

#[derive(Debug, Default)]
struct Known {
    credentials: BTreeMap<CredentialKey, Arc<Credential>>,
    targets: BTreeMap<TargetKey, Arc<Target>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Targets(Mutex<Known>);

impl Targets {
    /// The state of a target, found or made; its rules are those given now.
    pub fn state_of(
        &self,
        provider: &config::Provider,
        model: &str,
        rules: &TargetRules,
        seed: u64,
    ) -> Arc<Target> {
        let secret = provider.api_key.as_ref().map_or("", |key| key.expose());
        let credential_key = CredentialKey {
            provider: provider.name.clone(),
            base_url: provider.base_url().to_owned(),
            secret: Sha256::digest(secret).into(),
        };
        let key = TargetKey { credential: credential_key.clone(), model: model.to_owned() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let credential = Arc::clone(known.credentials.entry(credential_key).or_default());
        let target = known
            .targets
            .entry(key)
            .or_insert_with(|| Arc::new(Target::new(rules.clone(), credential, seed)));
        target.set_rules(rules.clone());
        Arc::clone(target)
    }

    /// Forgets the targets that only this registry still knows.
    pub fn forget_unused(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.targets.retain(|_, target| Arc::strong_count(target) > 1);
        known.credentials.retain(|_, credential| Arc::strong_count(credential) > 1);
    }
}
