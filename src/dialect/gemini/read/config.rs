//! The generation's configuration: limits, sampling, the form of the answer,
//! thinking.

use std::borrow::Cow;

use crate::dialect::gemini::fields::members;
use crate::dialect::gemini::schema::to_json_schema;
use crate::dialect::hub::{Effort, Format, Gravity, Reasoning, Request};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::BadRequest;

/// Gemini itself takes five.
const MAX_STOPS: usize = 64;

/// What form the answer must have, as far as it was read.
#[derive(Default)]
struct Form<'a> {
    media_type: Option<Cow<'a, str>>,
    schema: Option<Cow<'a, str>>,
}

/// Reads `generationConfig`.
pub fn read<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    if !config.is_object() {
        return Err(wrong("generationConfig", "must be an object"));
    }
    let mut form = Form::default();
    let mut logprobs = (false, None);
    for (key, value) in members(config) {
        match &*key {
            "temperature" => {
                request.sampling.temperature = number(value, "generationConfig.temperature")?;
            }
            "topP" => request.sampling.top_p = number(value, "generationConfig.topP")?,
            "topK" => request.sampling.top_k = whole(value, "generationConfig.topK")?,
            "seed" => request.sampling.seed = whole(value, "generationConfig.seed")?,
            "presencePenalty" => {
                request.sampling.presence_penalty =
                    number(value, "generationConfig.presencePenalty")?;
            }
            "frequencyPenalty" => {
                request.sampling.frequency_penalty =
                    number(value, "generationConfig.frequencyPenalty")?;
            }
            "candidateCount" => {
                request.choices = count(value, "generationConfig.candidateCount")?.max(1);
            }
            "maxOutputTokens" => {
                let limit = count(value, "generationConfig.maxOutputTokens")?;
                request.max_output_tokens = Some(limit);
            }
            "stopSequences" => stops(value, request)?,
            "responseMimeType" => form.media_type = value.str(),
            "responseJsonSchema" => form.schema = Some(value.raw().into()),
            "responseSchema" if form.schema.is_none() => {
                form.schema = Some(to_json_schema(value).into());
            }
            "responseSchema" => {}
            "responseLogprobs" => logprobs.0 = value.bool() == Some(true),
            "logprobs" => logprobs.1 = Some(count(value, "generationConfig.logprobs")?),
            "thinkingConfig" => thinking(value, request)?,
            "responseModalities" => modalities(value, request),
            "responseFormat" | "routingConfig" => {
                request.other(format!("generationConfig.{key}"), Gravity::Meaning);
            }
            _ => request.other(format!("generationConfig.{key}"), Gravity::Tuning),
        }
    }
    request.logprobs = logprobs.0.then(|| logprobs.1.unwrap_or(0));
    format(form, request);
    Ok(())
}

fn number<'a>(value: Node<'a>, name: &'static str) -> Result<Option<&'a str>, BadRequest> {
    value.number().map(Some).ok_or_else(|| wrong(name, "must be a number"))
}

/// SDKs write whole numbers as `40.0`.
fn whole<'a>(value: Node<'a>, name: &'static str) -> Result<Option<&'a str>, BadRequest> {
    let text = value.number().ok_or_else(|| wrong(name, "must be a number"))?;
    Ok(Some(text.strip_suffix(".0").unwrap_or(text)))
}

fn count(value: Node<'_>, name: &'static str) -> Result<u32, BadRequest> {
    value.u32().ok_or_else(|| wrong(name, "must be a count"))
}

fn stops<'a>(list: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    const NAME: &str = "generationConfig.stopSequences";
    if !list.is_array() {
        return Err(wrong(NAME, "must be an array"));
    }
    for stop in list.items() {
        if request.stop.len() == MAX_STOPS {
            return Err(wrong(NAME, "has more than 64 entries"));
        }
        request.stop.push(stop.str().ok_or_else(|| wrong(NAME, "must hold strings"))?);
    }
    Ok(())
}

fn modalities(list: Node<'_>, request: &mut Request<'_>) {
    let text = |kind: Node<'_>| {
        kind.str().is_some_and(|kind| kind == "TEXT" || kind == "MODALITY_UNSPECIFIED")
    };
    if !list.items().all(text) {
        request.other("generationConfig.responseModalities", Gravity::Meaning);
    }
}

fn thinking(config: Node<'_>, request: &mut Request<'_>) -> Result<(), BadRequest> {
    const LEVEL: &str = "generationConfig.thinkingConfig.thinkingLevel";
    const BUDGET: &str = "generationConfig.thinkingConfig.thinkingBudget";
    let mut reasoning = Reasoning::default();
    for (key, value) in members(config) {
        match &*key {
            "includeThoughts" => reasoning.shown = value.bool(),
            // As much as it likes: the same as saying nothing.
            "thinkingBudget" if value.raw() == "-1" => {}
            "thinkingBudget" => reasoning.budget = Some(count(value, BUDGET)?),
            "thinkingLevel" => {
                let word = value.str().ok_or_else(|| wrong(LEVEL, "must be a string"))?;
                if word != "THINKING_LEVEL_UNSPECIFIED" {
                    let level = Effort::named(&word).ok_or_else(|| wrong(LEVEL, "is not known"))?;
                    reasoning.effort = Some(level);
                }
            }
            _ => request.other(format!("generationConfig.thinkingConfig.{key}"), Gravity::Tuning),
        }
    }
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
    Ok(())
}

fn format<'a>(form: Form<'a>, request: &mut Request<'a>) {
    let json = match form.media_type.as_deref() {
        None | Some("application/json") => true,
        Some("text/plain" | "") => false,
        // One bare word of a list, for one: no other dialect has that.
        Some(_) => {
            request.other("generationConfig.responseMimeType", Gravity::Meaning);
            return;
        }
    };
    request.format = match form.schema {
        Some(schema) => {
            Some(Format::Schema { name: None, description: None, schema, strict: None })
        }
        None if json && form.media_type.is_some() => Some(Format::Json),
        None => None,
    };
}
