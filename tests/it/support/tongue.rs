//! Clients of every dialect, by hand: what they ask, and what they understand
//! of an answer. Strict, since the official SDKs are: a stream that breaks a
//! rule of its dialect is no answer.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::client::{Reply, request_to};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tongue {
    Chat,
    Responses,
    Anthropic,
    Gemini,
    /// Gemini's streams as one JSON array.
    GeminiArray,
}

pub const TONGUES: [Tongue; 5] =
    [Tongue::Chat, Tongue::Responses, Tongue::Anthropic, Tongue::Gemini, Tongue::GeminiArray];

/// What a client understood of an answer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heard {
    pub text: String,
    /// Name and arguments of each tool call.
    pub calls: Vec<(String, Value)>,
    pub finish: Option<String>,
    /// The whole answer arrived, by the rules of the dialect.
    pub whole: bool,
    /// Messages of errors.
    pub errors: Vec<String>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

impl Tongue {
    /// A question with one user message, for a stream or not.
    pub fn asks(self, model: &str, prompt: &str, stream: bool) -> Request<Full<bytes::Bytes>> {
        self.asks_with(model, prompt, stream, &json!({}))
    }

    /// The same with further members of the body.
    pub fn asks_with(
        self,
        model: &str,
        prompt: &str,
        stream: bool,
        more: &Value,
    ) -> Request<Full<bytes::Bytes>> {
        let (path, mut body) = match self {
            Self::Chat => (
                "/v1/chat/completions".to_owned(),
                json!({ "model": model, "stream": stream,
                        "messages": [{ "role": "user", "content": prompt }] }),
            ),
            Self::Responses => (
                "/v1/responses".to_owned(),
                json!({ "model": model, "stream": stream, "input": prompt }),
            ),
            Self::Anthropic => (
                "/v1/messages".to_owned(),
                json!({ "model": model, "stream": stream, "max_tokens": 4096,
                        "messages": [{ "role": "user", "content": prompt }] }),
            ),
            Self::Gemini | Self::GeminiArray => {
                let verb = match (self, stream) {
                    (_, false) => "generateContent",
                    (Self::GeminiArray, true) => "streamGenerateContent",
                    (_, true) => "streamGenerateContent?alt=sse",
                };
                let contents = json!([{ "role": "user", "parts": [{ "text": prompt }] }]);
                (format!("/v1beta/models/{model}:{verb}"), json!({ "contents": contents }))
            }
        };
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let mut request = request_to(Method::POST, &path, body.to_string());
        if self == Self::Anthropic {
            request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
        }
        request
    }

    /// Members of a body that demand a call of a tool `find` with a `query`.
    pub fn demands_a_call(self) -> Value {
        let schema = json!({ "type": "object", "properties": { "query": { "type": "string" } },
                             "required": ["query"] });
        match self {
            Self::Chat => json!({
                "tools": [{ "type": "function", "function":
                    { "name": "find", "description": "finds", "parameters": schema } }],
                "tool_choice": { "type": "function", "function": { "name": "find" } } }),
            Self::Responses => json!({
                "tools": [{ "type": "function", "name": "find", "description": "finds",
                            "parameters": schema, "strict": false }],
                "tool_choice": { "type": "function", "name": "find" } }),
            Self::Anthropic => json!({
                "tools": [{ "name": "find", "description": "finds", "input_schema": schema }],
                "tool_choice": { "type": "tool", "name": "find" } }),
            Self::Gemini | Self::GeminiArray => json!({
                "tools": [{ "functionDeclarations": [{ "name": "find", "description": "finds",
                            "parametersJsonSchema": schema }] }],
                "toolConfig": { "functionCallingConfig":
                    { "mode": "ANY", "allowedFunctionNames": ["find"] } } }),
        }
    }

    /// Members of a body that ask for JSON of this schema.
    pub fn promises(self, schema: &Value) -> Value {
        match self {
            Self::Chat => json!({ "response_format": { "type": "json_schema", "json_schema":
                { "name": "answer", "schema": schema } } }),
            Self::Responses => json!({ "text": { "format":
                { "type": "json_schema", "name": "answer", "schema": schema } } }),
            Self::Anthropic => json!({ "output_config": { "format":
                { "type": "json_schema", "schema": schema } } }),
            Self::Gemini | Self::GeminiArray => json!({ "generationConfig":
                { "responseMimeType": "application/json", "responseJsonSchema": schema } }),
        }
    }

    /// What this client makes of the reply.
    pub fn hears(self, reply: &Reply, stream: bool) -> Heard {
        if reply.status != 200 || !stream {
            let body: Value = serde_json::from_slice(&reply.body)
                .unwrap_or_else(|e| panic!("{self:?}: {e}: {}", reply.text()));
            if reply.status != 200 {
                let message = body["error"]["message"].as_str();
                let message = message.unwrap_or_else(|| panic!("no error of {self:?}: {body}"));
                return Heard { errors: vec![message.to_owned()], ..Heard::default() };
            }
            return self.hears_whole(&body);
        }
        match self {
            Self::Chat => chat_stream(&events(reply)),
            Self::Responses => responses_stream(&events(reply)),
            Self::Anthropic => anthropic_stream(&events(reply)),
            Self::Gemini => gemini_stream(events(reply).into_iter().map(|(name, data)| {
                assert_eq!(name, None, "Gemini's streams have no event lines");
                serde_json::from_str(&data).unwrap()
            })),
            Self::GeminiArray => {
                let array: Vec<Value> = serde_json::from_slice(&reply.body)
                    .unwrap_or_else(|e| panic!("{e}: {}", reply.text()));
                gemini_stream(array.into_iter())
            }
        }
    }

