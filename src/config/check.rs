//! The text of `backstay check`: the routes, and what would happen to a call
//! for every class of failure.
//!
//! Owns the layout. What would happen is the heart's and the policy's
//! knowledge: the caller asks them and passes the answers in.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use super::model::{Config, Route, Target};
use super::values::{show_size, show_time};
use crate::dialect::Quirks;
use crate::dialect::hub::Strictness;
use crate::failover::classify::FailureClass;
use crate::failover::rules::{Concurrency, Hold, Rescue};

/// The widest line of the report.
const WIDTH: u16 = 120;

/// What would happen to a call that fails with a class on a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fate {
    /// Whether and how it counts against the target.
    pub counts: String,
    /// What is done next: the same target, another, or the reply.
    pub next: String,
    /// How long the target is out.
    pub cooldown: String,
    /// What the client sees if nothing is left.
    pub finally: String,
}

/// The report on a configuration that has no errors; `outcome` says what would
/// happen on a route with a class of failure.
pub fn report(config: &Config, outcome: &dyn Fn(&Route, FailureClass) -> Fate) -> String {
    let mut text = String::new();
    for warning in &config.warnings {
        text.push_str(&warning.to_string());
    }
    text.push_str(&summary(config));
    for route in config.routes.values() {
        text.push('\n');
        text.push_str(&route_heading(route));
        for target in &route.targets {
            text.push_str(&target_line(target));
        }
        text.push_str(&fates(route, outcome));
        text.push('\n');
    }
    text
}

fn summary(config: &Config) -> String {
    let admin = config.admin.as_ref().map_or("off", |admin| admin.listen.as_str());
    let calls = match config.clients.len() {
        0 => "without a key".to_owned(),
        1 => "with the key of 1 client".to_owned(),
        several => format!("with the keys of {several} clients"),
    };
    format!(
        "{} is good: listens on {} {calls}, admin on {admin}, policies in {}\n",
        config.source.display(),
        config.server.listen,
        config.policies.directory.display(),
    )
}

fn route_heading(route: &Route) -> String {
    let rules = &route.rules;
    let rescue = match rules.rescue {
        Rescue::Continue => "is continued elsewhere",
        Rescue::Error => "ends with an error",
    };
    let hold = match rules.hold {
        Hold::First => "the first content".to_owned(),
        Hold::Bytes(bytes) => show_size(u64::from(bytes)),
        Hold::All => "the whole answer".to_owned(),
    };
    let translation = match route.strictness {
        Strictness::Normal => "",
        Strictness::Strict => "; translation: strict",
        Strictness::Lenient => "; translation: lenient",
    };
    format!(
        "route \"{}\": policy {}{}, deadline {}, {} attempts; a broken stream {rescue}; \
         held back: {hold}{translation}\n",
        route.name,
        route.policy,
        watched(route),
        show_time(rules.deadline),
        rules.attempts,
    )
}

/// Who else is asked.
fn watched(route: &Route) -> String {
    let mut text = String::new();
    if let Some(shadow) = &route.shadow {
        // Writing to a string cannot fail.
        let _ = write!(text, ", shadow {shadow}");
    }
    if let Some(canary) = &route.canary {
        let _ = write!(text, ", canary {} ({} %)", canary.policy, canary.share * 100.0);
    }
    text
}

fn target_line(target: &Target) -> String {
    let facts = &target.facts;
    let provider = &target.provider;
    let mut line = format!(
        "  {} {} weight {} at {} ({}",
        facts.priority,
        facts.target,
        facts.weight,
        provider.base_url(),
        provider.site.dialect.label(),
    );
    let quirks = Quirks::NAMES.iter().filter(|(_, quirk)| provider.quirks.has(*quirk));
    let quirks: Vec<_> = quirks.map(|(name, _)| *name).collect();
    if !quirks.is_empty() {
        line.push_str(", quirks ");
        line.push_str(&quirks.join(" "));
    }
    line.push(')');
    let limit = match target.rules.concurrency {
        Concurrency::Unlimited => String::new(),
        Concurrency::Fixed(max) => format!(", at most {max} calls at a time"),
        Concurrency::Adaptive { max } => format!(", at most {max} calls at a time, adaptive"),
    };
    line.push_str(&limit);
    if let Some(window) = facts.context_window {
        // Writing to a string cannot fail.
        let _ = write!(line, ", {window} tokens of context");
    }
    if target.system.is_some() {
        line.push_str(", its own system prompt");
    }
    match target.parameters.len() {
        0 => {}
        1 => line.push_str(", 1 parameter changed"),
        // Writing to a string cannot fail.
        more => drop(write!(line, ", {more} parameters changed")),
    }
    line.push('\n');
    line
}

fn fates(route: &Route, outcome: &dyn Fn(&Route, FailureClass) -> Fate) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header([
            "failure",
            "counts against the target",
            "next",
            "cooldown",
            "if nothing is left",
        ]);
    for class in FailureClass::ALL {
        let Fate { counts, next, cooldown, finally } = outcome(route, class);
        table.add_row([class.label().to_owned(), counts, next, cooldown, finally]);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_route_and_class_has_a_row() {
        let text = "[providers.a]\ndialect = \"openai\"\nbase_url = \"http://127.0.0.1:1\"\n\
                    quirks = [\"no-strict\", \"max-tokens\"]\n\
                    [routes.one]\ntargets = [{ provider = \"a\", model = \"m\" }]\n\
                    [routes.two]\ntranslation = \"strict\"\nshadow = \"s\"\n\
                    canary = { policy = \"c\" }\n\
                    targets = [{ provider = \"a\", model = \"n\", max_concurrency = 3, \
                    system = \"Be brief.\", parameters = { remove = [\"seed\"] } }]\n";
        let config = crate::config::parse(text, Path::new("backstay.toml"), &|_| None).unwrap();
        let report = report(&config, &|route, class| Fate {
            counts: format!("{}:{}", route.name, class.label()),
            next: "next target".to_owned(),
            cooldown: "-".to_owned(),
            finally: "503".to_owned(),
        });
        for class in FailureClass::ALL {
            for route in ["one", "two"] {
                assert!(report.contains(&format!("{route}:{}", class.label())), "{report}");
            }
        }
        let target = "1 a/n weight 1 at http://127.0.0.1:1 (openai, quirks max-tokens no-strict), \
                      at most 3 calls at a time, its own system prompt, 1 parameter changed\n";
        assert!(report.contains(target), "{report}");
        assert!(report.contains("; translation: strict\n"), "{report}");
        let watched = "policy default, shadow s, canary c (5 %), deadline";
        assert!(report.contains(watched), "{report}");
        assert!(report.starts_with("backstay.toml is good: listens on 127.0.0.1:8080"), "{report}");
    }
}
