//! A gateway for one test: a configuration put together from pieces, and the
//! gateway that serves by it, in this process, on ports of its own.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstay::clock::Clock;
use backstay::config;
use backstay::gateway::{self, Drained, Shared};
use backstay::policy::{Compiler, Library, LibraryConfig, Limits};
use backstay::{admin, fake, tls};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{ask, get};

/// Short enough for a test to wait for, long enough for a busy machine.
pub const FIRST_TOKEN: Duration = Duration::from_millis(1500);
pub const CHUNK: Duration = Duration::from_millis(1500);
pub const WHOLE: Duration = Duration::from_secs(2);

const RULES: &str = "first_token_timeout = \"1500ms\"
chunk_timeout = \"1500ms\"
answer_timeout_max = \"2s\"
answer_timeout_min = \"1s\"
terminator_timeout = \"500ms\"
deadline = \"20s\"
";

/// A configuration in pieces, each some lines of its text. A provider named `x`
/// has the key `key_of("x")`.
#[derive(Clone, Debug)]
pub struct Setup {
    server: Vec<String>,
    rules: Vec<String>,
    rest: Vec<String>,
}

impl Setup {
    pub fn new() -> Self {
        let rules = RULES.lines().map(str::to_owned).collect();
        Self { server: Vec::new(), rules, rest: Vec::new() }
    }

    /// Lines of `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        self.server.push(lines.to_owned());
        self
    }

    /// One more of `[rules]`, or another value for one.
    pub fn rule(mut self, name: &str, value: &str) -> Self {
        self.rules.retain(|line| !line.starts_with(&format!("{name} = ")));
        self.rules.push(format!("{name} = {value}"));
        self
    }

    pub fn provider(self, name: &str, server: &fake::Server) -> Self {
        self.provider_of(name, "openai", server)
    }

    /// A provider that is spoken to in this dialect.
    pub fn provider_of(mut self, name: &str, dialect: &str, server: &fake::Server) -> Self {
        let variable = variable_of(name);
        let url = match dialect {
            "openai" | "openai-responses" => server.base_url(),
            // These have versions of their own in their paths.
            _ => server.base_url().trim_end_matches("/v1").to_owned(),
        };
        self.rest.push(format!("[providers.{name}]\ndialect = \"{dialect}\""));
        self.rest.push(format!("base_url = \"{url}\"\napi_key = {{ env = \"{variable}\" }}"));
        self
    }

    /// A route to these targets, the first the preferred one. A target is
    /// `provider/model`, and after a space what else its table has.
    pub fn route(self, name: &str, targets: &[&str]) -> Self {
        self.route_with(name, "", targets)
    }

    /// The same, with further lines of the route's table.
    pub fn route_with(mut self, name: &str, lines: &str, targets: &[&str]) -> Self {
        let targets = (1..).zip(targets).map(|(priority, target)| {
            let (target, more) = target.split_once(' ').unwrap_or((target, ""));
            let (provider, model) = target.split_once('/').expect("provider/model");
            let comma = if more.is_empty() { "" } else { ", " };
            let named = format!("provider = \"{provider}\", model = \"{model}\"");
            format!("{{ {named}, priority = {priority}{comma}{more} }}")
        });
        let targets = targets.collect::<Vec<_>>().join(", ");
        self.rest.push(format!("[routes.\"{name}\"]\n{lines}\ntargets = [{targets}]"));
        self
    }

    /// Whatever else the file holds.
    pub fn with(mut self, text: &str) -> Self {
        self.rest.push(text.to_owned());
        self
    }

    pub fn text(&self) -> String {
        let sections = [
            ("[server]\nlisten = \"127.0.0.1:0\"", &self.server),
            ("[admin]\nlisten = \"127.0.0.1:0\"\n[rules]", &self.rules),
            ("", &self.rest),
        ];
        let texts = sections.map(|(head, lines)| format!("{head}\n{}\n", lines.join("\n")));
        texts.concat()
    }

    pub async fn start(&self) -> Gateway {
        Gateway::start(&self.text(), &[]).await
    }
}

