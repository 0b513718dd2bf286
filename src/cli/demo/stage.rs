//! What the demo plays on: three fake providers, and the gateway as `serve`
//! would run it, with a configuration file and a directory of policies that are
//! changed while it runs. Performs what the script says; decides nothing.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::script::{Act, HEALTHY, POLICY, Provider, ROUTE, Version};
use crate::cli::{environment, serve};
use crate::config;
use crate::fake::{Behaviour, Counts, Options, Server};
use crate::gateway::{self, Drained, Shared};
use crate::policy::{PolicyState, PolicyStatus};
use crate::{admin, tls};

/// Components that the build script made of `policies/examples`.
const PREFER: &[u8] = include_bytes!(env!("BACKSTAY_PREFER_POLICY"));
const CARELESS: &[u8] = include_bytes!(env!("BACKSTAY_CARELESS_POLICY"));

/// See the module. Dropped, everything ends and the files are gone.
#[derive(Debug)]
pub struct Stage {
    providers: [Server; 3],
    healthy: Behaviour,
    pub shared: Arc<Shared>,
    pub files: Files,
    pub ports: Ports,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Drained>,
    watch: config::Watch,
}

/// Where the demo's files are.
#[derive(Debug)]
pub struct Files {
    directory: TempDir,
}

/// Where things listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub gateway: u16,
    pub admin: u16,
    pub providers: [u16; 3],
}

/// How things are at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Sight {
    pub providers: [ProviderSight; 3],
    pub policy: PolicySight,
    /// The policy that the route names.
    pub decider: String,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ProviderSight {
    pub circuit: &'static str,
    /// Failed share of the attempts of the last seconds.
    pub error_rate: f32,
    pub cooldown: Duration,
}

/// The demo's own policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySight {
    pub state: Option<PolicyState>,
    /// Of the version in force.
    pub digest: Option<String>,
    /// Why the file's latest content is not in force.
    pub refusal: Option<String>,
    pub last_fault: Option<String>,
    pub faults: u64,
}

impl Stage {
    /// Starts everything on free ports of this machine.
    pub async fn set_up() -> Result<Self, String> {
        tls::install_provider();
        let healthy = Behaviour::parse(HEALTHY).map_err(|e| e.to_string())?;
        let start = |provider: Provider| start_provider(provider, &healthy);
        let providers = [start(Provider::Alpha)?, start(Provider::Beta)?, start(Provider::Gamma)?];
        let (listener, gateway_port) = listen().await?;
        let (admin_listener, admin_port) = listen().await?;
        let ports = Ports {
            gateway: gateway_port,
            admin: admin_port,
            providers: [0, 1, 2].map(|n: usize| providers[n].addr().port()),
        };
        let files = Files::create(&ports).map_err(|e| format!("cannot write files: {e}"))?;
        let config = config::load(&files.configuration(), &environment)
            .map_err(|problems| problems.to_string())?;
        let shared = serve::start(config)?;
        let watch = serve::watch_config(&shared)
            .map_err(|e| format!("cannot watch the configuration: {e}"))?;
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(admin::serve(Arc::clone(&shared), admin_listener, stopping.clone()));
        let serving = tokio::spawn(gateway::serve(Arc::clone(&shared), listener, stopping));
        Ok(Self { providers, healthy, shared, files, ports, stop, serving, watch })
    }

    pub fn perform(&self, act: Act) -> Result<(), String> {
        match act {
            Act::Behave(provider, spec) => {
                let behaviour = self.healthy.with(spec).map_err(|e| e.to_string())?;
                let set = self.providers[provider.index()].set(behaviour);
                set.map_err(|e| format!("{}: {e}", provider.name()))
            }
            Act::Install(version) => {
                self.files.install(version).map_err(|e| format!("cannot write the policy: {e}"))
            }
            Act::Decide(policy) => self
                .files
                .configure(&self.ports, policy)
                .map_err(|e| format!("cannot write the configuration: {e}")),
        }
    }

    pub fn look(&self) -> Sight {
        let now = self.shared.clock.now();
        let generation = self.shared.generation();
        let route = generation.routes.get(ROUTE);
        let providers = Provider::ALL.map(|provider| {
            let candidate = route.and_then(|route| route.rules.candidates.get(provider.index()));
            candidate.map_or(ProviderSight::UNKNOWN, |candidate| {
                let health = candidate.target.snapshot(now);
                ProviderSight {
                    circuit: health.circuit.label(),
                    error_rate: health.error_rate,
                    cooldown: health.cooldown,
                }
            })
        });
        let statuses = self.shared.library.status();
        let policy = statuses.into_iter().find(|status| status.name == POLICY);
        Sight {
            providers,
            policy: PolicySight::of(policy),
            decider: route.map(|route| route.policy.clone()).unwrap_or_default(),
        }
    }

    /// What a provider counted itself.
    pub fn counts(&self, provider: Provider) -> Counts {
        self.providers[provider.index()].counts()
    }

    /// The base URL of alpha itself.
    pub fn alpha_url(&self) -> String {
        self.providers[Provider::Alpha.index()].base_url()
    }

