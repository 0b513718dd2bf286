//! From the internal form to a request of the Responses API: the top-level
//! fields. The turns are [`turns`]'s, the tools [`tools`]'s.

use std::borrow::Cow;

use bytes::Bytes;

use super::object::{Object, array};
use super::{strict, tools, turns};
use crate::dialect::digest;
use crate::dialect::hub::legend::FORMAT_TOOL;
use crate::dialect::hub::{
    Block, Effort, Format, Gravity, Legend, Losses, Request, Role, Turn, Untranslatable,
};
use crate::dialect::target::{Quirks, SamplingRule, Target, Thinking, Written};

/// The API refuses smaller limits.
const LEAST_OUTPUT: u32 = 16;

/// The longest name of an end user.
const LONGEST_USER: usize = 64;

/// The API refuses the JSON mode where the input does not ask for JSON.
const ASK_FOR_JSON: &str = "Answer with a JSON object.";

/// Writes a request for a target of this dialect.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut writing = Writing {
        request,
        target,
        losses: Losses::new(target.strictness),
        legend: Legend::default(),
    };
    let body = writing.body()?;
    Ok(Written {
        body: Bytes::from(body),
        dropped: writing.losses.into_dropped(),
        legend: writing.legend,
    })
}

/// How the answer's format is asked for.
enum Form {
    /// By this value of `text.format`.
    Text(String),
    /// By a tool that must be called.
    Tool(String),
    Free,
}

struct Writing<'w, 'a> {
    request: &'w Request<'a>,
    target: &'w Target<'w>,
    losses: Losses,
    legend: Legend,
}

impl Writing<'_, '_> {
    fn body(&mut self) -> Result<String, Untranslatable> {
        self.unsayable()?;
        let mut body = Object::new().text("model", self.target.model);
        if let Some(instructions) = self.instructions()? {
            body = body.text("instructions", &instructions);
        }
        let mut input = turns::write_input(self.request, self.target.quirks, &mut self.losses)?;
        if matches!(self.request.format, Some(Format::Json)) && !self.asks_for_json() {
            input.push(turns::developer(ASK_FOR_JSON, self.target.quirks));
        }
        body = body.raw("input", &array(&input));
        drop(input);
        body = self.tools(body)?;
        if let Some(limit) = self.limit()? {
            body = body.number("max_output_tokens", limit.into());
        }
        body = self.sampling(body)?;
        body = self.reasoning(body)?;
        if let Some(wanted) = self.request.logprobs {
            body = body
                .number("top_logprobs", wanted.into())
                .raw("include", r#"["message.output_text.logprobs"]"#);
        }
        if let Some(user) = &self.request.user {
            body = body.text("safety_identifier", &identifier(user));
        }
        // What other providers answer is in no store either.
        if !self.has(Quirks::NO_STORE) {
            body = body.bool("store", false);
        }
        if self.request.stream {
            body = body.bool("stream", true);
        }
        Ok(body.end())
    }

    const fn has(&self, quirk: Quirks) -> bool {
        self.target.quirks.has(quirk)
    }

    /// What has no equal here.
    fn unsayable(&mut self) -> Result<(), Untranslatable> {
        let Request { sampling, turns, .. } = self.request;
        if !self.request.stop.is_empty() {
            let reason = "the Responses API has no stop sequences";
            self.losses.lose("stop", Gravity::Meaning, reason)?;
        }
        if self.request.choices > 1 {
            let reason = "the Responses API gives one answer";
            self.losses.lose("n", Gravity::Meaning, reason)?;
        }
        let ends_in_text = |turn: &Turn<'_>| {
            turn.role == Role::Assistant && matches!(turn.blocks.last(), Some(Block::Text(_)))
        };
        let continued = turns.last().is_some_and(ends_in_text) && !self.request.answers_anew;
        if continued && !self.target.abilities.prefill {
            let reason = "the Responses API does not continue a turn of the assistant";
            self.losses.lose("prefill", Gravity::Meaning, reason)?;
        }
        let tuning = [
            ("top_k", sampling.top_k),
            ("seed", sampling.seed),
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
        ];
        for (field, _) in tuning.into_iter().filter(|(_, value)| value.is_some()) {
            self.losses.tuning(field)?;
        }
        Ok(())
    }

    fn instructions(&mut self) -> Result<Option<String>, Untranslatable> {
        let mut texts: Vec<&str> = Vec::with_capacity(self.request.system.len());
        for block in &self.request.system {
            match block {
                Block::Text(text) => texts.push(text),
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                Block::Media(_)
                | Block::Thought(_)
                | Block::Call(_)
                | Block::Result(_)
                | Block::Refusal(_) => {}
            }
        }
        Ok((!texts.is_empty()).then(|| texts.join("\n\n")))
    }

    /// The API looks for the word in the input, not in the instructions.
    fn asks_for_json(&self) -> bool {
        let blocks = self.request.turns.iter().flat_map(|turn| &turn.blocks);
        let mut texts = blocks.filter_map(|block| match block {
            Block::Text(text) => Some(text),
            Block::Media(_)
            | Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_)
            | Block::CachePoint(_) => None,
        });
        texts.any(|text| text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json")))
    }

