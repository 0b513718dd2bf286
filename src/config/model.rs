//! The configuration as meant: every default filled in, every name resolved,
//! every secret read. What is here needs no further checking.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Problem;
use crate::dialect::hub::Strictness;
use crate::dialect::{Abilities, Quirks, Site};
use crate::failover::call::TargetFacts;
use crate::failover::canary::Margins;
use crate::failover::consult::Edit;
use crate::failover::rules::{CallRules, TargetRules};
use crate::secret::Secret;

/// A whole configuration. Immutable; a reload makes another.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    /// `None`: switched off by `listen = "off"`.
    pub admin: Option<Admin>,
    pub policies: Policies,
    /// `None`: decisions are not recorded.
    pub journal: Option<Journal>,
    /// By name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// By the model name that clients ask for. Never empty.
    pub routes: BTreeMap<String, Arc<Route>>,
    /// Empty: calls need no key, and only this machine can make them.
    pub clients: Vec<Client>,
    /// A model without a route is looked for under the name the catalog has for
    /// it: dates and prefixes are looked through. So without a file only.
    pub names_by_catalog: bool,
    /// What is used as written but looks wrong.
    pub warnings: Vec<Problem>,
    /// The file this was read from.
    pub source: PathBuf,
    /// SHA-256 of the file's text in lower-case hex. Says nothing of secrets.
    pub digest: String,
    /// SHA-256 of the text and every secret: whether a reload changes anything.
    pub(super) inputs: [u8; 32],
}

/// `[server]`: the listener for clients, and its limits.
#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// `IP:PORT` or `HOST:PORT`.
    pub listen: String,
    /// How long calls in flight may take after the signal to stop.
    pub drain_timeout: Duration,
    /// Bytes of a request body; a longer one is refused.
    pub max_body: usize,
    /// Calls at a time; one more is answered 503 with Retry-After.
    pub max_concurrent_calls: u32,
    /// For the whole head of a request.
    pub header_timeout: Duration,
    /// Between two reads of a request body.
    pub body_timeout: Duration,
    /// For the next request on a kept connection.
    pub idle_timeout: Duration,
    /// A client that takes nothing for this long is gone.
    pub write_timeout: Duration,
    /// Bytes of a stream buffered for a slow client before its provider waits.
    pub stream_buffer: usize,
    /// Request headers (lower case) that policies see as labels.
    pub expose_headers: Vec<String>,
}

/// `[admin]`: the listener for operators.
#[derive(Clone, Debug)]
pub struct Admin {
    /// `IP:PORT` or `HOST:PORT`.
    pub listen: String,
    /// Always set if others than this machine can reach the listener.
    pub token: Option<Secret>,
    /// How many decision traces are kept; the oldest is dropped.
    pub traces: usize,
}

/// `[policies]`: where policies are and what one call of a policy may use.
#[derive(Clone, PartialEq, Debug)]
pub struct Policies {
    /// Relative to the process, not to the file.
    pub directory: PathBuf,
    pub limits: PolicyLimits,
    pub cache: Cache,
    /// By name, the SHA-256 of the only file that may decide under it.
    pub pins: BTreeMap<String, [u8; 32]>,
}

/// Where compiled policies are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Cache {
    /// In the user's own directory for such things; see `cli::cache`.
    #[default]
    Usual,
    Off,
    At(PathBuf),
}

/// What one call of a policy may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyLimits {
    pub time: Duration,
    /// Bytes over all linear memories.
    pub memory: usize,
    /// Bytes of the WebAssembly stack.
    pub stack: usize,
    /// Core instances.
    pub instances: u32,
    pub tables: u32,
    /// Bytes the host allocates for lists and strings a policy answers with.
    pub allocation: usize,
    /// Log lines; the rest are counted.
    pub log_lines: u32,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(20),
            memory: 16 * 1024 * 1024,
            stack: 512 * 1024,
            instances: 64,
            tables: 16,
            allocation: 1024 * 1024,
            log_lines: 64,
        }
    }
}

/// `[journal]`: where decisions are recorded, and how much of them is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    pub directory: PathBuf,
    /// Bytes of a file, and of all files.
    pub max_file: u64,
    pub max_total: u64,
}

/// `[providers.NAME]`: where a provider is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: String,
    /// Its dialect and its URLs; http or https.
    pub site: Site,
    /// How it deviates from its dialect, as written or as known of its host.
    pub quirks: Quirks,
    pub api_key: Option<Secret>,
    pub connect_timeout: Duration,
    /// Sent with every request: names in lower case, values that may be keys.
    pub headers: Vec<(String, Secret)>,
}

impl Provider {
    /// http or https, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.site.base_url
    }
}

/// `[routes."MODEL"]`: what a model name leads to.
#[derive(Clone, Debug)]
pub struct Route {
    /// The model name that clients ask for.
    pub name: String,
    /// The policy's name; whether it exists, the policy library knows.
    pub policy: String,
    /// A policy that is asked the same, without effect.
    pub shadow: Option<String>,
    pub canary: Option<Canary>,
    pub rules: CallRules,
    /// What is done about parts of a request that a target cannot express.
    pub strictness: Strictness,
    /// The `policy_settings` table as JSON; `{}` if there is none.
    pub settings: String,
    /// In the order of the file. Never empty.
    pub targets: Vec<Target>,
}

impl Route {
    /// The policies it names, with the settings that do.
    pub fn policies(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let shadow = self.shadow.iter().map(|name| ("shadow", name.as_str()));
        let canary = self.canary.iter().map(|canary| ("canary", canary.policy.as_str()));
        std::iter::once(("policy", self.policy.as_str())).chain(shadow).chain(canary)
    }
}

/// `canary` of a route: a policy that decides a share of its calls, until it
/// does worse than it may.
#[derive(Clone, PartialEq, Debug)]
pub struct Canary {
    pub policy: String,
    /// Of the calls, by their ids.
    pub share: f64,
    pub margins: Margins,
}

/// One target of a route.
#[derive(Clone, Debug)]
pub struct Target {
    pub facts: Arc<TargetFacts>,
    pub provider: Arc<Provider>,
    /// The same in every route that names the target.
    pub rules: TargetRules,
    /// What the model can do, from the catalog or by its name.
    pub abilities: Arc<Abilities>,
    /// A template for the system prompt; `{{system}}` in it is the client's own.
    /// Without that, it replaces the client's.
    pub system: Option<Arc<str>>,
    /// Changes to the request as the target's dialect writes it, one after the
    /// other. A value on the way to one that is set may be missing.
    pub parameters: Arc<[Edit]>,
}

/// `[clients.NAME]`: who may call.
#[derive(Clone, Debug)]
pub struct Client {
    pub name: String,
    pub key: Secret,
}
