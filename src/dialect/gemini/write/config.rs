//! The generation's configuration: limits, sampling, the form of the answer,
//! thinking.

use crate::dialect::gemini::fields::{push_member, push_text};
use crate::dialect::hub::{
    Effort, Format, Gravity, Losses, Reasoning, Request, Sampling, Untranslatable,
};
use crate::dialect::json;
use crate::dialect::target::{Abilities, SamplingRule, Target, Thinking};

/// More stop sequences are refused.
const MAX_STOPS: usize = 5;

/// More candidates are refused.
const MAX_CANDIDATES: u32 = 8;

/// The largest budget that all models with budgets take, in tokens.
const MAX_BUDGET: u32 = 24_576;

/// The smallest of a model that always thinks.
const MIN_BUDGET: u32 = 128;

/// The value of `generationConfig`; `by_tool`: a tool stands for the format.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    by_tool: bool,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let mut out = String::from("{");
    limits(request, target.abilities, losses, &mut out)?;
    let thinks_not = request.reasoning.and_then(|r| r.effort()) == Some(Effort::None);
    let sampled = match target.abilities.sampling {
        SamplingRule::Always => true,
        SamplingRule::WithoutReasoning => thinks_not,
        SamplingRule::Never => false,
    };
    sampling(&request.sampling, sampled, losses, &mut out)?;
    if let Some(alternatives) = request.logprobs {
        push_member(&mut out, "responseLogprobs", "true");
        if alternatives > 0 {
            push_member(&mut out, "logprobs", &alternatives.to_string());
        }
    }
    if !by_tool {
        format(request.format.as_ref(), target.abilities, &mut out);
    }
    if let Some(reasoning) = &request.reasoning {
        thinking(*reasoning, target.abilities, losses, &mut out)?;
    }
    out.push('}');
    Ok(out)
}

fn limits(
    request: &Request<'_>,
    abilities: &Abilities,
    losses: &mut Losses,
    out: &mut String,
) -> Result<(), Untranslatable> {
    if let Some(limit) = request.max_output_tokens {
        let most = abilities.max_output.unwrap_or(u32::MAX);
        if limit == 0 {
            losses.lose("max_output_tokens", Gravity::Meaning, "it is 0")?;
        } else {
            if limit > most {
                losses.tuning("max_output_tokens")?;
            }
            push_member(out, "maxOutputTokens", &limit.min(most).to_string());
        }
    }
    let stops = request.stop.iter().filter(|stop| !stop.is_empty());
    let stops: Vec<String> = stops.map(|stop| json::quote(stop)).collect();
    if stops.len() > MAX_STOPS {
        losses.tuning("stop")?;
    }
    if !stops.is_empty() {
        let taken = stops[..stops.len().min(MAX_STOPS)].join(",");
        push_member(out, "stopSequences", &format!("[{taken}]"));
    }
    if request.choices > MAX_CANDIDATES {
        losses.lose("n", Gravity::Meaning, "eight answers at most")?;
    }
    if request.choices > 1 {
        push_member(out, "candidateCount", &request.choices.min(MAX_CANDIDATES).to_string());
    }
    Ok(())
}

fn sampling(
    sampling: &Sampling<'_>,
    taken: bool,
    losses: &mut Losses,
    out: &mut String,
) -> Result<(), Untranslatable> {
    let ruled = [
        ("temperature", "temperature", sampling.temperature),
        ("topP", "top_p", sampling.top_p),
        ("topK", "top_k", sampling.top_k),
    ];
    for (name, field, value) in ruled {
        match value {
            Some(value) if taken => push_member(out, name, value),
            // The default, which is what the model does anyway.
            Some("1" | "1.0") if name != "topK" => {}
            Some(_) => losses.tuning(field)?,
            None => {}
        }
    }
    match sampling.seed {
        Some(seed) if seed.parse::<i32>().is_ok() => push_member(out, "seed", seed),
        Some(_) => losses.tuning("seed")?,
        None => {}
    }
    if let Some(penalty) = sampling.frequency_penalty {
        push_member(out, "frequencyPenalty", penalty);
    }
    if let Some(penalty) = sampling.presence_penalty {
        push_member(out, "presencePenalty", penalty);
    }
    Ok(())
}

fn format(format: Option<&Format<'_>>, abilities: &Abilities, out: &mut String) {
    let Some(format) = format else { return };
    push_text(out, "responseMimeType", "application/json");
    match format {
        Format::Json => {}
        Format::Schema { schema, .. } if abilities.structured_output => {
            push_member(out, "responseJsonSchema", schema);
        }
        // The loss is judged where the tool is chosen that may stand for it.
        Format::Schema { .. } => {}
    }
}

fn thinking(
    reasoning: Reasoning,
    abilities: &Abilities,
    losses: &mut Losses,
    out: &mut String,
) -> Result<(), Untranslatable> {
    const FIELD: &str = "reasoning_effort";
    let off = reasoning.effort() == Some(Effort::None);
    let mut config = String::from("{");
    match abilities.thinking {
        Thinking::No if off || reasoning.effort().is_none() => return Ok(()),
        Thinking::No => return losses.tuning(FIELD),
        Thinking::Effort => {
            if let Some(effort) = reasoning.effort() {
                push_text(&mut config, "thinkingLevel", level(effort));
            }
        }
        Thinking::Budget | Thinking::Both => {
            let least = if abilities.always_thinks { MIN_BUDGET } else { 0 };
            if let Some(budget) = reasoning.budget() {
                let budget = budget.clamp(least, MAX_BUDGET);
                push_member(&mut config, "thinkingBudget", &budget.to_string());
            }
        }
    }
    if off && abilities.always_thinks {
        losses.tuning(FIELD)?;
    }
    if let Some(shown) = reasoning.shown {
        push_member(&mut config, "includeThoughts", if shown { "true" } else { "false" });
    }
    config.push('}');
    if config != "{}" {
        push_member(out, "thinkingConfig", &config);
    }
    Ok(())
}

/// The least level stands for none.
const fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High => "HIGH",
        Effort::Xhigh | Effort::Max => "XHIGH",
    }
}
