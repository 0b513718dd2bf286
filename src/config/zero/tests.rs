use std::ffi::OsString;

use proptest::prelude::*;

use super::found::{KNOWN, ollama_url};
use super::*;
use crate::dialect::{ProviderDialect, catalog};

/// An environment of `NAME=value` words; keys have a value that is no key.
fn env(words: &str) -> impl Fn(&str) -> Option<OsString> {
    let pairs: Vec<_> = words
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap_or((word, "sk-0123")))
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .collect();
    move |name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn set_up(words: &str, ollama: Option<&[&str]>) -> Result<(Config, SetUp), NoSetUp> {
    let ollama = ollama
        .map(|models| Ollama { models: models.iter().map(|model| (*model).to_owned()).collect() });
    from_environment(&env(words), ollama.as_ref())
}

/// What a name leads to: `provider/model` and so on.
fn targets(config: &Config, name: &str) -> Vec<String> {
    let route = config.routes.get(name);
    let targets = route.iter().flat_map(|route| &route.targets);
    targets.map(|target| target.facts.target.clone()).collect()
}

#[test]
fn the_gateway_s_own_doors() {
    let key = "OPENAI_API_KEY";
    let (config, _) = set_up(key, None).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:8080");
    assert!(config.clients.is_empty());
    let doors = "BACKSTAY_LISTEN=0.0.0.0:9 BACKSTAY_ADMIN_LISTEN=off BACKSTAY_CLIENT_KEY";
    let (config, _) = set_up(&format!("{key} {doors}"), None).unwrap();
    assert_eq!((config.server.listen.as_str(), config.clients.len()), ("0.0.0.0:9", 1));
    assert!(config.admin.is_none());
    // Open to everyone, and without a key.
    let refused = set_up(&format!("{key} BACKSTAY_LISTEN=0.0.0.0:9"), None);
    assert!(matches!(refused, Err(NoSetUp::Unusable(_))));
}

