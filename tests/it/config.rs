//! The configuration from outside: messages (golden files), defaults, bounds.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay::config::{self, Config, Problems};
use backstay::dialect::hub::Strictness;
use backstay::dialect::{ProviderDialect, Quirks};
use backstay::failover::call::Features;
use backstay::failover::rules::{CallRules, Concurrency, Hold, Rescue, TargetRules};
use proptest::prelude::*;

/// The variables every test sees.
fn env(name: &str) -> Option<OsString> {
    match name {
        "OPENAI_API_KEY" => Some("sk-0123456789".into()),
        "BACKSTAY_KEY_WEB" | "TWIN_KEY" => Some("  web-key\n".into()),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, Problems> {
    config::parse(text, Path::new("backstay.toml"), &env)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config").join(name)
}

/// Every `NAME.toml` is read as if it were `backstay.toml`; what is said about
/// it is in `NAME.expected`. `UPDATE_GOLDEN=1` writes the latter anew.
#[test]
fn messages_are_as_in_the_golden_files() {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run itself")]
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1");
    let mut inputs: Vec<PathBuf> = fs::read_dir(golden(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 12, "the golden files are gone: {inputs:?}");
    let mut failures = Vec::new();
    for input in inputs {
        let said = match parse(&fs::read_to_string(&input).unwrap()) {
            Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
            Err(problems) => problems.to_string(),
        };
        assert!(!said.contains("sk-pasted"), "{} shows a key:\n{said}", input.display());
        let expected = input.with_extension("expected");
        if update {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            failures.push(format!("{}:\n{said}", input.display()));
        }
    }
    assert!(failures.is_empty(), "said otherwise (UPDATE_GOLDEN=1):\n{}", failures.join("\n"));
}

/// The providers and the target that the example only shows.
#[test]
fn what_the_example_shows_is_accepted() {
    let shown: String = config::EXAMPLE
        .lines()
        .flat_map(|line| {
            let shown = line.trim_start().strip_prefix("#   ");
            [shown.filter(|rest| !rest.starts_with(' ')).unwrap_or(line), "\n"]
        })
        .collect();
    let shown = shown.replace("#     ", "    ");
    let keys = |_: &str| Some(OsString::from("a-key"));
    let config = config::parse(&shown, Path::new("backstay.toml"), &keys).unwrap();
    assert_eq!(config.warnings, []);
    let mut dialects: Vec<_> =
        config.providers.values().map(|provider| provider.site.dialect.label()).collect();
    dialects.sort_unstable();
    dialects.dedup();
    assert_eq!(dialects.len(), ProviderDialect::ALL.len(), "{dialects:?}");
    for (quirk, _) in Quirks::NAMES {
        assert!(shown.contains(quirk), "{quirk} is not explained");
    }
    let target = config.routes["gpt-5"].targets.last().unwrap();
    assert_eq!((target.facts.provider.as_str(), target.parameters.len()), ("gemini", 2));
}

#[test]
fn the_example_is_good_as_it_is() {
    let config = parse(config::EXAMPLE).unwrap();
    assert_eq!(config.warnings, []);
    let route = &config.routes["gpt-5"];
    assert_eq!(route.rules, CallRules::default());
    assert_eq!(route.settings, "{}");
    let first = &route.targets[0];
    assert_eq!(first.facts.target, "openai/gpt-5");
    assert_eq!(first.facts.offers, Features::ALL.without(Features::PREFILL));
    assert_eq!(first.rules, TargetRules::default());
    let expected = Features::STREAMING | Features::TOOLS | Features::PREFILL;
    assert_eq!(route.targets[1].facts.offers, expected);
    assert_eq!(route.targets[1].rules.concurrency, Concurrency::Fixed(4));
}

/// What the example shows as default is the default, and is accepted.
#[test]
fn every_setting_the_example_comments_out_is_its_default() {
    let uncommented: String = config::EXAMPLE
        .lines()
        .map(|line| {
            let setting = line.strip_prefix("# ").filter(|rest| {
                let (key, value) = rest.split_once(" = ").unwrap_or(("", ""));
                let plain = key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '8');
                !key.is_empty() && plain && !value.is_empty()
            });
            format!("{}\n", setting.unwrap_or(line))
        })
        .filter(|line| {
            !["token", "cache", "headers", "prefer"].iter().any(|key| line.starts_with(key))
        })
        .filter(|line| !line.starts_with("key = "))
        .collect();
    assert!(uncommented.contains("\nbreaker_open_max = \"60s\""), "nothing was uncommented");
    let (plain, full) = (parse(config::EXAMPLE).unwrap(), parse(&uncommented).unwrap());
    let relevant = |config: &Config| {
        let route = &config.routes["gpt-5"];
        let target = &route.targets[0];
        (
            (config.server.clone(), config.policies.clone(), route.rules.clone()),
            (target.rules.clone(), target.provider.connect_timeout),
            config.admin.as_ref().map(|admin| (admin.listen.clone(), admin.traces)),
        )
    };
    assert_eq!(relevant(&plain), relevant(&full));
}

/// The keys of a developer's machine, and what is made of them.
#[test]
fn what_is_set_up_without_a_configuration_is_as_in_the_golden_files() {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run itself")]
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1");
    let variables = |name: &str| match name {
        "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" | "AZURE_OPENAI_API_KEY" => Some("sk-0123".into()),
        "GROQ_API_KEY" => Some(OsString::new()),
        "ANTHROPIC_BASE_URL" => Some("http://127.0.0.1:9000".into()),
        "AZURE_OPENAI_ENDPOINT" => Some("https://me.openai.azure.com/".into()),
        "OPENAI_API_VERSION" => Some("2024-10-21".into()),
        "AZURE_OPENAI_DEPLOYMENTS" => Some("gpt-5, my-chat".into()),
        _ => None,
    };
    let ollama = config::Ollama { models: vec!["gpt-oss:20b".to_owned()] };
    let (config, set_up) = config::from_environment(&variables, Some(&ollama)).unwrap();
    assert_eq!(config.warnings, []);
    let nothing = config::from_environment(&|_| None, None).unwrap_err().to_string();
    let texts = [
        ("said.expected", set_up.to_string()),
        ("written.expected", set_up.text),
        ("nothing.expected", nothing),
    ];
    for (name, text) in texts {
        let expected = golden("zero").join(name);
        if update {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&expected).unwrap_or_default(), "{name}");
    }
}

const PROVIDERS: &str = r#"
[providers.openai]
dialect = "openai"
base_url = "https://api.openai.com/v1/"
api_key = { env = "OPENAI_API_KEY" }
"#;

/// A good configuration with a line in one of its tables.
fn with(table: &str, line: &str) -> String {
    let route = "targets = [{ provider = \"openai\", model = \"m\" }]";
    let mut text = String::new();
    if table != "providers.openai" && table != "routes.r" && table != "target" {
        text = format!("[{table}]\n{line}\n");
    }
    text.push_str(PROVIDERS);
    if table == "providers.openai" {
        text.push_str(line);
    }
    text.push_str("\n[routes.r]\n");
    match table {
        "routes.r" => text.extend([route, "\n", line]),
        "target" => text.push_str(&route.replace(" }]", &format!(", {line} }}]"))),
        _ => text.push_str(route),
    }
    text
}

/// A line of a table is fine (`expected` is empty), or its first problem's
/// message or remedy contains the expected text.
fn check(table: &str, line: &str, expected: &str) {
    let text = with(table, line);
    let said = match parse(&text) {
        Ok(config) => config.warnings.first().cloned(),
        Err(problems) => problems.list.first().cloned(),
    };
    match said {
        None => assert_eq!(expected, "", "nothing was said about {line}"),
        Some(problem) => {
            let said = format!("{}: {}", problem.message, problem.remedy);
            assert!(!expected.is_empty() && said.contains(expected), "{line}\n{said}");
        }
    }
}

#[test]
fn values_of_the_listeners_are_taken_or_refused_with_a_reason() {
    check("server", "listen = \"[::1]:0\"", "");
    check("server", "listen = \"localhost:80\"", "");
    check("server", "listen = \"localhost\"", "is no address");
    check("server", "listen = \"127.0.0.1:99999\"", "is no address");
    check("server", "listen = 8080", "must be an address with a port, not an integer");
    check("server", "listen = \"127.0.0.1:8081\"", "listen on the same address");
    check("server", "listen = \"example.org:8080\"", "no [clients] are named");
    check("server", "drain_timeout = \"1m30s\"", "");
    check("server", "drain_timeout = \"0s\"", "");
    check("server", "idle_timeout = \"0s\"", "is out of bounds");
    check("server", "idle_timeout = \"25h\"", "from \"1ms\" to \"1day\"");
    check("server", "idle_timeout = \"ten\"", "is no length of time");
    check("server", "idle_timeout = 10", "with its unit, not an integer");
    check("server", "max_body = \"1.5MiB\"", "");
    check("server", "max_body = \"1024\"", "is no size");
    check("server", "max_body = \"16MeB\"", "is no size");
    check("server", "max_body = \"1TiB\"", "from \"1KiB\" to \"1GiB\"");
    check("server", "max_concurrent_calls = 0", "from 1 to 1000000");
    check("server", "max_concurrent_calls = -1", "is out of bounds");
    check("server", "max_concurrent_calls = 0x10", "");
    check("server", "max_concurrent_calls = 99999999999999999999", "is out of bounds");
    check("server", "max_concurrent_calls = 1.0", "must be a whole number, not a float");
    check("server", "expose_headers = [\"X-Team\"]", "");
    check("server", "expose_headers = [\"a b\"]", "is no header name");
    check("server", "expose_headers = \"x\"", "must be a list of header names");
    check("admin", "listen = \"off\"", "");
    check("admin", "listen = \"0.0.0.0:9000\"", "has no token");
    check("admin", "listen = \"0.0.0.0:9000\"\ntoken = { env = \"OPENAI_API_KEY\" }", "");
    check("admin", "token = { env = \"EMPTY\" }", "is empty");
    check("admin", "token = { file = \"/nowhere/key\" }", "cannot be read");
    check("admin", "token = { file = \"/\" }", "is no file");
    check("admin", "token = {}", "needs either `env` or `file`");
    check("admin", "token = { env = \"OPENAI_API_KEY\", file = \"k\" }", "either `env` or `file`");
}

#[test]
fn values_of_policies_and_rules_are_taken_or_refused_with_a_reason() {
    check("policies", "time_limit = \"4ms\"", "");
    check("policies", "time_limit = \"21ms\"", "the default is 20ms");
    check("policies", "memory_limit = \"32MiB\"", "the default is 16MiB");
    check("policies", "directory = \"\"", "is no path");
    check("policies", "instance_limit = 65", "the default is 64");
    check("rules", "retry_ratio = 1", "");
    check("rules", "retry_ratio = 1.5", "a share from 0.0 to 1.0");
    check("rules", "breaker_success_rate = -0.1", "a share from 0.0 to 1.0");
    check("rules", "hedge_ratio = nan", "is out of bounds");
    check("rules", "attempts = 33", "from 1 to 32");
    check("rules", "backoff_base = \"9s\"", "`backoff_base` is longer than `backoff_max`");
    check("rules", "breaker_open_max = \"500ms\"", "`breaker_open_min` is longer");
    check("rules", "answer_timeout_max = \"5s\"", "`answer_timeout_min` is longer");
    check("rules", "answer_timeout_max = \"3m\"", "the deadline of \"2m\" (the default)");
    check("rules", "deadline = \"5s\"", "");
}

#[test]
fn values_of_providers_routes_and_clients_are_taken_or_refused_with_a_reason() {
    check("providers.openai", "connect_timeout = \"1s\"", "");
    check("providers.openai", "rules = { window = \"20s\" }", "");
    check("providers.openai", "rules = { connect_timeout = \"1s\" }", "[providers.openai]");
    check("providers.openai", "headers = { X-Team = \"a\" }", "");
    check("providers.openai", "headers = { host = \"a\" }", "is set by the gateway");
    check("providers.openai", "headers = { x = 1 }", "must be a string");
    check("providers.openai", "headers = { x = \"a\\nb\" }", "no header can carry");
    check("providers.openai", "responses = false", "");
    check("providers.openai", "quirks = []", "");
    check("providers.openai", "quirks = [\"max-tokens\", \"no-strict\"]", "");
    check("providers.openai", "quirks = \"max-tokens\"", "must be a list of quirks");
    check("providers.openai", "quirks = [\"max_tokens\"]", "did you mean `max-tokens`?");
    check("providers.openai", "api_version = \"2024-10-21\"", "only dialect \"azure\" has it");
    check("routes.r", "translation = \"strict\"", "");
    check("routes.r", "translation = true", "must be a string");
    check("target", "system = \"Be brief. {{system}}\"", "");
    check("target", "system = \"\"", "");
    check("target", "system = 1", "must be a string");
    check("target", "parameters = {}", "");
    check("target", "parameters = { remove = [\"seed\", \"a/b\"] }", "");
    check("target", "parameters = { set = { \"a/b\" = [1] } }", "");
    check("target", "parameters = { set = [] }", "must be a table");
    check("target", "parameters = { set = { stream = true } }", "the client decides");
    check("target", "parameters = { remove = [\"/model\"] }", "the target's `model`");
    check("target", "parameters = []", "must be a table");
    check("routes.r", "policy = \"cheap-first\"", "");
    check("routes.r", "policy = \"../x\"", "is no plain name");
    check("routes.r", "shadow = \"next\"", "");
    check("routes.r", "shadow = \"../x\"", "is no plain name");
    check("routes.r", "canary = { policy = \"next\" }", "");
    check("routes.r", "canary = { policy = \"next\", share = 0.5, calls = 20 }", "");
    check("routes.r", "canary = {}", "add `policy = \"NAME\"`");
    check("routes.r", "canary = \"next\"", "must be a table");
    check("routes.r", "canary = { policy = \"next\", share = 0.6 }", "from 0.0001 to 0.5");
    check("routes.r", "canary = { policy = \"next\", share = nan }", "is out of bounds");
    check("routes.r", "canary = { policy = \"next\", margin = 2 }", "a share from 0.0 to 1.0");
    check("routes.r", "canary = { policy = \"next\", latency_margin = -1 }", "from 0.0 to 10.0");
    check("routes.r", "canary = { policy = \"next\", calls = 19 }", "from 20 to 100000");
    check("routes.r", "canary = { policy = \"next\", max_faults = 0 }", "from 1 to 1000");
    check("routes.r", "canary = { policy = \"next\", shere = 1 }", "did you mean `share`?");
    check("routes.r", "canary = { policy = \"default\" }", "the route's own policy");
    check("journal", "directory = \"journal\"", "");
    check("journal", "directory = \"j\"\nmax_file = \"1MiB\"\nmax_total = \"1MiB\"", "");
    check("journal", "max_file = \"1MiB\"", "add `directory = \"journal\"`");
    check("journal", "directory = \"j\"\nmax_file = \"1KiB\"", "from \"64KiB\"");
    check("journal", "directory = \"j\"\nmax_total = \"32MiB\"", "as large as `max_file`");
    check("routes.r", "rescue = \"maybe\"", "one of: \"continue\", \"error\"");
    check("routes.r", "hold = \"4KiB\"", "");
    check("routes.r", "hold = \"1GiB\"", "\"first\", \"all\", or a size");
    check("routes.r", "rules = { chunk_timeout = \"3m\" }", "is longer than the deadline");
    check("routes.r", "deadline = \"1s\"", "");
    check("routes.r", "rules = { deadline = \"1s\" }", "write it in [routes.r]");
    check("routes.r", "policy_settings = { at = 2026-01-01, n = 1.5 }", "");
    check("routes.r", "policy_settings = { n = inf }", "a number that JSON has not");
    check("routes.r", "policy_settings = 1", "must be a table");
    check("target", "priority = 0", "from 1 to 1000");
    check("target", "weight = 0", "every target of [routes.r] has weight 0");
    check("target", "features = [\"tols\"]", "did you mean `tools`?");
    check("target", "input_price = -1.0", "US dollars per million tokens");
    check("target", "adaptive_concurrency = true", "needs a bound");
    check("target", "adaptive_concurrency = true, max_concurrency = 0", "is out of bounds");
    check("target", "adaptive_concurrency = true, max_concurrency = 9", "");
    check("clients.web", "key = { env = \"BACKSTAY_KEY_WEB\" }", "");
    check("clients.web", "", "`key` is missing");
}

#[test]
fn base_urls_are_those_a_provider_can_have() {
    let rows = [
        ("https://api.example.org/v1/", ""),
        ("http://127.0.0.1:8000", ""),
        ("http://[::1]:8000/v1", ""),
        ("http://api.example.org", "unencrypted"),
        ("ftp://api.example.org", "neither http nor https"),
        ("api.example.org/v1", "no URL"),
        ("/v1", "no scheme"),
        ("https://user:sk-pasted@example.org", "contains credentials"),
        ("https://example.org/v1?key=sk-pasted", "a query or a fragment"),
        ("https://example.org/v1#x", "a query or a fragment"),
        ("", "no URL"),
    ];
    for (url, expected) in rows {
        let text = with("rules", "").replace("https://api.openai.com/v1/", url);
        let said = match parse(&text) {
            Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
            Err(problems) => problems.to_string(),
        };
        assert_eq!(expected.is_empty(), said.is_empty(), "{url}\n{said}");
        assert!(said.contains(expected), "{url}\n{said}");
    }
}

#[test]
fn what_is_written_is_what_is_meant() {
    let text = r#"
        [server]
        listen = "0.0.0.0:8080"
        expose_headers = ["X-Team"]
        [policies]
        directory = "wasm"
        [rules]
        attempts = 3
        connect_timeout = "1s"
        window = "30s"
        [providers.a]
        dialect = "openai"
        base_url = "https://a.example/v1/"
        api_key = { env = "OPENAI_API_KEY" }
        headers = { X-Org = "me" }
        rules = { breaker_min_samples = 9 }
        [routes."m/1"]
        policy = "cheap"
        deadline = "30s"
        rescue = "error"
        hold = "4KiB"
        targets = [{ provider = "a", model = "x", max_concurrency = 8, adaptive_concurrency = true }]
        rules = { attempts_per_target = 1 }
        policy_settings = { prefer = "cheap", list = [1, true] }
        [clients.web]
        key = { env = "BACKSTAY_KEY_WEB" }
    "#;
    let config = config::parse(text, Path::new("/etc/backstay/backstay.toml"), &env).unwrap();
    assert_eq!(config.server.expose_headers, ["x-team"]);
    assert_eq!(config.policies.directory, Path::new("/etc/backstay/wasm"));
    assert!(config.clients[0].key.matches(b"web-key"), "a key is trimmed");
    let provider = &config.providers["a"];
    assert_eq!(provider.base_url(), "https://a.example/v1");
    assert_eq!(provider.connect_timeout, Duration::from_secs(1));
    assert_eq!(provider.headers[0].0, "x-org");
    assert_eq!(provider.headers[0].1.expose(), "me");
    let route = &config.routes["m/1"];
    assert_eq!((route.rules.attempts, route.rules.attempts_per_target), (3, 1));
    assert_eq!(route.rules.deadline, Duration::from_secs(30));
    assert_eq!((route.rules.rescue, route.rules.hold), (Rescue::Error, Hold::Bytes(4096)));
    assert_eq!(route.settings, r#"{"list":[1,true],"prefer":"cheap"}"#);
    let rules = &route.targets[0].rules;
    assert_eq!(rules.window, Duration::from_secs(30));
    assert_eq!(rules.breaker.min_samples, 9);
    assert_eq!(rules.concurrency, Concurrency::Adaptive { max: 8 });
    assert!(!format!("{config:?}").contains("sk-0123456789"), "a key was printed");
}

#[test]
fn what_is_written_of_dialects_and_targets_is_what_is_meant() {
    let text = r#"
        [providers]
        chat = { dialect = "openai", api_key = { env = "OPENAI_API_KEY" } }
        proxy = { dialect = "openai", base_url = "http://127.0.0.1:1/v1", quirks = ["no-store"] }
        answers = { dialect = "openai-responses", api_key = { env = "OPENAI_API_KEY" } }
        claude = { dialect = "anthropic", api_key = { env = "OPENAI_API_KEY" } }
        google = { dialect = "gemini", api_key = { env = "OPENAI_API_KEY" } }
        [providers.ms]
        dialect = "azure"
        base_url = "https://me.openai.azure.com"
        api_key = { env = "OPENAI_API_KEY" }
        api_version = "2024-10-21"
        responses = true
        [routes.r]
        translation = "lenient"
        [[routes.r.targets]]
        provider = "claude"
        model = "claude-sonnet-4-5-20250929"
        system = "Be brief. {{system}}"
        parameters = { set = { temperature = 0.2, "generationConfig/topK" = 3 }, remove = ["seed"] }
        [[routes.r.targets]]
        provider = "ms"
        model = "claude-sonnet-4-5"
        context_window = 5
        output_price = 1
        features = []
    "#;
    let config = parse(text).unwrap();
    assert_eq!(config.warnings, []);
    let site = |name: &str| {
        let site = &config.providers[name].site;
        (site.dialect.label(), site.base_url.as_str(), site.api_version.as_deref(), site.responses)
    };
    assert_eq!(site("chat"), ("openai", "https://api.openai.com/v1", None, true));
    assert_eq!(site("proxy"), ("openai", "http://127.0.0.1:1/v1", None, false));
    assert_eq!(config.providers["proxy"].quirks, Quirks::NO_STORE);
    assert_eq!(site("answers"), ("openai-responses", "https://api.openai.com/v1", None, false));
    assert_eq!(site("claude"), ("anthropic", "https://api.anthropic.com/v1", None, false));
    let google = "https://generativelanguage.googleapis.com/v1beta";
    assert_eq!(site("google"), ("gemini", google, None, false));
    let azure = ("azure", "https://me.openai.azure.com", Some("2024-10-21"), true);
    assert_eq!(site("ms"), azure);
    let route = &config.routes["r"];
    assert_eq!(route.strictness, Strictness::Lenient);
    let target = &route.targets[0];
    assert_eq!(target.system.as_deref(), Some("Be brief. {{system}}"));
    let edits: Vec<_> = target
        .parameters
        .iter()
        .map(|edit| (edit.pointer.as_str(), edit.value.as_deref()))
        .collect();
    let expected =
        [("/generationConfig/topK", Some("3")), ("/temperature", Some("0.2")), ("/seed", None)];
    assert_eq!(edits, expected);
    assert!(target.abilities.prefill);
    assert_eq!((target.facts.context_window, target.facts.offers), (Some(200_000), Features::ALL));
    assert_eq!((target.facts.input_price, target.facts.output_price), (Some(3.0), Some(15.0)));
    let stated = &route.targets[1].facts;
    assert_eq!((stated.context_window, stated.offers), (Some(5), Features::NONE));
    assert_eq!((stated.input_price, stated.output_price), (Some(3.0), Some(1.0)));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_too() {
    let directory = tempfile::tempdir().unwrap();
    let said = |path: &Path| config::load(path, &env).unwrap_err().to_string();
    assert!(said(&directory.path().join("none.toml")).contains("backstay init"));
    assert!(said(directory.path()).contains("is no file"));
    let binary = directory.path().join("binary.toml");
    fs::write(&binary, b"\n\xff").unwrap();
    assert!(said(&binary).contains("is not UTF-8 in line 2"));
}

#[test]
fn problems_are_bounded() {
    let text: String =
        (0..500).flat_map(|n| ["unknown".to_owned(), n.to_string(), " = 1\n".to_owned()]).collect();
    let problems = parse(&text).unwrap_err();
    assert_eq!(problems.list.len() + problems.left_off, 501, "500 keys, and no route");
    assert!(problems.to_string().ends_with("… and 401 more\n"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|[a-z\\[\\]{}=\"'.,#\n 0-9\u{e9}\u{1f600}-]{0,200}") {
        let _ = parse(&text).map_err(|problems| problems.to_string());
    }

    /// Closer to the mark: the example with a piece of it replaced.
    #[test]
    fn no_edit_of_the_example_makes_it_panic(
        at in 0..config::EXAMPLE.len(),
        cut in 0..80usize,
        put in "[a-z\\[\\]{}=\"'.,#\n 0-9\u{e9}]{0,12}",
    ) {
        let text = config::EXAMPLE;
        let start = text.floor_char_boundary(at);
        let end = text.floor_char_boundary((at + cut).min(text.len()));
        let edited = format!("{}{put}{}", &text[..start], &text[end.max(start)..]);
        let _ = parse(&edited).map_err(|problems| problems.to_string());
    }
}
