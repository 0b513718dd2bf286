use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Dialect::{Anthropic, Gemini, OpenAi, Responses};
use super::*;
use crate::dialect::target::{SamplingRule, Thinking};

#[test]
fn the_catalog_is_consistent() {
    let mut names = BTreeSet::new();
    for entry in entries() {
        let Entry { name, abilities, offers, .. } = entry;
        for one in entry.also.iter().chain([name]) {
            assert!(names.insert(one), "{one} is there twice");
            assert_eq!(*one, one.to_ascii_lowercase(), "{one}: names are in lower case");
            let plain = one.trim_end_matches('*');
            assert!(!plain.contains('*') && plain.len() > 1, "{one}");
        }
        assert!(!name.contains('*'), "{name}: a route is named so");
        for (provider, there) in &entry.at {
            assert_eq!(find(there).map(|found| &found.name), Some(name), "{provider}/{there}");
        }
        let thinks = abilities.thinking != Thinking::No;
        assert_eq!(offers.contains(Features::REASONING), thinks, "{name}: reasoning");
        assert!(thinks || !abilities.always_thinks, "{name}: always thinks");
        let schema = offers.contains(Features::JSON_SCHEMA);
        assert!(!schema || abilities.structured_output, "{name}: json-schema");
        let priced = entry.output_price.is_none_or(|price| Some(price) > entry.input_price);
        assert!(priced, "{name}: output costs more than input");
        assert!(entry.context_window.is_some_and(|window| window > 1_000), "{name}");
    }
    for tier in Tier::ALL {
        let makers = ["openai", "anthropic", "gemini"];
        let all =
            |maker| entries().iter().any(|e| e.tier == Some(tier) && e.name_at(maker).is_some());
        assert!(makers.into_iter().all(all), "{tier:?} has no model of one of {makers:?}");
    }
}

#[test]
fn what_a_file_gets_wrong_is_said() {
    let check = |line: &str, said: &str| {
        let text = format!(
            "[[model]]\nname = \"x\"\nfeatures = []\nthinking = \"no\"\nsampling = \"always\"\n{line}"
        );
        let problem = read::entries(&text).err().unwrap_or_default();
        assert!(problem.contains(said), "{line}: {problem}");
        assert_eq!(problem.is_empty(), said.is_empty(), "{line}: {problem}");
    };
    check("", "");
    check("tier = \"best\"", "unknown variant `best`");
    check("colour = 1", "unknown field `colour`");
    check("[[model]]", "missing field `name`");
    let text = "[[model]]\nname = \"x\"\nfeatures = [\"prefill\"]\nthinking = \"no\"\n\
                sampling = \"always\"\n";
    assert!(read::entries(text).unwrap_err().contains("\"prefill\" is no feature"));
}

#[test]
fn names_are_looked_through() {
    let check = |model: &str, expected: Option<&str>| {
        assert_eq!(find(model).map(|entry| entry.name.as_str()), expected, "{model}");
    };
    check("gpt-5", Some("gpt-5"));
    check("openai/gpt-5", Some("gpt-5"));
    check("gpt-5-2025-08-07", Some("gpt-5"));
    check("gpt-5.9", None);
    check("gpt-5-mini", Some("gpt-5-mini"));
    check("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5"));
    check("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5"));
    check("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("claude-sonnet-4-5"));
    check("anthropic/claude-opus-4.6", Some("claude-opus-4-6"));
    check("anthropic/claude-opus-4.6:thinking", Some("claude-opus-4-6"));
    check("claude-fable-5-2", None);
    check("models/gemini-2.5-pro", Some("gemini-2.5-pro"));
    check("publishers/google/models/gemini-2.5-pro", Some("gemini-2.5-pro"));
    check("gemini-flash-latest", Some("gemini-3.8-flash"));
    check("mistral-large-latest", Some("mistral-large"));
    check("mistral-large-2512", Some("mistral-large"));
    check("GPT-5", Some("gpt-5"));
    check("gpt-oss:20b", Some("gpt-oss-20b"));
    check("gpt-oss:120b", Some("gpt-oss-120b"));
    check("openai/gpt-oss-120b", Some("gpt-oss-120b"));
    check("meta-llama/Llama-3.3-70B-Instruct-Turbo", Some("llama-3.3-70b"));
    check("llama3.3:latest", Some("llama-3.3-70b"));
    check("deepseek-flash", Some("deepseek-v4-flash"));
    check("", None);
    check("-20250929", None);
    check("latest", None);
    check(&"x".repeat(10_000), None);
}