    /// Lets the gateway drain, and ends everything.
    pub async fn tear_down(self) {
        drop(self.watch);
        // Nobody to tell: then it has ended already.
        let _ = self.stop.send(true);
        let _drained = self.serving.await;
        for provider in self.providers {
            provider.shutdown().await;
        }
    }
}

impl Ports {
    /// What SDKs are given as their base URL.
    pub fn gateway_url(self) -> String {
        format!("http://127.0.0.1:{}/v1", self.gateway)
    }

    pub fn admin_url(self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }
}

impl ProviderSight {
    const UNKNOWN: Self = Self { circuit: "unknown", error_rate: 0.0, cooldown: Duration::ZERO };
}

impl PolicySight {
    fn of(status: Option<PolicyStatus>) -> Self {
        let Some(status) = status else {
            return Self { state: None, digest: None, refusal: None, last_fault: None, faults: 0 };
        };
        Self {
            state: Some(status.state),
            digest: status.digest.map(|digest| digest.short()),
            refusal: status.last_refusal.map(|refusal| refusal.reason),
            last_fault: status.last_fault.map(|fault| fault.reason),
            faults: status.faults,
        }
    }
}

fn start_provider(provider: Provider, healthy: &Behaviour) -> Result<Server, String> {
    let options = Options {
        name: provider.name().to_owned(),
        behaviour: healthy.clone(),
        // Another seed each, or they would fail the same calls.
        seed: provider.index() as u64,
        log_limit: 0,
        ..Options::default()
    };
    Server::start(options).map_err(|e| format!("cannot start provider {}: {e}", provider.name()))
}

async fn listen() -> Result<(TcpListener, u16), String> {
    let complain = |e: io::Error| format!("cannot listen on 127.0.0.1: {e}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(complain)?;
    let port = listener.local_addr().map_err(complain)?.port();
    Ok((listener, port))
}

impl Files {
    fn create(ports: &Ports) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("backstay-demo-").tempdir()?;
        let files = Self { directory };
        fs::create_dir(files.policies())?;
        files.configure(ports, POLICY)?;
        Ok(files)
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("backstay.toml")
    }

    pub fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    fn policy(&self) -> PathBuf {
        self.policies().join(format!("{POLICY}.wasm"))
    }

    /// Good versions arrive whole, by a rename; the torn one as a copy that was
    /// interrupted leaves it.
    fn install(&self, version: Version) -> io::Result<()> {
        let bytes = match version {
            Version::Torn => return fs::write(self.policy(), &PREFER[..PREFER.len() / 2]),
            Version::Prefer => PREFER,
            Version::Careless => CARELESS,
        };
        self.replace(&self.policy(), bytes)
    }

    fn configure(&self, ports: &Ports, policy: &str) -> io::Result<()> {
        self.replace(&self.configuration(), configuration(ports, policy).as_bytes())
    }

    fn replace(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let aside = self.directory.path().join(".new");
        fs::write(&aside, bytes)?;
        fs::rename(aside, path)
    }
}

/// The demo's `backstay.toml`.
fn configuration(ports: &Ports, policy: &str) -> String {
    let Ports { gateway, admin, providers: [alpha, beta, gamma] } = ports;
    format!(
        r#"# Written by `backstay demo`. Change it while the demo is kept up: it is read again.

[server]
listen = "127.0.0.1:{gateway}"

[admin]
listen = "127.0.0.1:{admin}"

[policies]
directory = "policies"

[providers.alpha]
dialect = "openai"
base_url = "http://127.0.0.1:{alpha}/v1"

[providers.beta]
dialect = "openai"
base_url = "http://127.0.0.1:{beta}/v1"

[providers.gamma]
dialect = "openai"
base_url = "http://127.0.0.1:{gamma}/v1"

[routes.{ROUTE}]
policy = "{policy}"
deadline = "20s"
targets = [
  {{ provider = "alpha", model = "alpha-1", priority = 1, features = ["streaming", "tools", "prefill"] }},
  {{ provider = "beta", model = "beta-1", priority = 2, features = ["streaming", "tools", "prefill"] }},
  # Cannot go on from a beginning that it is given: it is asked for the rest.
  {{ provider = "gamma", model = "gamma-1", priority = 3, features = ["streaming", "tools"] }},
]

[routes.{ROUTE}.policy_settings]
favourite = "gamma"

# The usual rules, with shorter times: the demo's day is short.
[routes.{ROUTE}.rules]
attempts = 6
first_token_timeout = "3s"
chunk_timeout = "1s"
answer_timeout_min = "3s"
answer_timeout_max = "6s"

[rules]
connect_timeout = "1s"
window = "3s"
breaker_open_min = "500ms"
breaker_open_max = "1s"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_can_be_read_without_complaint() {
        let ports = Ports { gateway: 4001, admin: 4002, providers: [4003, 4004, 4005] };
        let files = Files::create(&ports).unwrap();
        let config = config::load(&files.configuration(), &|_| None).unwrap();
        assert!(config.warnings.is_empty());
        assert_eq!(config.routes[ROUTE].policy, POLICY);
        let providers = config.routes[ROUTE].targets.iter().map(|target| &target.provider.name);
        assert!(providers.eq(Provider::ALL.map(Provider::name)));
    }
}