/// The variable that holds a provider's key.
pub fn variable_of(provider: &str) -> String {
    format!("KEY_OF_{provider}").to_uppercase().replace('-', "_")
}

pub fn key_of(provider: &str) -> String {
    format!("sk-{}-5f0c9d", variable_of(provider))
}

#[expect(clippy::unnecessary_wraps, reason = "the configuration's signature")]
fn environment(name: &str) -> Option<std::ffi::OsString> {
    Some(format!("sk-{name}-5f0c9d").into())
}

/// Serves until it is dropped.
pub struct Gateway {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    pub shared: Arc<Shared>,
    pub directory: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Drained>,
    watching: JoinHandle<()>,
}

impl Gateway {
    /// With these policies, by file name, in its directory.
    pub async fn start(text: &str, policies: &[(&str, &[u8])]) -> Self {
        let gateway = Self::loading(text, policies, Compiler::InProcess).await;
        gateway.shared.library.wait_until_loaded();
        gateway
    }

    /// The same, while the policies are still being compiled.
    pub async fn loading(text: &str, policies: &[(&str, &[u8])], compiler: Compiler) -> Self {
        tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("policies");
        std::fs::create_dir(&home).unwrap();
        for (name, component) in policies {
            std::fs::write(home.join(name), component).unwrap();
        }
        let shared = share(text, directory.path(), compiler);
        let (stop, stopping) = watch::channel(false);
        let (listener, addr) = listen().await;
        let (admin_listener, admin) = listen().await;
        let serving = tokio::spawn(gateway::serve(Arc::clone(&shared), listener, stopping.clone()));
        let watching = tokio::spawn(admin::serve(Arc::clone(&shared), admin_listener, stopping));
        Self { addr, admin, shared, directory, stop, serving, watching }
    }

    pub async fn ask(&self, call: &Value) -> super::client::Reply {
        ask(self.addr, call).await
    }

    /// A document of the admin listener.
    pub async fn see(&self, path: &str) -> Value {
        let reply = get(self.admin, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// The trace that a response names.
    pub async fn trace_of(&self, reply: &super::client::Reply) -> Value {
        let id = reply.header("x-backstay-trace").expect("every response names its trace");
        self.see(&format!("/traces/{id}")).await
    }

    /// Waits until no call is under way: what a call leaves behind is there.
    pub async fn settled(&self) {
        super::client::within("the last call's end", async {
            while self.shared.under_way() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub fn reload(&self, text: &str) {
        let path = self.directory.path().join("backstay.toml");
        let config = config::parse(text, &path, &environment).unwrap();
        self.shared.reload(config).unwrap();
    }

    /// Tells it to drain.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
        self.watching.abort();
    }
}

fn share(text: &str, directory: &Path, compiler: Compiler) -> Arc<Shared> {
    let path = directory.join("backstay.toml");
    let config = config::parse(text, &path, &environment).unwrap_or_else(|e| panic!("{e}"));
    let clock = Clock::start();
    let library = LibraryConfig {
        directory: Some(directory.join("policies")),
        cache: None,
        limits: Limits { time: config.policies.limits.time, ..Limits::default() },
        compiler,
        clock: Arc::new(move || clock.now()),
    };
    let library = Library::begin(library, gateway::pins(&config)).unwrap();
    Shared::start(config, library, clock, 7).unwrap()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A fake provider with this behaviour.
pub fn provider(name: &str, behaviour: &str) -> fake::Server {
    let behaviour = behaviour.parse().unwrap_or_else(|e| panic!("{e}"));
    let options = fake::Options { name: name.to_owned(), behaviour, ..Default::default() };
    fake::Server::start(options).unwrap()
}

/// How often a model was asked for.
pub fn asked(server: &fake::Server, model: &str) -> usize {
    server.log().iter().filter(|seen| seen.model == model).count()
}
