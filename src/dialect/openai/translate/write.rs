//! The fields of a chat request, written for a target (wire formats §4.2, §4.3).

use bytes::Bytes;

use crate::dialect::digest;
use crate::dialect::hub::{Effort, Gravity, Legend, Losses, Request, Untranslatable};
use crate::dialect::names::Names;
use crate::dialect::target::{Quirks, SamplingRule, Target, Thinking, Written};

use super::super::compose::Json;
use super::super::ids::Ids;
use super::tools::TOOL_NAMES;

/// What `OpenAI` takes.
const MOST_STOPS: usize = 4;

/// Writes a request for a target of this dialect.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut writing = Writing::new(request, target);
    writing.json.open(b'{').text("model", target.model);
    writing.messages()?;
    writing.tools()?;
    writing.format()?;
    writing.limits()?;
    writing.sampling()?;
    writing.reasoning()?;
    writing.stream();
    writing.json.close(b'}');
    writing.legend.names = writing.names.legend();
    let body = Bytes::from(writing.json.into_bytes());
    Ok(Written { body, dropped: writing.losses.into_dropped(), legend: writing.legend })
}

/// A request in the making.
pub struct Writing<'w, 'a> {
    pub request: &'w Request<'a>,
    pub target: &'w Target<'w>,
    pub json: Json,
    pub losses: Losses,
    pub legend: Legend,
    pub names: Names,
    pub ids: Ids,
    /// Calls without an id so far.
    pub unnamed: u32,
}

impl<'w, 'a> Writing<'w, 'a> {
    fn new(request: &'w Request<'a>, target: &'w Target<'w>) -> Self {
        Self {
            request,
            target,
            json: Json::default(),
            losses: Losses::new(target.strictness),
            legend: Legend::default(),
            names: Names::new(TOOL_NAMES, request.tools.iter().map(|tool| &*tool.name)),
            ids: Ids::new(target.quirks.has(Quirks::SHORT_CALL_IDS)),
            unnamed: 0,
        }
    }

    pub const fn has(&self, quirk: Quirks) -> bool {
        self.target.quirks.has(quirk)
    }

    fn limits(&mut self) -> Result<(), Untranslatable> {
        let request = self.request;
        if let Some(wanted) = request.max_output_tokens {
            self.limit(wanted)?;
        }
        if !request.stop.is_empty() {
            if request.stop.len() > MOST_STOPS {
                self.losses.tuning("stop")?;
            }
            self.json.key("stop").open(b'[');
            for stop in request.stop.iter().take(MOST_STOPS) {
                self.json.string(stop);
            }
            self.json.close(b']');
        }
        if request.choices > 1 {
            self.json.key("n").number(request.choices);
        }
        if let Some(user) = request.user.as_ref().filter(|_| self.target.quirks.is_empty()) {
            // Some clients put ids of devices into it.
            self.json.text("user", &digest::letters(&[user], 32));
        }
        Ok(())
    }

    fn limit(&mut self, wanted: u32) -> Result<(), Untranslatable> {
        if wanted == 0 {
            return self.losses.lose("max_tokens", Gravity::Meaning, "no output is asked for");
        }
        let limit = wanted.min(self.target.abilities.max_output.unwrap_or(u32::MAX));
        if limit < wanted {
            self.losses.tuning("max_tokens")?;
        }
        let newer = self.target.abilities.max_completion_tokens && !self.has(Quirks::MAX_TOKENS);
        self.json.key(if newer { "max_completion_tokens" } else { "max_tokens" }).number(limit);
        Ok(())
    }

    fn sampling(&mut self) -> Result<(), Untranslatable> {
        let sampling = self.request.sampling;
        let allowed = self.samples();
        let ruled = [
            ("temperature", sampling.temperature, 1.0),
            ("top_p", sampling.top_p, 1.0),
            ("frequency_penalty", sampling.frequency_penalty, 0.0),
            ("presence_penalty", sampling.presence_penalty, 0.0),
        ];
        for (name, value, default) in ruled {
            match value {
                Some(value) if allowed => _ = self.json.key(name).raw(value),
                // What the model does anyway is no loss.
                Some(value) if value.parse() != Ok(default) => self.losses.tuning(name)?,
                Some(_) | None => {}
            }
        }
        if let Some(seed) = sampling.seed {
            self.json.key("seed").raw(seed);
        }
        if sampling.top_k.is_some() {
            self.losses.tuning("top_k")?;
        }
        match self.request.logprobs {
            Some(_) if !allowed => {
                self.losses.lose("logprobs", Gravity::Meaning, "the model gives none")?;
            }
            Some(alternatives) => {
                self.json.key("logprobs").bool(true);
                if alternatives > 0 {
                    self.json.key("top_logprobs").number(alternatives);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Whether the model takes sampling parameters in this request.
    fn samples(&self) -> bool {
        let effort = self.request.reasoning.and_then(|reasoning| reasoning.effort());
        match self.target.abilities.sampling {
            SamplingRule::Always => true,
            SamplingRule::WithoutReasoning => effort == Some(Effort::None),
            SamplingRule::Never => false,
        }
    }

    fn reasoning(&mut self) -> Result<(), Untranslatable> {
        let abilities = self.target.abilities;
        let effort = self.request.reasoning.and_then(|reasoning| reasoning.effort());
        let Some(effort) = effort else { return Ok(()) };
        if abilities.thinking == Thinking::No {
            // Not to think is what it does.
            return if effort == Effort::None {
                Ok(())
            } else {
                self.losses.tuning("reasoning_effort")
            };
        }
        if self.has(Quirks::NO_REASONING_EFFORT) {
            return self.losses.tuning("reasoning_effort");
        }
        let least = effort == Effort::None && abilities.always_thinks;
        let effort = if least { Effort::Minimal } else { effort };
        self.json.text("reasoning_effort", effort.label());
        Ok(())
    }

    /// Token counts are always asked for: the gateway counts them too.
    fn stream(&mut self) {
        if !self.request.stream {
            return;
        }
        self.json.key("stream").bool(true);
        if !self.has(Quirks::NO_STREAM_OPTIONS) {
            self.json.key("stream_options").open(b'{').key("include_usage").bool(true).close(b'}');
        }
    }
}