    /// Tools, the choice among them, and the answer's format, which may be one.
    fn tools(&mut self, mut body: Object) -> Result<Object, Untranslatable> {
        let mut tools = tools::write_tools(
            &self.request.tools,
            self.target.quirks,
            &mut self.losses,
            &mut self.legend,
        )?;
        let mut choice = tools::write_choice(self.request, self.target, &mut self.losses)?;
        if let Some(format) = &self.request.format {
            match self.format(format)? {
                Form::Text(format) => {
                    body = body.raw("text", &Object::new().raw("format", &format).end());
                }
                Form::Tool(tool) => {
                    tools.push(tool);
                    choice = Some(Object::typed("function").text("name", FORMAT_TOOL).end());
                    self.legend.format_tool = Some(FORMAT_TOOL.to_owned());
                }
                Form::Free => {}
            }
        }
        if !tools.is_empty() {
            body = body.raw("tools", &array(&tools));
            match self.request.parallel_tools {
                Some(_) if self.has(Quirks::NO_PARALLEL_TOOL_CALLS) => {
                    self.losses.tuning("parallel_tool_calls")?;
                }
                Some(parallel) => body = body.bool("parallel_tool_calls", parallel),
                None => {}
            }
        }
        Ok(match choice {
            Some(choice) => body.raw("tool_choice", &choice),
            None => body,
        })
    }

    fn format(&mut self, format: &Format<'_>) -> Result<Form, Untranslatable> {
        let Format::Schema { name, description, schema, strict } = format else {
            return Ok(Form::Text(Object::typed("json_object").end()));
        };
        let abilities = self.target.abilities;
        let schema = &*tools::one_line(schema);
        if abilities.structured_output && !self.has(Quirks::NO_JSON_SCHEMA) {
            let name = name.as_deref().map_or(Cow::Borrowed("response"), tools::valid_name);
            let strict = strict.unwrap_or(true) && strict::qualifies(schema);
            let head = Object::typed("json_schema").text("name", &name);
            let head = head.maybe("description", description.as_deref());
            let head = head.raw("schema", schema);
            let lax = self.has(Quirks::NO_STRICT);
            return Ok(Form::Text(if lax { head } else { head.bool("strict", strict) }.end()));
        }
        if abilities.forced_tools && self.request.tools.is_empty() {
            let told = description.as_deref().unwrap_or("Gives the answer in its demanded form.");
            let head = Object::typed("function").text("name", FORMAT_TOOL);
            let head = head.text("description", told).raw("parameters", schema);
            let lax = self.has(Quirks::NO_STRICT);
            return Ok(Form::Tool(if lax { head } else { head.bool("strict", false) }.end()));
        }
        let reason = "the model takes no schema for its answer";
        self.losses.lose("response_format", Gravity::Meaning, reason)?;
        Ok(Form::Free)
    }

    fn limit(&mut self) -> Result<Option<u32>, Untranslatable> {
        let Some(wanted) = self.request.max_output_tokens else { return Ok(None) };
        if wanted == 0 {
            let reason = "the Responses API gives an answer of at least 16 tokens";
            self.losses.lose("max_tokens", Gravity::Meaning, reason)?;
        }
        let most = self.target.abilities.max_output.unwrap_or(u32::MAX);
        let limit = wanted.min(most).max(LEAST_OUTPUT);
        if limit != wanted {
            self.losses.tuning("max_tokens")?;
        }
        Ok(Some(limit))
    }

    fn sampling(&mut self, mut body: Object) -> Result<Object, Untranslatable> {
        let sampling = self.request.sampling;
        let reasons = self.effort() != Some(Effort::None);
        let taken = match self.target.abilities.sampling {
            SamplingRule::Always => true,
            SamplingRule::WithoutReasoning => !reasons,
            SamplingRule::Never => false,
        };
        for (field, value) in [("temperature", sampling.temperature), ("top_p", sampling.top_p)] {
            let Some(value) = value else { continue };
            if taken {
                body = body.raw(field, value);
            } else if !matches!(value.parse::<f64>(), Ok(number) if (number - 1.0).abs() < 1e-9) {
                // 1 is what they are anyway.
                self.losses.tuning(field)?;
            }
        }
        Ok(body)
    }

    /// Whether the model can be told how much to think.
    fn thinks(&self) -> bool {
        let can = self.target.abilities.thinking != Thinking::No;
        can && !self.has(Quirks::NO_REASONING_EFFORT)
    }

    /// The effort that is asked for, as far as the model knows any.
    fn effort(&self) -> Option<Effort> {
        let effort = self.request.reasoning?.effort().filter(|_| self.thinks())?;
        let always = self.target.abilities.always_thinks;
        Some(effort.max(if always { Effort::Minimal } else { Effort::None }))
    }

    fn reasoning(&mut self, body: Object) -> Result<Object, Untranslatable> {
        let Some(wanted) = self.request.reasoning else { return Ok(body) };
        if !self.thinks() {
            if wanted.effort().is_some_and(|effort| effort != Effort::None) {
                self.losses.tuning("reasoning_effort")?;
            }
            return Ok(body);
        }
        let summary = (wanted.shown == Some(true)).then_some("auto");
        let effort = self.effort().map(Effort::label);
        if effort.is_none() && summary.is_none() {
            return Ok(body);
        }
        let reasoning = Object::new().maybe("effort", effort).maybe("summary", summary);
        Ok(body.raw("reasoning", &reasoning.end()))
    }
}

/// A name of the end user that tells nobody more than it should: what is no
/// plain name (Claude Code sends a JSON with ids of devices) is told as a hash.
fn identifier(user: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@:+".contains(c);
    if user.len() <= LONGEST_USER && user.chars().all(plain) {
        return Cow::Borrowed(user);
    }
    Cow::Owned(digest::hex(user, 64))
}

#[cfg(test)]
#[path = "writing_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "writing_properties.rs"]
mod properties;