#[test]
fn routes_lead_to_the_model_then_to_its_equals() {
    let check = |words: &str, ollama: Option<&[&str]>, name: &str, expected: &[&str]| {
        let (config, _) = set_up(words, ollama).unwrap();
        assert_eq!(targets(&config, name), expected, "{words}: {name}");
    };
    let two = "OPENAI_API_KEY ANTHROPIC_API_KEY";
    check(two, None, "gpt-6-luna", &["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]);
    check(two, None, "claude-sonnet-5", &["anthropic/claude-sonnet-5", "openai/gpt-6.1-terra"]);
    check(two, None, "auto", &["openai/gpt-6.1-sol", "anthropic/claude-opus-5-5"]);
    check(two, None, "text-embedding-3-small", &["openai/text-embedding-3-small"]);
    check(two, None, "gemini-2.5-pro", &[]);
    check("OPENAI_API_KEY= ANTHROPIC_API_KEY", None, "auto", &["anthropic/claude-opus-5-5"]);
    check("GOOGLE_API_KEY", None, "gemini-2.5-pro", &["gemini/gemini-2.5-pro"]);
    let routed = "OPENAI_API_KEY OPENROUTER_API_KEY MISTRAL_API_KEY";
    let small =
        ["openai/gpt-6-luna", "openrouter/openai/gpt-6-luna", "mistral/mistral-small-latest"];
    check(routed, None, "gpt-6-luna", &small);
    check(routed, None, "openai/gpt-6-luna", &small);
    let mistral =
        ["mistral/mistral-small-latest", "openai/gpt-6-luna", "openrouter/openai/gpt-6-luna"];
    check(routed, None, "mistral-small-latest", &mistral);
    check(routed, None, "mistral-small", &mistral);
    let many = "OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY DEEPSEEK_API_KEY XAI_API_KEY";
    let four = [
        "openai/gpt-5",
        "anthropic/claude-opus-5-5",
        "gemini/gemini-3.1-pro-preview",
        "deepseek/deepseek-v4-pro",
    ];
    check(many, None, "gpt-5", &four);
    let azure = "AZURE_OPENAI_API_KEY AZURE_OPENAI_ENDPOINT=https://a.openai.azure.com \
                 AZURE_OPENAI_DEPLOYMENTS=gpt-5,,chat ANTHROPIC_API_KEY";
    check(azure, None, "gpt-5", &["azure/gpt-5", "anthropic/claude-opus-5-5"]);
    check(azure, None, "chat", &["azure/chat"]);
    let local: Option<&[&str]> = Some(&["gpt-oss:20b", "mine:latest"]);
    check("GROQ_API_KEY", local, "gpt-oss-20b", &["groq/openai/gpt-oss-20b", "ollama/gpt-oss:20b"]);
    check("GROQ_API_KEY", local, "gpt-oss:20b", &["ollama/gpt-oss:20b"]);
    check("", local, "mine:latest", &["ollama/mine:latest"]);
    check("", Some(&["mine"]), "auto", &["ollama/mine"]);
}

#[test]
fn providers_are_where_the_variables_say() {
    let check = |words: &str, name: &str, expected: &str| {
        let (config, _) = set_up(words, Some(&["m"])).unwrap();
        assert_eq!(config.providers[name].base_url(), expected, "{words}");
    };
    check("OPENAI_API_KEY", "openai", "https://api.openai.com/v1");
    let at = |variable: &str, url: &str| {
        format!("OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY GROQ_API_KEY {variable}={url}")
    };
    check(&at("OPENAI_BASE_URL", "http://127.0.0.1:9/x/"), "openai", "http://127.0.0.1:9/x");
    check(&at("OPENAI_BASE_URL", "http://127.0.0.1:9"), "openai", "http://127.0.0.1:9/v1");
    check(&at("ANTHROPIC_BASE_URL", "http://[::1]:9/"), "anthropic", "http://[::1]:9/v1");
    check(&at("ANTHROPIC_BASE_URL", "http://h/claude"), "anthropic", "http://h/claude/v1");
    check(&at("ANTHROPIC_BASE_URL", "http://h/v1"), "anthropic", "http://h/v1");
    check(&at("GOOGLE_GEMINI_BASE_URL", "http://h"), "gemini", "http://h/v1beta");
    check(&at("GOOGLE_GEMINI_BASE_URL", "http://h/g"), "gemini", "http://h/g/v1beta");
    check(&at("GOOGLE_GEMINI_BASE_URL", "http://h/v1"), "gemini", "http://h/v1");
    check(&at("GROQ_BASE_URL", "https://h"), "groq", "https://h/openai/v1");
    check(&at("OLLAMA_HOST", "box"), "ollama", "http://box:11434/v1");
    let azure = "AZURE_OPENAI_API_KEY AZURE_OPENAI_ENDPOINT=https://a.azure.com/ \
                 OPENAI_API_VERSION=2024-10-21 AZURE_OPENAI_DEPLOYMENT=d";
    check(azure, "azure", "https://a.azure.com");
    let (config, _) = set_up(azure, None).unwrap();
    let site = &config.providers["azure"].site;
    assert_eq!(site.dialect, ProviderDialect::Azure);
    assert_eq!(site.api_version.as_deref(), Some("2024-10-21"));
}

#[test]
fn ollama_is_where_it_would_look_itself() {
    let check = |words: &str, expected: &str| {
        assert_eq!(ollama_url(&env(words)), expected, "{words}");
    };
    check("", "http://127.0.0.1:11434");
    check("OLLAMA_HOST=", "http://127.0.0.1:11434");
    check("OLLAMA_HOST=0.0.0.0", "http://127.0.0.1:11434");
    check("OLLAMA_HOST=0.0.0.0:8000", "http://127.0.0.1:8000");
    check("OLLAMA_HOST=:8000", "http://127.0.0.1:8000");
    check("OLLAMA_HOST=[::1]", "http://[::1]:11434");
    check("OLLAMA_HOST=[::1]:8000", "http://[::1]:8000");
    check("OLLAMA_HOST=http://box:8000/", "http://box:8000");
    check("OLLAMA_HOST=https://box", "https://box");
    check("OLLAMA_BASE_URL=http://box:8000/v1 OLLAMA_HOST=other", "http://box:8000");
}

#[test]
fn what_cannot_be_used_is_said() {
    let check = |words: &str, ollama: Option<&[&str]>, expected: &str| {
        let said = match set_up(words, ollama) {
            Ok((_, set_up)) => set_up.to_string(),
            Err(problem) => problem.to_string(),
        };
        assert!(said.contains(expected), "{words}: {said}");
        assert!(!said.contains("sk-0123"), "{words}: {said}");
    };
    check("", None, "XAI_API_KEY\n");
    check("", None, "`backstay init`");
    check("", Some(&[]), "Ollama at http://127.0.0.1:11434/v1 has no model");
    check("AZURE_OPENAI_API_KEY", None, "not AZURE_OPENAI_ENDPOINT");
    let azure = "AZURE_OPENAI_API_KEY AZURE_OPENAI_ENDPOINT=https://a XAI_API_KEY";
    check(azure, None, "note: AZURE_OPENAI_API_KEY is set, but not AZURE_OPENAI_DEPLOYMENTS");
    let wrong = "OPENAI_API_KEY OPENAI_BASE_URL=localhost:80\"";
    check(wrong, None, "(environment):");
    check(wrong, None, "# OPENAI_BASE_URL");
    check("OPENAI_API_KEY=\u{e9}", None, "holds characters that no key has");
}

#[test]
fn the_text_is_the_configuration_and_holds_no_key() {
    let keys: Vec<_> = KNOWN.iter().filter_map(|known| known.keys.first().copied()).collect();
    let (config, set_up) = set_up(&keys.join(" "), Some(&["mine", "a\"\\\u{e9}"])).unwrap();
    assert!(!set_up.text.contains("sk-0123"));
    let again = parse(&set_up.text, Path::new("backstay.toml"), &env(&keys.join(" "))).unwrap();
    assert_eq!(again.digest, config.digest);
    assert_eq!(config.providers.len(), KNOWN.len() - 1, "azure has no endpoint");
    assert_eq!(config.warnings, []);
    for entry in catalog::entries().iter().filter(|entry| !entry.at.is_empty()) {
        assert!(config.routes.contains_key(&entry.name), "{}", entry.name);
    }
    for (at, _) in catalog::entries().iter().flat_map(|entry| &entry.at) {
        assert!(KNOWN.iter().any(|known| known.name == at), "{at} is no known provider");
    }
    assert_eq!(targets(&config, "a\"\\\u{e9}"), ["ollama/a\"\\\u{e9}"]);
    for route in config.routes.values().filter(|route| route.name != "auto") {
        assert!(route.targets.len() <= 4, "{}", route.name);
        let order: Vec<_> = route.targets.iter().map(|target| target.facts.priority).collect();
        assert!(order.is_sorted(), "{}", route.name);
    }
}

/// A proxy in front of every provider: what deviates behind it is still known.
#[test]
fn every_provider_can_be_elsewhere() {
    let read = |name: &str| match name {
        "AZURE_OPENAI_DEPLOYMENTS" => Some(OsString::from("d")),
        name if name.ends_with("_KEY") => Some("k".into()),
        name if name.ends_with("_URL") || name.ends_with("_ENDPOINT") => {
            Some("http://127.0.0.1:9".into())
        }
        _ => None,
    };
    let ollama = Ollama { models: vec!["m".to_owned()] };
    let (config, _) = from_environment(&read, Some(&ollama)).unwrap();
    assert_eq!(config.providers.len(), KNOWN.len());
    for known in &KNOWN {
        let provider = &config.providers[known.name];
        assert!(provider.base_url().starts_with("http://127.0.0.1:9"), "{}", known.name);
        let host = known.base_url.split('/').nth(2).unwrap_or_default();
        if known.dialect == ProviderDialect::OpenAi {
            let quirks = crate::dialect::openai::quirks::of_host(host);
            assert_eq!(provider.quirks, quirks, "{}", known.name);
        }
    }
}

/// A line in a variable is no line of the configuration.
#[test]
fn no_variable_can_write_a_setting() {
    let read = |name: &str| match name {
        "OPENAI_API_KEY" | "AZURE_OPENAI_API_KEY" => Some(OsString::from("k")),
        "OPENAI_BASE_URL" => Some("http://h/\"\n[clients.x]\nkey = 1 #".into()),
        "OLLAMA_HOST" => Some("h\n[clients.y]".into()),
        _ => None,
    };
    let found = Found::look(&read, Some(&Ollama::default()));
    let text = generated(&found);
    assert!(!text.lines().any(|line| line.starts_with("[clients")), "{text}");
}

proptest! {
    // Each case reads a whole configuration.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_environment_makes_it_panic(
        url in "\\PC{0,30}|https?://[\\[\\]a-z0-9.:/@\"]{0,20}",
        models in proptest::collection::vec("\\PC{0,12}", 0..4),
    ) {
        let read = |name: &str| match name {
            "OPENAI_API_KEY" | "AZURE_OPENAI_API_KEY" => Some(OsString::from("k")),
            "AZURE_OPENAI_DEPLOYMENTS" => Some(models.join(",").into()),
            other => (other.ends_with("URL") || other.ends_with("ENDPOINT")
                || other == "OLLAMA_HOST").then(|| url.clone().into()),
        };
        let ollama = Ollama { models: models.clone() };
        match from_environment(&read, Some(&ollama)) {
            Ok((config, set_up)) => {
                prop_assert!(!config.routes.is_empty());
                prop_assert!(!set_up.to_string().is_empty());
            }
            Err(problem) => prop_assert!(!problem.to_string().is_empty()),
        }
    }
}
