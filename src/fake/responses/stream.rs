//! Responses, streamed: named events, numbered; the last one repeats it all.

use serde_json::{Value, json};

use super::super::answer::pieces;
use super::super::call::{Call, Content, Finish};
use super::super::calls::ToolCall;
use super::super::script::{put, put_json};
use super::super::stream::{Voice, Wire};
use super::answer::{
    ended, item, item_id, part, reasoning, reasoning_id, response, tool_item, tool_item_id,
};

/// More than any event takes, apart from what is said in it.
const EVENT_BYTES: usize = 2048;

pub(in super::super) struct Events<'a> {
    call: &'a Call<'a>,
    item_id: String,
    /// The number of the next event.
    sequence: u64,
    said: String,
    /// Whether an item has begun and not ended.
    open: bool,
    /// Calls of tools that are still to be told.
    more: &'a [ToolCall],
    /// The items that have ended.
    output: Vec<Value>,
    /// Why it ended, each time it did.
    finishes: Vec<Finish>,
}

impl<'a> Events<'a> {
    pub fn new(call: &'a Call<'a>) -> Self {
        Self {
            call,
            item_id: item_id(call),
            sequence: 0,
            said: String::new(),
            open: false,
            more: call.more_calls,
            output: Vec::new(),
            finishes: Vec::new(),
        }
    }

    /// An event with these members after its type and number.
    fn event(&mut self, wire: &mut Wire<'_>, name: &str, members: &Value) {
        let sequence = self.next();
        let out = wire.begin();
        put(out, format_args!("event: {name}\ndata: {{\"type\":\"{name}\","));
        put(out, format_args!("\"sequence_number\":{sequence}"));
        for (name, value) in members.as_object().into_iter().flatten() {
            put(out, format_args!(",\"{name}\":{value}"));
        }
        out.extend_from_slice(b"}\n\n");
        wire.send();
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    /// What the events about the content are called, up to their last word.
    fn family(&self) -> &'static str {
        match self.call.content {
            Content::Text(_) => "response.output_text",
            Content::Refusal(_) => "response.refusal",
            Content::Tool { .. } => "response.function_call_arguments",
        }
    }

    fn lifecycle(&mut self, wire: &mut Wire<'_>, name: &str) {
        let response = response(self.call, "in_progress", Finish::Stop, &json!([]));
        self.event(wire, name, &json!({ "response": response }));
    }

    /// The item in full, in all the events that repeat it.
    fn close_item(&mut self, wire: &mut Wire<'_>, status: &str) {
        let (id, said) = (self.item_id.clone(), std::mem::take(&mut self.said));
        let name = format!("{}.done", self.family());
        let place = json!({ "item_id": id, "output_index": self.output.len() });
        let within = |more: Value| {
            let mut members = place.clone();
            for (name, value) in more.as_object().into_iter().flatten() {
                members[name] = value.clone();
            }
            members
        };
        let done = match self.call.content {
            Content::Text(_) => json!({ "content_index": 0, "text": said, "logprobs": [] }),
            Content::Refusal(_) => json!({ "content_index": 0, "refusal": said }),
            Content::Tool { name, .. } => json!({ "name": name, "arguments": said }),
        };
        self.event(wire, &name, &within(done));
        if !self.call.content.is_tool() {
            let part = json!({ "content_index": 0, "part": part(self.call, &said) });
            self.event(wire, "response.content_part.done", &within(part));
        }
        let item = item(self.call, status, &said);
        let members = json!({ "output_index": self.output.len(), "item": item });
        self.event(wire, "response.output_item.done", &members);
        self.output.push(item);
        self.open = false;
    }

    /// One more call, whole.
    fn tool(&mut self, wire: &mut Wire<'_>, place: usize, tool: &ToolCall) {
        let begun = tool_item(self.call, "in_progress", place, (&tool.name, ""));
        let added = json!({ "output_index": self.output.len(), "item": begun });
        self.event(wire, "response.output_item.added", &added);
        let id = tool_item_id(self.call, place);
        let delta =
            json!({ "item_id": id, "output_index": self.output.len(), "delta": tool.arguments });
        self.event(wire, "response.function_call_arguments.delta", &delta);
        let done = json!({
            "item_id": id,
            "output_index": self.output.len(),
            "name": tool.name,
            "arguments": tool.arguments,
        });
        self.event(wire, "response.function_call_arguments.done", &done);
        let item = tool_item(self.call, "completed", place, (&tool.name, &tool.arguments));
        let members = json!({ "output_index": self.output.len(), "item": item });
        self.event(wire, "response.output_item.done", &members);
        self.output.push(item);
    }
}

