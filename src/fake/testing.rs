//! What the tests of the dialects share: a request in, the whole answer out,
//! without a socket.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;

use super::behaviour::Behaviour;
use super::http::{Request, header_lines};
use super::reply::{self, Asked, Context};
use super::script::{End, Script};

/// An answer as a client sees it.
pub(super) struct Told {
    pub status: u16,
    pub head: String,
    /// Without its framing.
    pub body: String,
    /// Whether it ends as HTTP wants it.
    pub complete: bool,
    pub end: End,
    pub dialect: &'static str,
}

/// The answer to a request; the headers are lines, and the target has its query.
pub(super) fn tell(target: &str, headers: &str, body: &Value, spec: &str) -> Told {
    let method = if body.is_null() { "GET" } else { "POST" };
    tell_raw(method, target, headers, &body.to_string(), spec)
}

pub(super) fn tell_raw(method: &str, target: &str, headers: &str, body: &str, spec: &str) -> Told {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n", headers.replace('\n', "\r\n"));
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        head: Bytes::from(head),
        body: Bytes::from(body.to_owned()),
        keep_alive: true,
    };
    let asked = Asked::of(&request);
    let behaviour = Behaviour::parse(spec).unwrap();
    let fault = behaviour.fault_at(0, Duration::ZERO, 0);
    let mut script = Script::default();
    script.clear(false);
    script.request_id.push_str("req-fake-7");
    let context = Context {
        provider: "fake",
        number: 7,
        now: UNIX_EPOCH + Duration::from_hours(500_000),
        key: &asked.key,
        key_accepted: asked.key == "k",
    };
    reply::write(&mut script, &context, &asked, &behaviour, fault);
    told(script, asked.tongue.name())
}

fn told(script: Script, dialect: &'static str) -> Told {
    let text = String::from_utf8(script.bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut told = Told {
        status: head[9..12].parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
        complete: true,
        end: script.end,
        dialect,
    };
    if let Some(length) = told.header("content-length") {
        told.complete = length.parse() == Ok(told.body.len());
    } else {
        (told.body, told.complete) = dechunked(body);
    }
    told
}

fn dechunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        if size == 0 {
            return (body, true);
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (body, false)
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let found = header_lines(&self.head).find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// Names and data of the events; a name is empty where there is none.
    pub fn events(&self) -> Vec<(String, Value)> {
        let event = |frame: &str| {
            let name = frame.lines().find_map(|line| line.strip_prefix("event: "));
            let data = frame.lines().find_map(|line| line.strip_prefix("data: "))?;
            let data = serde_json::from_str(data).unwrap_or_else(|_| data.into());
            Some((name.unwrap_or_default().to_owned(), data))
        };
        self.body.split("\n\n").filter_map(event).collect()
    }

    /// The names alone, repetitions of one after another left out.
    pub fn names(&self) -> String {
        let mut names: Vec<_> = self.events().into_iter().map(|(name, _)| name).collect();
        names.dedup();
        names.join(" ")
    }
}
