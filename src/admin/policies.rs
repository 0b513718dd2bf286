//! The policies that are loaded, as JSON, and the way back to the version before.

use serde_json::{Value, json};

use crate::failover::Timestamp;
use crate::gateway::Shared;
use crate::policy::{Digest, PolicyStatus, RollbackFault};

/// `GET /policies`.
pub fn list(shared: &Shared) -> Value {
    json!({ "policies": all(shared) })
}

/// Every policy and every refused file.
pub fn all(shared: &Shared) -> Vec<Value> {
    let now = shared.clock.now();
    shared.library.status().iter().map(|status| policy(status, now)).collect()
}

/// The name in `/policies/NAME/rollback`.
pub fn to_roll_back(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/policies/")?.strip_suffix("/rollback")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// `POST /policies/NAME/rollback`: status and document.
pub fn roll_back(shared: &Shared, name: &str) -> (u16, Value) {
    match shared.library.rollback(name) {
        Ok(rolled) => {
            let to_built_in = rolled.to_built_in;
            let (from, to) = (rolled.from.to_string(), rolled.to.to_string());
            (200, json!({ "policy": name, "from": from, "to": to, "to_built_in": to_built_in }))
        }
        Err(fault) => {
            let status = match fault {
                RollbackFault::NoSuchPolicy { .. } => 404,
                RollbackFault::NothingBefore { .. } | RollbackFault::Pinned { .. } => 409,
            };
            (status, json!({ "error": fault.to_string() }))
        }
    }
}

fn policy(policy: &PolicyStatus, now: Timestamp) -> Value {
    let ago_ms = |at: Timestamp| now.since(at).as_millis();
    let hex = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    json!({
        "name": policy.name,
        "file": policy.file,
        "digest": hex(policy.digest),
        "previous": hex(policy.previous),
        "rolled_back_from": hex(policy.rolled_back_from),
        "pin": hex(policy.pin),
        "contract": policy.contract,
        "state": policy.state.label(),
        "deleted": policy.deleted,
        "faults": policy.faults,
        "not_asked": policy.not_asked,
        "last_fault": policy.last_fault.as_ref().map(|fault| json!({
            "reason": fault.reason,
            "ago_ms": ago_ms(fault.at),
        })),
        "last_refusal": policy.last_refusal.as_ref().map(|refusal| json!({
            "reason": refusal.reason,
            "digest": hex(refusal.digest),
            "by_pin": refusal.by_pin,
            "ago_ms": ago_ms(refusal.at),
            "again_in_ms": refusal.retry.map(|retry| retry.at.since(now).as_millis()),
        })),
        "compiling": policy.compiling.map(|it| json!({
            "digest": it.digest.to_string(),
            "for_ms": ago_ms(it.since),
        })),
        "quick": policy.quick,
        "compile_ms": policy.compile_time.map(|length| length.as_millis()),
        "loaded_ago_ms": policy.loaded_at.map(ago_ms),
    })
}
