//! `catalog.toml` as entries. Knows the file's keys; must not know what any of
//! them is used for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Entry, Tier};
use crate::dialect::target::{Abilities, SamplingRule, Thinking};
use crate::failover::call::Features;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<Model>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a file, all off by default")]
struct Model {
    name: String,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    at: BTreeMap<String, String>,
    tier: Option<Tier>,
    context_window: Option<u32>,
    output_limit: Option<u32>,
    input_price: Option<f64>,
    output_price: Option<f64>,
    features: Vec<String>,
    sampling: Sampling,
    thinking: Think,
    #[serde(default)]
    always_thinks: bool,
    #[serde(default)]
    no_forced_tools: bool,
    #[serde(default)]
    prefill: bool,
    #[serde(default)]
    no_structured_output: bool,
    #[serde(default)]
    system_turns: bool,
    #[serde(default)]
    call_signatures: bool,
    #[serde(default)]
    max_completion_tokens: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sampling {
    Always,
    WithoutReasoning,
    Never,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Think {
    No,
    Budget,
    Effort,
    Both,
}

/// The entries of a catalog's text, or what is wrong with it.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    file.model.into_iter().map(entry).collect()
}

fn entry(model: Model) -> Result<Entry, String> {
    let offers = features(&model)?;
    let abilities = abilities(&model);
    Ok(Entry {
        name: model.name,
        also: model.also,
        at: model.at.into_iter().collect(),
        tier: model.tier,
        context_window: model.context_window,
        output_limit: model.output_limit,
        input_price: model.input_price,
        output_price: model.output_price,
        offers: offers.with(Features::PREFILL, abilities.prefill),
        abilities,
    })
}

fn abilities(model: &Model) -> Abilities {
    Abilities {
        sampling: match model.sampling {
            Sampling::Always => SamplingRule::Always,
            Sampling::WithoutReasoning => SamplingRule::WithoutReasoning,
            Sampling::Never => SamplingRule::Never,
        },
        forced_tools: !model.no_forced_tools,
        thinking: match model.thinking {
            Think::No => Thinking::No,
            Think::Budget => Thinking::Budget,
            Think::Effort => Thinking::Effort,
            Think::Both => Thinking::Both,
        },
        always_thinks: model.always_thinks,
        prefill: model.prefill,
        structured_output: !model.no_structured_output,
        system_turns: model.system_turns,
        call_signatures: model.call_signatures,
        max_completion_tokens: model.max_completion_tokens,
        max_output: model.output_limit,
    }
}

fn features(model: &Model) -> Result<Features, String> {
    let mut set = Features::NONE;
    for name in &model.features {
        let known = Features::NAMES.iter().find(|(known, _)| known == name);
        let Some((_, feature)) = known.filter(|(known, _)| *known != "prefill") else {
            return Err(format!("{}: {name:?} is no feature of the catalog", model.name));
        };
        set = set | *feature;
    }
    Ok(set)
}
