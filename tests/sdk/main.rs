//! The official SDKs of `OpenAI`, Anthropic and Google, with nothing changed but
//! their base URL: every client dialect against every provider dialect. Here
//! are the providers and the routes; what a client must find behind them is in
//! the scripts beside this file.
//!
//! A test binary of its own: two minutes of Python would be in the way of tests
//! that look at how long something takes.

mod python;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "it serves the other tests too")]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Output;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use serde_json::{Value, json};

use crate::support::gateway::{Setup, provider};

const PROMPT: &str = "What is it like out there?";
/// One for every client dialect.
const SCRIPTS: [&str; 4] =
    ["openai_chat.py", "openai_responses.py", "anthropic_messages.py", "gemini.py"];
/// Of the environment that the gateway is started with.
const CLIENTS: &str = "[clients.sdk]\nkey = { env = \"SDK\" }";
const CLIENT_KEY: &str = "sk-SDK-5f0c9d";

/// Generous, for a busy machine: limits of time are looked at elsewhere. So are
/// breakers: here a target that fails is asked again by every scenario.
const RULES: [(&str, &str); 6] = [
    ("first_token_timeout", "\"15s\""),
    ("chunk_timeout", "\"15s\""),
    ("answer_timeout_max", "\"15s\""),
    ("answer_timeout_min", "\"15s\""),
    ("breaker_consecutive_failures", "1000"),
    ("breaker_min_samples", "10000"),
];

/// A provider's dialect.
struct Kind {
    /// In the names of routes.
    short: &'static str,
    /// In the configuration.
    dialect: &'static str,
    /// In the path of every request for an answer.
    path: &'static str,
    embeddings: bool,
}

const KINDS: [Kind; 5] = [
    Kind { short: "openai", dialect: "openai", path: "/v1/chat/completions", embeddings: true },
    Kind {
        short: "responses",
        dialect: "openai-responses",
        path: "/v1/responses",
        embeddings: false,
    },
    Kind { short: "anthropic", dialect: "anthropic", path: "/messages", embeddings: false },
    Kind { short: "gemini", dialect: "gemini", path: "enerateContent", embeddings: true },
    Kind { short: "azure", dialect: "azure", path: "/openai/", embeddings: true },
];

/// Routes with one provider: what they are for, and what that one does.
const ALONE: [(&str, &str); 8] = [
    ("healthy", ""),
    ("tools", "tool-calls"),
    ("refused", "bad-request"),
    ("down", "500"),
    // Longer than a call waits.
    ("limited", "429:retry-after=30"),
    ("cut", "cut-clean:after=7"),
    ("cut", "error-mid:after=7"),
    ("tool-cut", "tool-cut"),
];

/// How a stream breaks that another provider goes on with.
const CUTS: [&str; 3] = ["cut-clean:after=7", "cut-reset:after=7", "error-mid:after=7"];

/// The routes as they are put together.
struct Routes<'a> {
    servers: &'a [Server],
    setup: Setup,
    /// By what they are for.
    plan: BTreeMap<&'static str, Vec<Value>>,
}

impl<'a> Routes<'a> {
    fn all(servers: &'a [Server]) -> Self {
        let setup = RULES.iter().fold(Setup::new(), |setup, (name, value)| setup.rule(name, value));
        let mut routes = Self { servers, setup: setup.with(CLIENTS), plan: BTreeMap::new() };
        for (place, kind) in KINDS.iter().enumerate() {
            for (purpose, fault) in ALONE {
                routes.alone(purpose, fault, place);
            }
            let for_vectors = if kind.embeddings { "embeddings" } else { "no-embeddings" };
            let healthy = routes.plan["healthy"][place].clone();
            routes.plan.entry(for_vectors).or_default().push(healthy);
        }
        for first in 0..KINDS.len() {
            for second in 0..KINDS.len() {
                routes.continued(first, second);
            }
        }
        routes
    }

    fn alone(&mut self, purpose: &'static str, fault: &str, kind: usize) {
        let how = fault.split_once(':').map_or(fault, |(name, _)| name);
        let via = format!("via-{}", KINDS[kind].short);
        let name = match purpose {
            "healthy" => via,
            "cut" => format!("{how}-alone-{via}"),
            purpose => format!("{purpose}-{via}"),
        };
        let model = if fault.is_empty() { "m".to_owned() } else { format!("m!{fault}") };
        self.add(purpose, &name, &[(kind, &model)]);
    }