    fn hears_whole(self, body: &Value) -> Heard {
        let mut heard = Heard { whole: true, ..Heard::default() };
        match self {
            Self::Chat => {
                let message = &body["choices"][0]["message"];
                heard.text = text(&message["content"]);
                heard.finish = string(&body["choices"][0]["finish_reason"]);
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    assert!(!text(&call["id"]).is_empty(), "{call}");
                    heard.call(&call["function"]["name"], &text(&call["function"]["arguments"]));
                }
                heard.usage(&body["usage"], "prompt_tokens", "completion_tokens");
            }
            Self::Responses => heard.response(body),
            Self::Anthropic => {
                assert_eq!(body["type"], "message", "{body}");
                for block in body["content"].as_array().unwrap() {
                    heard.text.push_str(block["text"].as_str().unwrap_or_default());
                    if block["type"] == "tool_use" {
                        assert!(block["input"].is_object(), "{block}");
                        heard.call(&block["name"], &block["input"].to_string());
                    }
                }
                heard.finish = string(&body["stop_reason"]);
                heard.usage(&body["usage"], "input_tokens", "output_tokens");
            }
            Self::Gemini | Self::GeminiArray => heard.candidate(body),
        }
        heard
    }
}

impl Heard {
    fn call(&mut self, name: &Value, arguments: &str) {
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        let arguments = serde_json::from_str(arguments)
            .unwrap_or_else(|e| panic!("arguments of {name}: {e}: {arguments}"));
        self.calls.push((text(name), arguments));
    }

    fn usage(&mut self, usage: &Value, input: &str, output: &str) {
        self.input_tokens = usage[input].as_u64().or(self.input_tokens);
        self.output_tokens = usage[output].as_u64().or(self.output_tokens);
    }

    fn response(&mut self, response: &Value) {
        assert_eq!(response["object"], "response", "{response}");
        for item in response["output"].as_array().unwrap() {
            match item["type"].as_str().unwrap() {
                "message" => {
                    for part in item["content"].as_array().unwrap() {
                        self.text.push_str(part["text"].as_str().unwrap_or_default());
                    }
                }
                "function_call" => {
                    assert!(!text(&item["call_id"]).is_empty(), "{item}");
                    self.call(&item["name"], &text(&item["arguments"]));
                }
                _ => {}
            }
        }
        self.finish = string(&response["status"]);
        self.usage(&response["usage"], "input_tokens", "output_tokens");
    }