/// A row names what the model can do, apart from an unknown one's abilities.
#[test]
fn unknown_models_are_judged_by_name_and_dialect() {
    let check = |dialect, model: &str, expected: &str| {
        assert!(find(model).is_none(), "{model} is in the catalog");
        assert_eq!(show(&abilities(dialect, model)), expected, "{model}");
    };
    check(OpenAi, "my-model", "sampling=Always thinking=Both structured");
    check(Responses, "my-model", "sampling=Always thinking=Both structured");
    check(Anthropic, "my-model", "sampling=Always thinking=Budget");
    check(Gemini, "gemma-4", "sampling=Always thinking=No structured");
    check(Anthropic, "claude-3-haiku-20240307", "sampling=Always thinking=No prefill most=4096");
    check(Anthropic, "claude-3-5-sonnet-latest", "sampling=Always thinking=No prefill most=8192");
    check(
        Anthropic,
        "claude-opus-4-1-20250805",
        "sampling=Always thinking=Budget prefill most=32000",
    );
    check(Anthropic, "claude-haiku-4-6", "sampling=Always thinking=Both structured most=128000");
    check(
        OpenAi,
        "anthropic/claude-fable-5-2",
        "sampling=Never thinking=Effort always unforced structured most=128000",
    );
    check(Anthropic, "claude-haiku-6", "sampling=Never thinking=Effort structured most=128000");
    check(
        Anthropic,
        "claude-next",
        "sampling=Never thinking=Effort always unforced structured most=128000",
    );
    check(Gemini, "gemini-2.0-flash", "sampling=Always thinking=No structured");
    check(Gemini, "gemini-3.9-flash", "sampling=Never thinking=Effort structured signatures");
    check(Gemini, "gemini-5-pro", "sampling=Always thinking=Effort structured signatures");
    check(OpenAi, "gpt-4-turbo", "sampling=Always thinking=No structured");
    check(OpenAi, "gpt-6.4", "sampling=WithoutReasoning thinking=Effort structured completion");
    check(OpenAi, "gpt-7", "sampling=WithoutReasoning thinking=Effort structured completion");
    check(OpenAi, "gpt-5-chat-latest", "sampling=Always thinking=No structured completion");
    check(OpenAi, "o1", "sampling=Never thinking=Effort always structured completion");
    check(OpenAi, "o5-mini", "sampling=Never thinking=Effort always structured completion");
    check(OpenAi, "olmo-3", "sampling=Always thinking=Both structured");
}

fn show(abilities: &Abilities) -> String {
    let Abilities { sampling, thinking, .. } = abilities;
    let mut text = format!("sampling={sampling:?} thinking={thinking:?}");
    let flags = [
        (abilities.always_thinks, " always"),
        (!abilities.forced_tools, " unforced"),
        (abilities.prefill, " prefill"),
        (abilities.structured_output, " structured"),
        (abilities.call_signatures, " signatures"),
        (abilities.max_completion_tokens, " completion"),
        (abilities.system_turns, " system"),
    ];
    text.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag));
    text.extend(abilities.max_output.map(|most| format!(" most={most}")));
    text
}

/// The members that wire formats §4.6 names.
#[test]
fn the_flags_are_those_of_the_reference() {
    let check = |models: &[&str], holds: &dyn Fn(&Abilities) -> bool| {
        for model in models {
            assert!(holds(&abilities(Anthropic, model)), "{model}");
        }
    };
    check(
        &[
            "claude-opus-4-7",
            "claude-opus-4-8",
            "claude-opus-5",
            "claude-opus-5-5",
            "claude-sonnet-5",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
            "claude-fable-5",
            "claude-fable-5-1",
            "claude-mythos-5",
            "gemini-3.5-flash-lite",
            "gemini-3.6-flash",
            "gemini-3.7-flash",
            "gemini-3.8-flash",
        ],
        &|a| a.sampling == SamplingRule::Never,
    );
    check(&["gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5"], &|a| {
        a.sampling == SamplingRule::WithoutReasoning
    });
    check(
        &["claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1", "claude-mythos-5-1"],
        &|a| !a.forced_tools && a.always_thinks,
    );
    check(&["claude-fable-5", "claude-mythos-5"], &|a| a.always_thinks && a.forced_tools);
    check(&["claude-opus-4-7", "claude-sonnet-5"], &|a| a.thinking == Thinking::Effort);
    check(&["claude-opus-4-6", "claude-sonnet-4-6"], &|a| {
        a.thinking == Thinking::Both && !a.prefill
    });
    check(&["claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-1"], &|a| {
        a.thinking == Thinking::Budget && a.prefill
    });
    check(&["gemini-3.1-pro-preview", "gemini-4-argon"], &|a| a.call_signatures);
    check(&["gpt-5", "gpt-6-sol", "o3"], &|a| a.max_completion_tokens);
}

#[test]
fn unknown_models_are_believed_to_offer_everything_but_prefill() {
    let usual = Features::ALL.without(Features::PREFILL);
    assert_eq!(offers(Dialect::OpenAi, "my-model"), usual);
    assert_eq!(offers(Dialect::Anthropic, "claude-3-5-haiku-latest"), Features::ALL);
    assert_eq!(offers(Dialect::Anthropic, "claude-sonnet-4-5"), Features::ALL);
    assert_eq!(offers(Dialect::Anthropic, "claude-sonnet-5"), usual);
    let plain = Features::STREAMING | Features::TOOLS;
    assert_eq!(offers(Dialect::OpenAi, "llama3.3:70b"), plain);
}

proptest! {
    #[test]
    fn no_name_makes_it_panic(model in "\\PC{0,40}|(claude|gpt|gemini|o)?[-@:./v0-9a-z\u{e9}]{0,40}") {
        for dialect in Dialect::ALL {
            let _ = abilities(dialect, &model);
            let _ = offers(dialect, &model);
        }
    }
}