    fn continued(&mut self, first: usize, second: usize) {
        let cut = CUTS[(first + second) % CUTS.len()];
        let (broken, rescuer) = (KINDS[first].short, KINDS[second].short);
        let name = format!("{broken}-continued-via-{rescuer}");
        self.add("continued", &name, &[(first, &format!("m!{cut}")), (second, "m")]);
    }

    /// Each target has a provider of its own: what happens to a credential
    /// happens to all its targets.
    fn add(&mut self, purpose: &'static str, name: &str, targets: &[(usize, &str)]) {
        let mut written = Vec::new();
        for (place, (kind, model)) in targets.iter().enumerate() {
            let own = format!("p{place}-{name}");
            let dialect = KINDS[*kind].dialect;
            self.setup = self.setup.clone().provider_of(&own, dialect, &self.servers[*kind]);
            written.push(format!("{own}/{model}"));
        }
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        self.setup = self.setup.clone().route(name, &written);
        let route = json!({ "name": name, "dialect": KINDS[targets[0].0].dialect });
        self.plan.entry(purpose).or_default().push(route);
    }
}

async fn check(script: &'static str) {
    let servers: Vec<Server> = KINDS.iter().map(|kind| provider(kind.short, "ok")).collect();
    let routes = Routes::all(&servers);
    let gateway = routes.setup.start().await;
    let plan = plan(gateway.addr, &json!(routes.plan));
    let output = run(script, &[], plan).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let problems: Vec<&str> = said.lines().filter(|line| !line.starts_with("ok ")).collect();
    let problems = problems.join("\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{problems}\n{errors}", output.status);
    for (kind, server) in KINDS.iter().zip(&servers) {
        was_asked(kind, server);
    }
}

fn plan(addr: SocketAddr, routes: &Value) -> String {
    let base_url = format!("http://{addr}");
    let answer = answer(PROMPT, DEFAULT_WORDS);
    let plan = json!({
        "base_url": base_url,
        "key": CLIENT_KEY,
        "prompt": PROMPT,
        "answer": answer,
        "routes": routes,
    });
    plan.to_string()
}

async fn run(script: &'static str, arguments: &'static [&'static str], plan: String) -> Output {
    let running = tokio::task::spawn_blocking(move || python::run(script, arguments, &plan));
    running.await.expect("python's absence was told above")
}

/// The fake speaks every dialect at every server: that this one was asked in
/// its own is what makes the scenarios those of five providers.
fn was_asked(kind: &Kind, server: &Server) {
    let log = server.log();
    let aside = |path: &str| path.ends_with("mbeddings") || path.ends_with("mbedContents");
    let counts = |path: &str| path.ends_with("count_tokens") || path.ends_with("countTokens");
    let answers = || log.iter().filter(|seen| !aside(&seen.path) && !counts(&seen.path));
    assert!(answers().count() > 0, "{} was never asked", kind.short);
    for seen in answers() {
        assert!(seen.path.contains(kind.path), "{} was asked {}", kind.short, seen.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_python_chat_completions() {
    check("openai_chat.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_python_responses() {
    check("openai_responses.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_python_messages() {
    check("anthropic_messages.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_genai_python() {
    check("gemini.py").await;
}

/// The control: what the SDKs find behind the gateway is not there without it.
/// They take a stream that ends cleanly for an answer, whole or not.
#[tokio::test(flavor = "multi_thread")]
async fn straight_from_a_provider_the_same_scenarios_fail() {
    let server = provider("alone", "ok");
    let broken = json!([{ "name": "m!cut-clean:after=7", "dialect": "openai" }]);
    let mut routes: Value = ALONE.iter().map(|(purpose, _)| (*purpose, json!([]))).collect();
    for purpose in ["cut", "continued"] {
        routes[purpose] = broken.clone();
    }
    for purpose in ["embeddings", "no-embeddings"] {
        routes[purpose] = json!([]);
    }
    for script in SCRIPTS {
        let plan = plan(server.addr(), &routes);
        let output = run(script, &["cut", "continued"], plan).await;
        let said = String::from_utf8_lossy(&output.stdout);
        let told: Vec<&str> = said.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(told.len() >= 2, "{script}: {}\n{said}", output.status);
        for line in told {
            let cut = line.starts_with("not ok cut ") && line.contains("no error");
            let short = line.starts_with("not ok continued ") && line.contains("the text is ");
            assert!(cut || short, "{script}: {line}");
        }
    }
}
