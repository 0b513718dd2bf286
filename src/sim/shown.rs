//! What a policy may read of a simulated request and its answer.

use std::sync::Arc;

use serde_json::{Value, json};

use super::performance::Answer;
use crate::failover::Features;
use crate::policy::{Finish, OutputView, RequestView, ToolCall};
use crate::schema;

const FILLER: &str = "All work and no play makes a dull answer. ";

/// A request: the scenario's JSON, or what a client would have sent.
#[derive(Clone, Debug)]
pub struct ShownRequest {
    pub model: String,
    pub needs: Features,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl ShownRequest {
    fn made_up(&self) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": "A simulated question." }],
            "stream": self.needs.contains(Features::STREAMING),
        });
        if self.needs.contains(Features::JSON_SCHEMA) {
            body["response_format"] = json!({ "type": "json_object" });
        }
        if self.needs.contains(Features::TOOLS) {
            let tool = json!({ "name": "lookup", "parameters": { "type": "object" } });
            body["tools"] = json!([{ "type": "function", "function": tool }]);
        }
        body
    }
}

impl RequestView for ShownRequest {
    fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn json(&self, pointer: &str) -> Option<String> {
        match &self.body {
            Some(body) => body.pointer(pointer).map(Value::to_string),
            None => self.made_up().pointer(pointer).map(Value::to_string),
        }
    }
}

/// An answer, or what there is of it so far.
#[derive(Clone, Debug)]
pub struct ShownAnswer {
    pub answer: Arc<Answer>,
    /// Bytes of text so far, those of the attempts before included.
    pub bytes: u32,
    /// The client was promised JSON.
    pub json: bool,
    pub complete: bool,
}

impl ShownAnswer {
    fn whole_text(&self) -> String {
        let length = self.bytes as usize;
        match &self.answer.text {
            Some(text) if self.complete => text.clone(),
            Some(text) => text[..text.floor_char_boundary(length.min(text.len()))].to_owned(),
            None if self.json && self.answer.keeps_promise => {
                format!("{{\"answer\":\"{}\"}}", filler(length.saturating_sub(13)))
            }
            None => filler(length),
        }
    }
}

fn filler(length: usize) -> String {
    let mut text = FILLER.repeat(length / FILLER.len() + 1);
    text.truncate(length);
    text
}

impl OutputView for ShownAnswer {
    fn complete(&self) -> bool {
        self.complete
    }

    fn text(&self, offset: u32, limit: u32) -> String {
        let text = self.whole_text();
        let start = text.ceil_char_boundary((offset as usize).min(text.len()));
        let end = start.saturating_add(limit as usize).min(text.len());
        text[start..text.floor_char_boundary(end).max(start)].to_owned()
    }

    fn text_length(&self) -> u32 {
        match &self.answer.text {
            Some(text) if self.complete => u32::try_from(text.len()).unwrap_or(u32::MAX),
            Some(_) | None => self.bytes,
        }
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        Vec::new()
    }

    fn finish(&self) -> Finish {
        if self.complete { Finish::Stop } else { Finish::Unfinished }
    }

    fn violations(&self, schema: &str) -> Vec<String> {
        let Some(text) = &self.answer.text else {
            let broken = !self.answer.keeps_promise;
            return broken.then(|| "the text is not JSON".to_owned()).into_iter().collect();
        };
        schema::violations(text, schema)
    }
}
