//! The turns of a request, written as chat messages. After the assistant's calls
//! come their results, each in a message of its own, and only then what else
//! was said.

use std::collections::{BTreeMap, VecDeque};

use crate::dialect::Dialect;
use crate::dialect::hub::legend::FREE_TEXT_PARAMETER;
use crate::dialect::hub::{Block, Call, Gravity, Media, Role, ToolResult, Turn, Untranslatable};
use crate::dialect::target::Quirks;

use super::super::compose::Json;
use super::super::ids;
use super::write::Writing;

/// The calls of the assistant's last message that wait for results.
#[derive(Default)]
struct Pending<'w> {
    /// As they are sent; answered ones are empty.
    ids: Vec<String>,
    by_id: BTreeMap<&'w str, VecDeque<usize>>,
    by_name: BTreeMap<&'w str, VecDeque<usize>>,
}

impl<'w> Pending<'w> {
    fn add(&mut self, call: &'w Call<'_>, sent: String) {
        let place = self.ids.len();
        self.ids.push(sent);
        if let Some(id) = call.id.as_deref().filter(|id| !id.is_empty()) {
            self.by_id.entry(id).or_default().push_back(place);
        }
        self.by_name.entry(&call.name).or_default().push_back(place);
    }

    /// The id, as it is sent, of the call that this is the result of.
    fn answer(&mut self, result: &ToolResult<'_>) -> Option<String> {
        let waiting = match (result.id.as_deref(), result.name.as_deref()) {
            (Some(id), _) if !id.is_empty() => self.by_id.get_mut(id)?,
            (_, Some(name)) => self.by_name.get_mut(name)?,
            (_, None) => return None,
        };
        loop {
            let sent = std::mem::take(&mut self.ids[waiting.pop_front()?]);
            if !sent.is_empty() {
                return Some(sent);
            }
        }
    }
}

/// What the assistant says in one message.
#[derive(Default)]
struct Said<'w, 'a> {
    text: Option<String>,
    thoughts: String,
    refusal: Option<String>,
    calls: Vec<&'w Call<'a>>,
}