impl Voice for Events<'_> {
    fn start(&mut self, wire: &mut Wire<'_>) {
        self.lifecycle(wire, "response.created");
        self.lifecycle(wire, "response.in_progress");
    }

    fn think(&mut self, wire: &mut Wire<'_>) {
        let (call, id) = (self.call, reasoning_id(self.call));
        let added = json!({ "output_index": 0, "item": reasoning(call, "") });
        self.event(wire, "response.output_item.added", &added);
        let mut members = json!({ "item_id": id, "output_index": 0, "summary_index": 0 });
        let with = |members: &mut Value, name: &str, value: Value| {
            members[name] = value;
            members.clone()
        };
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        let begun = with(&mut members.clone(), "part", part(""));
        self.event(wire, "response.reasoning_summary_part.added", &begun);
        for piece in pieces(call.thoughts) {
            let delta = with(&mut members.clone(), "delta", piece.into());
            self.event(wire, "response.reasoning_summary_text.delta", &delta);
        }
        let done = with(&mut members.clone(), "text", call.thoughts.into());
        self.event(wire, "response.reasoning_summary_text.done", &done);
        let done = with(&mut members, "part", part(call.thoughts));
        self.event(wire, "response.reasoning_summary_part.done", &done);
        let item = reasoning(call, call.thoughts);
        let done = json!({ "output_index": 0, "item": item });
        self.event(wire, "response.output_item.done", &done);
        self.output.push(item);
    }

    fn open_content(&mut self, wire: &mut Wire<'_>) {
        self.open = true;
        let added = json!({ "output_index": self.output.len(), "item": item(self.call, "in_progress", "") });
        self.event(wire, "response.output_item.added", &added);
        if !self.call.content.is_tool() {
            let members = json!({
                "item_id": self.item_id,
                "output_index": self.output.len(),
                "content_index": 0,
                "part": part(self.call, ""),
            });
            self.event(wire, "response.content_part.added", &members);
        }
    }

    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str) {
        self.said.push_str(piece);
        let (family, sequence) = (self.family(), self.next());
        let index = if self.call.content.is_tool() { "" } else { "\"content_index\":0," };
        let out = wire.begin();
        put(out, format_args!("event: {family}.delta\ndata: {{\"type\":\"{family}.delta\","));
        put(out, format_args!("\"sequence_number\":{sequence},\"item_id\":\"{}\",", self.item_id));
        put(out, format_args!("\"output_index\":{},{index}\"delta\":", self.output.len()));
        put_json(out, piece);
        out.extend_from_slice(b"}\n\n");
        wire.send();
    }

    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish) {
        if self.open {
            self.close_item(wire, ended(finish));
        }
        if finish == Finish::ToolCalls {
            for (place, more) in std::mem::take(&mut self.more).iter().enumerate() {
                self.tool(wire, place + 1, more);
            }
        }
        self.finishes.push(finish);
    }

    fn close(&mut self, wire: &mut Wire<'_>) {
        for finish in std::mem::take(&mut self.finishes) {
            let status = ended(finish);
            let output = Value::Array(self.output.clone());
            let response = response(self.call, status, finish, &output);
            self.event(wire, &format!("response.{status}"), &json!({ "response": response }));
        }
    }

    /// Flat before any content, as it is documented; nested and with the
    /// response after it otherwise. Both are seen.
    fn error(&mut self, wire: &mut Wire<'_>) {
        let error = self.call.tongue.overloaded().json["error"].take();
        let mut members =
            json!({ "code": error["code"], "message": error["message"], "param": null });
        if self.open {
            members["error"] = error.clone();
        }
        self.event(wire, "error", &members);
        if self.open {
            let mut response = response(self.call, "failed", Finish::Stop, &json!([]));
            response["error"] = json!({ "code": error["code"], "message": error["message"] });
            self.event(wire, "response.failed", &json!({ "response": response }));
        }
    }

    fn malformed(&mut self, wire: &mut Wire<'_>) {
        wire.raw(
            b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
              \"item_id\":\"ms\n\n",
        );
    }

    fn half_event(&mut self, wire: &mut Wire<'_>) {
        wire.raw(b"event: response.output_text.delta\ndata: {\"type\":\"response.output_te");
    }

    fn idle(&self) -> Vec<u8> {
        b": keep-alive\n\n".to_vec()
    }

    fn more_than(&self, pieces: usize) -> usize {
        (pieces + 6) * EVENT_BYTES
            + 6 * (self.call.content.text().len() + 4 * self.call.model.len())
    }
}