    fn candidate(&mut self, body: &Value) {
        let candidate = &body["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            if part["thought"] != true {
                self.text.push_str(part["text"].as_str().unwrap_or_default());
            }
            if part["functionCall"].is_object() {
                let call = &part["functionCall"];
                self.call(&call["name"], &call["args"].to_string());
            }
        }
        self.finish = string(&candidate["finishReason"]).or(self.finish.take());
        self.usage(&body["usageMetadata"], "promptTokenCount", "candidatesTokenCount");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Name and data of every event; comments are skipped, anything else is wrong.
fn events(reply: &Reply) -> Vec<(Option<String>, String)> {
    let body = reply.text();
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(body.is_empty() || body.ends_with("\n\n"), "half an event: {body}");
    let blocks = body.split("\n\n").filter(|block| !block.is_empty());
    let mut events = Vec::new();
    for block in blocks {
        let mut event = (None, None);
        for line in block.lines().filter(|line| !line.starts_with(':')) {
            if let Some(name) = line.strip_prefix("event: ") {
                event.0 = Some(name.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                assert!(event.1.replace(data.to_owned()).is_none(), "two data lines: {block}");
            } else {
                panic!("a line of no kind: {line:?}");
            }
        }
        if let (name, Some(data)) = event {
            events.push((name, data));
        }
    }
    events
}

fn chat_stream(events: &[(Option<String>, String)]) -> Heard {
    let mut heard = Heard::default();
    let mut calls: Vec<(Value, String)> = Vec::new();
    let mut id = None;
    for (name, data) in events {
        assert_eq!(*name, None, "a chat stream has no event lines");
        assert!(!heard.whole, "something after [DONE]: {data}");
        if data == "[DONE]" {
            assert!(heard.finish.is_some() && heard.errors.is_empty(), "[DONE] too early");
            heard.whole = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if let Some(message) = chunk["error"]["message"].as_str() {
            heard.errors.push(message.to_owned());
            continue;
        }
        let own = chunk["id"].clone();
        assert_eq!(*id.get_or_insert(own.clone()), own, "one stream, one id");
        let delta = &chunk["choices"][0]["delta"];
        heard.text.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if calls.len() <= index {
                assert!(!text(&call["id"]).is_empty(), "{call}");
                calls.push((call["function"]["name"].clone(), String::new()));
            }
            calls[index].1.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
        heard.finish = string(&chunk["choices"][0]["finish_reason"]).or(heard.finish);
        heard.usage(&chunk["usage"], "prompt_tokens", "completion_tokens");
    }
    if heard.whole {
        for (name, arguments) in calls {
            heard.call(&name, &arguments);
        }
    }
    heard
}

fn responses_stream(events: &[(Option<String>, String)]) -> Heard {
    let mut heard = Heard::default();
    let (mut deltas, mut last, mut open) = (String::new(), None, Vec::new());
    for (name, data) in events {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.as_deref(), event["type"].as_str(), "{event}");
        assert!(!heard.whole, "something after the end: {event}");
        let number = event["sequence_number"].as_u64();
        assert!(number.is_some() && number > last || last.is_none(), "out of order: {event}");
        last = number;
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => open.push(event["output_index"].clone()),
            "response.output_item.done" => {
                assert_eq!(open.pop(), Some(event["output_index"].clone()), "{event}");
            }
            "response.output_text.delta" => {
                assert!(!open.is_empty(), "text without an item: {event}");
                deltas.push_str(event["delta"].as_str().unwrap());
            }
            "response.completed" | "response.incomplete" => {
                assert!(open.is_empty() && heard.errors.is_empty(), "{event}");
                heard.response(&event["response"]);
                assert_eq!(heard.text, deltas, "the end repeats the whole");
                heard.whole = true;
            }
            "response.failed" => {
                let message = event["response"]["error"]["message"].as_str().unwrap();
                heard.errors.push(message.to_owned());
            }
            "error" => {
                assert!(event["message"].is_string() && event["error"].is_object(), "{event}");
            }
            _ => {}
        }
    }
    heard.text = deltas;
    heard
}

fn anthropic_stream(events: &[(Option<String>, String)]) -> Heard {
    let mut heard = Heard::default();
    let (mut started, mut next) = (false, 0);
    // The open block: its kind, name, and what it says.
    let mut open: Option<(String, Value, String)> = None;
    for (name, data) in events {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.as_deref(), event["type"].as_str(), "{event}");
        assert!(!heard.whole, "something after message_stop: {event}");
        match event["type"].as_str().unwrap() {
            "message_start" => {
                assert!(!std::mem::replace(&mut started, true), "two message_start");
                assert_eq!(event["message"]["content"], json!([]));
                let usage = &event["message"]["usage"];
                assert!(usage["input_tokens"].is_u64() && usage["output_tokens"].is_u64());
                heard.usage(usage, "input_tokens", "output_tokens");
            }
            "content_block_start" => {
                assert!(started && open.is_none() && event["index"] == next, "{event}");
                let block = &event["content_block"];
                open = Some((text(&block["type"]), block["name"].clone(), String::new()));
            }
            "content_block_delta" => {
                assert_eq!(event["index"], next, "{event}");
                let (kind, _, said) = open.as_mut().expect("an open block");
                let (delta, fits) = match event["delta"]["type"].as_str().unwrap() {
                    "text_delta" => (&event["delta"]["text"], kind == "text"),
                    "input_json_delta" => (&event["delta"]["partial_json"], kind == "tool_use"),
                    "thinking_delta" => (&event["delta"]["thinking"], kind == "thinking"),
                    "signature_delta" => (&Value::Null, kind == "thinking"),
                    other => panic!("{other}"),
                };
                assert!(fits, "{event} in a block of {kind}");
                said.push_str(delta.as_str().unwrap_or_default());
                if kind == "text" {
                    heard.text.push_str(delta.as_str().unwrap());
                }
            }
            "content_block_stop" => {
                assert_eq!(event["index"], next, "{event}");
                let (kind, name, said) = open.take().expect("an open block");
                next += 1;
                if kind == "tool_use" {
                    heard.call(&name, &said);
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "message_delta within a block");
                heard.finish = string(&event["delta"]["stop_reason"]);
                heard.usage(&event["usage"], "input_tokens", "output_tokens");
            }
            "message_stop" => {
                assert!(heard.finish.is_some() && heard.errors.is_empty(), "ended too early");
                heard.whole = true;
            }
            "error" => heard.errors.push(text(&event["error"]["message"])),
            "ping" => {}
            other => panic!("no event of Anthropic's: {other}"),
        }
    }
    heard
}

fn gemini_stream(events: impl Iterator<Item = Value>) -> Heard {
    let mut heard = Heard::default();
    for event in events {
        assert!(heard.errors.is_empty(), "something after an error: {event}");
        if let Some(message) = event["error"]["message"].as_str() {
            assert!(event["error"]["status"].is_string(), "{event}");
            heard.errors.push(message.to_owned());
        } else {
            heard.candidate(&event);
        }
    }
    heard.whole = heard.finish.is_some() && heard.errors.is_empty();
    heard
}