impl<'a> Writing<'_, 'a> {
    pub fn messages(&mut self) -> Result<(), Untranslatable> {
        let continued = self.request.ends_with_assistant() && !self.request.answers_anew;
        if continued && !self.target.abilities.prefill {
            let reason = "the model does not continue a turn of the assistant";
            self.losses.lose("messages", Gravity::Meaning, reason)?;
        }
        self.json.key("messages").open(b'[');
        self.system()?;
        let mut turns = &self.request.turns[..];
        while !turns.is_empty() {
            let is_said = |turn: &&Turn<'_>| turn.role == Role::Assistant;
            let (said, rest) = turns.split_at(turns.iter().take_while(is_said).count());
            let heard = rest.iter().take_while(|turn| !is_said(turn)).count();
            let (heard, rest) = rest.split_at(heard);
            let pending = self.said(said)?;
            let images = self.results(pending, heard)?;
            self.heard(heard, images)?;
            turns = rest;
        }
        self.json.close(b']');
        Ok(())
    }

    fn system(&mut self) -> Result<(), Untranslatable> {
        let instruction = self.format_instruction();
        let mut texts = Vec::new();
        for block in &self.request.system {
            match block {
                Block::Text(text) => texts.push(&**text),
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                // Not in system texts.
                Block::Media(_)
                | Block::Thought(_)
                | Block::Call(_)
                | Block::Result(_)
                | Block::Refusal(_) => {}
            }
        }
        texts.extend(instruction.as_deref());
        match &texts[..] {
            [] => {}
            [text] => _ = begin(&mut self.json, "system").string(text).close(b'}'),
            texts => {
                let json = begin(&mut self.json, "system").open(b'[');
                for text in texts {
                    text_part(json, text);
                }
                json.close(b']').close(b'}');
            }
        }
        Ok(())
    }

    /// Consecutive turns of the assistant are one message, since the results of
    /// all its calls must follow.
    fn said<'w>(&mut self, turns: &'w [Turn<'a>]) -> Result<Pending<'w>, Untranslatable> {
        let mut pending = Pending::default();
        if turns.is_empty() {
            return Ok(pending);
        }
        let mut said = Said::default();
        for turn in turns {
            let mut fresh = said.text.is_some();
            for block in &turn.blocks {
                self.say(block, &mut said, &mut fresh)?;
            }
        }
        self.assistant(&said);
        if !said.calls.is_empty() {
            self.json.key("tool_calls").open(b'[');
            for call in said.calls {
                let sent = self.call_id(call);
                self.call(call, &sent);
                pending.add(call, sent);
            }
            self.json.close(b']');
        }
        self.json.close(b'}');
        Ok(pending)
    }

    /// `fresh`: the text so far is another turn's.
    fn say<'w>(
        &mut self,
        block: &'w Block<'a>,
        said: &mut Said<'w, 'a>,
        fresh: &mut bool,
    ) -> Result<(), Untranslatable> {
        match block {
            Block::Text(text) => {
                let whole = said.text.get_or_insert_default();
                if std::mem::take(fresh) {
                    whole.push_str("\n\n");
                }
                whole.push_str(text);
            }
            Block::Refusal(text) => said.refusal.get_or_insert_default().push_str(text),
            Block::Thought(thought) => said.thoughts.push_str(&thought.text),
            Block::Call(call) => said.calls.push(call),
            Block::Media(_) => {
                self.losses.lose("images", Gravity::Vital, "the assistant can send none")?;
            }
            Block::CachePoint(_) => self.losses.tuning("cache_control")?,
            // Not in turns of the assistant.
            Block::Result(_) => {}
        }
        Ok(())
    }

    /// The message up to its calls.
    fn assistant(&mut self, said: &Said<'_, '_>) {
        // Servers that deviate seldom know the member.
        let as_refusal = self.target.quirks.is_empty() && said.text.is_none();
        let refusal = said.refusal.as_deref();
        let json = begin(&mut self.json, "assistant");
        match (said.text.as_deref(), refusal) {
            (Some(text), Some(refusal)) => json.display(&format_args!("{text}\n\n{refusal}")),
            (Some(text), None) => json.string(text),
            (None, Some(refusal)) if !as_refusal => json.string(refusal),
            (None, Some(refusal)) => json.raw("null").text("refusal", refusal),
            (None, None) if said.calls.is_empty() => json.string(""),
            (None, None) => json.raw("null"),
        };
        let wanted = !said.thoughts.is_empty() || !said.calls.is_empty();
        if wanted && self.has(Quirks::REASONING_ECHO) {
            self.json.text("reasoning_content", &said.thoughts);
        }
    }

    fn call_id(&mut self, call: &Call<'_>) -> String {
        match call.id.as_deref() {
            Some(id) if !id.is_empty() => self.ids.of(id),
            Some(_) | None => {
                self.unnamed += 1;
                self.ids.of(&ids::made("", 0, self.unnamed))
            }
        }
    }

    fn call(&mut self, call: &Call<'_>, sent: &str) {
        let name = self.names.of(&call.name);
        let json = self.json.open(b'{').text("id", sent);
        let wrapped = self.target.quirks.has(Quirks::FUNCTIONS_ONLY);
        let kind = if call.free_text && !wrapped { "custom" } else { "function" };
        json.text("type", kind).key(kind).open(b'{').text("name", &name);
        match (call.free_text, wrapped) {
            (true, false) => json.text("input", &call.arguments),
            (true, true) => {
                let mut inner = Json::default();
                inner.open(b'{').text(FREE_TEXT_PARAMETER, &call.arguments).close(b'}');
                json.text("arguments", &inner.into_text())
            }
            (false, _) if call.arguments.trim().is_empty() => json.text("arguments", "{}"),
            (false, _) => json.text("arguments", &call.arguments),
        };
        json.close(b'}');
        let shown = self.target.abilities.call_signatures;
        if let Some(proof) = call.signature.as_ref().filter(|s| shown && s.by == Dialect::Gemini) {
            json.key("extra_content").open(b'{').key("google").open(b'{');
            json.text("thought_signature", &proof.value).close(b'}').close(b'}');
        }
        json.close(b'}');
    }

    /// The results of the calls; gives the images that are in them.
    fn results<'w>(
        &mut self,
        mut pending: Pending<'_>,
        turns: &'w [Turn<'a>],
    ) -> Result<Vec<&'w Media<'a>>, Untranslatable> {
        let mut images = Vec::new();
        for block in turns.iter().flat_map(|turn| &turn.blocks) {
            let Block::Result(result) = block else { continue };
            if let Some(sent) = pending.answer(result) {
                self.result(&sent, result, &mut images)?;
            } else {
                let reason = "a result without its call";
                self.losses.lose("tool_results", Gravity::Meaning, reason)?;
            }
        }
        for sent in pending.ids.iter().filter(|sent| !sent.is_empty()) {
            self.losses.tuning("tool_results")?;
            tool(&mut self.json, sent).string("Error: there is no result").close(b'}');
        }
        Ok(images)
    }

    fn result<'w>(
        &mut self,
        sent: &str,
        result: &'w ToolResult<'a>,
        images: &mut Vec<&'w Media<'a>>,
    ) -> Result<(), Untranslatable> {
        let mut text = String::from(if result.is_error { "Error: " } else { "" });
        let before = images.len();
        let mut first = true;
        for block in &result.content {
            match block {
                Block::Text(more) => {
                    text.push_str(if std::mem::take(&mut first) { "" } else { "\n" });
                    text.push_str(more);
                }
                Block::Media(media) => images.push(media),
                // Not in results.
                Block::Thought(_)
                | Block::Call(_)
                | Block::Result(_)
                | Block::Refusal(_)
                | Block::CachePoint(_) => {}
            }
        }
        if images.len() > before {
            self.losses.tuning("images")?;
            if first {
                text.push_str("The result is in the next message.");
            }
        }
        tool(&mut self.json, sent).string(&text).close(b'}');
        Ok(())
    }

    /// What the user and the operator say besides results. The images of
    /// results come first.
    fn heard(
        &mut self,
        turns: &[Turn<'a>],
        mut images: Vec<&Media<'a>>,
    ) -> Result<(), Untranslatable> {
        for turn in turns {
            let is_result = |block: &Block<'_>| matches!(block, Block::Result(_));
            let only_results = !turn.blocks.is_empty() && turn.blocks.iter().all(is_result);
            match turn.role {
                Role::System => self.aside(turn)?,
                Role::User if only_results => {}
                Role::User => self.user(&std::mem::take(&mut images), &turn.blocks)?,
                Role::Assistant => {}
            }
        }
        if !images.is_empty() {
            self.user(&images, &[])?;
        }
        Ok(())
    }

    fn aside(&mut self, turn: &Turn<'_>) -> Result<(), Untranslatable> {
        let mut texts = Vec::new();
        for block in &turn.blocks {
            match block {
                Block::Text(text) => texts.push(&**text),
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                // Not in system turns.
                Block::Media(_)
                | Block::Thought(_)
                | Block::Call(_)
                | Block::Result(_)
                | Block::Refusal(_) => {}
            }
        }
        begin(&mut self.json, "system").string(&texts.join("\n\n")).close(b'}');
        Ok(())
    }

    fn user(&mut self, images: &[&Media<'_>], blocks: &[Block<'_>]) -> Result<(), Untranslatable> {
        begin(&mut self.json, "user");
        let visible =
            |block: &&Block<'_>| !matches!(block, Block::CachePoint(_) | Block::Result(_));
        let mut shown = blocks.iter().filter(visible);
        if let ([], one, None) = (images, shown.next(), shown.next())
            && let Some(Block::Text(_)) | None = one
        {
            let text = if let Some(Block::Text(text)) = one { text } else { "" };
            self.json.string(text).close(b'}');
            return self.cache_points(blocks);
        }
        self.json.open(b'[');
        for media in images {
            self.media(media)?;
        }
        for block in blocks {
            match block {
                Block::Text(text) | Block::Refusal(text) => text_part(&mut self.json, text),
                Block::Media(media) => self.media(media)?,
                // Results were written; the rest is not in turns of the user.
                Block::Result(_) | Block::Thought(_) | Block::Call(_) | Block::CachePoint(_) => {}
            }
        }
        self.json.close(b']').close(b'}');
        self.cache_points(blocks)
    }

    fn cache_points(&mut self, blocks: &[Block<'_>]) -> Result<(), Untranslatable> {
        if blocks.iter().any(|block| matches!(block, Block::CachePoint(_))) {
            self.losses.tuning("cache_control")?;
        }
        Ok(())
    }
}

/// A message up to its content.
fn begin<'j>(json: &'j mut Json, role: &str) -> &'j mut Json {
    json.open(b'{').text("role", role).key("content")
}

/// A tool's message up to its content.
fn tool<'j>(json: &'j mut Json, id: &str) -> &'j mut Json {
    json.open(b'{').text("role", "tool").text("tool_call_id", id).key("content")
}

pub fn text_part(json: &mut Json, text: &str) {
    json.open(b'{').text("type", "text").text("text", text).close(b'}');
}
