//! What a chat answer says, once its framing is gone: whole or streamed, read
//! without a line of the gateway's own code.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::Reply;

#[derive(Debug, Default)]
pub struct Said {
    pub text: String,
    /// Distinct ones, over all chunks.
    pub ids: BTreeSet<String>,
    pub models: BTreeSet<String>,
    pub finishes: Vec<String>,
    pub errors: Vec<Value>,
    pub comments: Vec<String>,
    pub tool_arguments: String,
    /// `[DONE]`s.
    pub done: usize,
    /// Events after the first `[DONE]`, and events that cannot be read.
    pub stray: Vec<String>,
    pub usages: usize,
}

impl Said {
    pub fn of(reply: &Reply) -> Self {
        let kind = reply.header("content-type").unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            Self::in_stream(&reply.text())
        } else {
            Self::in_json(&reply.json())
        }
    }

    fn in_json(value: &Value) -> Self {
        let mut said = Self::default();
        said.take(value, "message");
        said
    }

    pub fn in_stream(body: &str) -> Self {
        let mut said = Self::default();
        for event in body.split("\n\n").filter(|event| !event.is_empty()) {
            said.event(event);
        }
        said
    }

    fn event(&mut self, event: &str) {
        if let Some(comment) = event.strip_prefix(':') {
            self.comments.push(comment.trim().to_owned());
            return;
        }
        let data = event.strip_prefix("data: ");
        match data.map(|data| (data, serde_json::from_str(data))) {
            Some(("[DONE]", _)) => self.done += 1,
            Some((_, Ok(value))) if self.done == 0 => self.take(&value, "delta"),
            Some(_) | None => self.stray.push(event.to_owned()),
        }
    }

    fn take(&mut self, value: &Value, member: &str) {
        if value["error"].is_object() {
            self.errors.push(value.clone());
            return;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.ids.insert(text(&value["id"]));
        self.models.insert(text(&value["model"]));
        let choice = &value["choices"][0];
        self.text.push_str(&text(&choice[member]["content"]));
        let function = &choice[member]["tool_calls"][0]["function"];
        self.tool_arguments.push_str(&text(&function["arguments"]));
        self.finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
        self.usages += usize::from(value["usage"].is_object());
    }

    /// `Err` says how this is not one whole answer, properly ended, of which
    /// nothing came twice.
    pub fn is_whole(&self, text: &str, streamed: bool) -> Result<(), String> {
        let proper = self.finishes == ["stop"]
            && self.done == usize::from(streamed)
            && self.errors.is_empty()
            && self.stray.is_empty();
        if self.text != text {
            return Err(format!("the text is not the answer: {:?}, wanted {text:?}", self.text));
        }
        if !proper {
            return Err(format!("not a properly ended answer: {self:?}"));
        }
        Ok(())
    }
}
