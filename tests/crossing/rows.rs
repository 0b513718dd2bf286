//! One row is one claim: this, of a client of that dialect, is that at a
//! provider of another. What is wrong is collected, so that a run shows all.

use std::fmt::Write as _;

use backstay::dialect::catalog::abilities;
use backstay::dialect::hub::legend::Undo;
use backstay::dialect::hub::{Answer, Legend, Strictness};
use backstay::dialect::sse::End;
use backstay::dialect::translate::{Original, Refused, translate};
use backstay::dialect::{
    Abilities, Address, Dialect, ErrorOut, Frame, Framer, Framing, Head, Part, Quirks, Reader,
    Target, Task, Writer, Written,
};
use backstay::failover::refusal::status_of;
use serde_json::{Value, json};

pub const CHAT: Dialect = Dialect::OpenAi;
pub const RESPONSES: Dialect = Dialect::Responses;
pub const ANTHROPIC: Dialect = Dialect::Anthropic;
pub const GEMINI: Dialect = Dialect::Gemini;

/// What must come of a request.
pub enum Want {
    /// A body with this in it, and nothing is dropped.
    Body(Value),
    /// The same, and these fields are dropped with notice.
    Dropping(&'static [&'static str], Value),
    /// The target is not eligible, because of this field.
    Refused(&'static str),
}

/// See [`Want::Body`].
pub fn is(body: Value) -> Want {
    Want::Body(body)
}

/// See [`Want::Dropping`].
pub fn drops(fields: &'static [&'static str], body: Value) -> Want {
    Want::Dropping(fields, body)
}

/// See [`Want::Refused`].
pub fn refuses(field: &'static str) -> Want {
    Want::Refused(field)
}

/// The rows of one section, and what was wrong with them.
pub struct Rows {
    section: &'static str,
    abilities: Abilities,
    quirks: Quirks,
    strictness: Strictness,
    model: &'static str,
    seen: usize,
    wrong: String,
}

impl Rows {
    pub fn of(section: &'static str) -> Self {
        Self {
            section,
            abilities: Abilities::unknown(),
            quirks: Quirks::NONE,
            strictness: Strictness::Normal,
            model: "m",
            seen: 0,
            wrong: String::new(),
        }
    }

    /// The rows from here on are of targets with this model.
    pub fn model(&mut self, dialect: Dialect, model: &'static str) {
        self.abilities = abilities(dialect, model);
        self.model = model;
    }

    /// The rows from here on are of models that take system turns.
    pub fn system_turns(&mut self) {
        self.abilities.system_turns = true;
    }

    pub fn quirks(&mut self, quirks: Quirks) {
        self.quirks = quirks;
    }

    pub fn lenient(&mut self) {
        self.strictness = Strictness::Lenient;
    }

    fn translated(
        &self,
        client: Dialect,
        body: &Value,
        wire: Dialect,
        strictness: Strictness,
    ) -> Result<Written, Refused> {
        let stream = false;
        let address = Address { model: Some("m".to_owned()), stream, framing: Framing::Sse };
        let body = body.to_string();
        let task = Task::Generate;
        client.peek(task, body.as_bytes(), &address).map_err(Refused::Bad)?;
        let original = Original { client, task, body: &body, address: &address, continues: None };
        let (abilities, quirks) = (&self.abilities, self.quirks);
        translate(original, wire, &Target { model: self.model, abilities, quirks, strictness })
    }

    /// A request whose body has this besides a question.
    pub fn request(
        &mut self,
        name: &str,
        client: Dialect,
        more: &Value,
        wants: impl IntoIterator<Item = (Dialect, Want)>,
    ) {
        let body = with(client, more);
        for (wire, want) in wants {
            self.seen += 1;
            let said = self.translated(client, &body, wire, self.strictness);
            let strict = self.translated(client, &body, wire, Strictness::Strict).is_ok();
            if let Err(wrong) = judge(&said, strict, &want) {
                let _ = writeln!(
                    self.wrong,
                    "{} {name}: {} to {}: {wrong}",
                    self.section,
                    client.label(),
                    wire.label()
                );
            }
        }
    }

    /// What is written for a request whose body has this besides a question.
    pub fn body(&self, client: Dialect, more: &Value, wire: Dialect) -> Value {
        let written = self.translated(client, &with(client, more), wire, self.strictness);
        serde_json::from_slice(&written.expect("a translation").body).expect("JSON")
    }

    /// The request's own legend, for the answers to it.
    pub fn legend(&self, client: Dialect, more: &Value, wire: Dialect) -> Legend {
        let written = self.translated(client, &with(client, more), wire, self.strictness);
        written.expect("a translation").legend
    }

    /// A provider's whole answer as clients read it.
    pub fn answer(
        &mut self,
        name: &str,
        wire: Dialect,
        body: &Value,
        wants: impl IntoIterator<Item = (Dialect, Value)>,
    ) {
        for (client, want) in wants {
            self.seen += 1;
            let seen = whole(wire, body, client, Legend::default());
            if let Err(wrong) = covers(&seen, &want, "") {
                self.note(name, wire, client, &wrong, &seen);
            }
        }
    }

    pub fn note(&mut self, name: &str, from: Dialect, to: Dialect, wrong: &str, seen: &Value) {
        let (from, to) = (from.label(), to.label());
        let _ = writeln!(self.wrong, "{} {name}: {from} to {to}: {wrong} in {seen}", self.section);
    }

    pub fn count(&mut self) {
        self.seen += 1;
    }

    pub fn done(self) {
        assert!(self.seen > 0, "{} has no rows", self.section);
        assert!(self.wrong.is_empty(), "\n{}", self.wrong);
    }
}

/// A question with these members.
pub fn with(client: Dialect, more: &Value) -> Value {
    let mut body = question(client);
    for (key, value) in more.as_object().expect("members") {
        body[key] = value.clone();
    }
    body
}

/// The least a client of this dialect asks.
pub fn question(client: Dialect) -> Value {
    let turns = json!([{ "role": "user", "content": "q" }]);
    match client {
        Dialect::OpenAi => json!({ "model": "m", "messages": turns }),
        Dialect::Responses => json!({ "model": "m", "input": "q" }),
        Dialect::Anthropic => json!({ "model": "m", "max_tokens": 8000, "messages": turns }),
        Dialect::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }] }] }),
    }
}

fn judge(said: &Result<Written, Refused>, strict: bool, want: &Want) -> Result<(), String> {
    let (body, fields) = match want {
        Want::Body(body) => (body, &[][..]),
        Want::Dropping(fields, body) => (body, *fields),
        Want::Refused(field) => {
            return match said {
                Err(Refused::Untranslatable(why)) if why.field == *field && !strict => Ok(()),
                Err(why) => Err(format!("refused for another reason: {why}")),
                Ok(written) => Err(format!("not refused: {}", text(&written.body))),
            };
        }
    };
    let written = said.as_ref().map_err(|why| format!("refused: {why}"))?;
    let seen: Value = serde_json::from_slice(&written.body).map_err(|error| error.to_string())?;
    covers(&seen, body, "").map_err(|wrong| format!("{wrong} in {seen}"))?;
    if written.dropped != fields {
        return Err(format!("dropped {:?}, not {fields:?}: {seen}", written.dropped));
    }
    if strict != fields.is_empty() {
        return Err(format!("a strict route bears it: {strict}"));
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a value has all that is wanted: of an object these members, and no
/// member that is wanted to be null; of an array each element and no more; of
/// all else the same.
pub fn covers(seen: &Value, want: &Value, at: &str) -> Result<(), String> {
    match (seen, want) {
        (Value::Object(seen), Value::Object(want)) => want.iter().try_for_each(|(key, want)| {
            covers(seen.get(key).unwrap_or(&Value::Null), want, &format!("{at}/{key}"))
        }),
        (Value::Array(seen), Value::Array(want)) if seen.len() == want.len() => {
            let pairs = seen.iter().zip(want).enumerate();
            let mut pairs = pairs.map(|(n, (seen, want))| covers(seen, want, &format!("{at}/{n}")));
            pairs.find(Result::is_err).unwrap_or(Ok(()))
        }
        (seen, want) if seen == want => Ok(()),
        (seen, want) => Err(format!("{at} is {seen}, not {want}")),
    }
}

fn head() -> Head {
    Head {
        id: "trace".to_owned(),
        model: "asked".to_owned(),
        created: 1_760_000_000,
        include_usage: true,
        framing: Framing::Sse,
    }
}

/// A provider's whole answer as a client reads it.
pub fn whole(wire: Dialect, body: &Value, client: Dialect, legend: Legend) -> Value {
    let body = body.to_string();
    let kind = Some("application/json");
    if let Err(outcome) = wire.read_whole(Task::Generate, kind, body.as_bytes(), &[]) {
        return json!({ "outcome": format!("{outcome:?}") });
    }
    let answer = wire.read_answer(body.as_bytes()).expect("an answer");
    let answer = Answer::of(Undo::new(legend).apply(answer.into_events()));
    serde_json::from_slice(&client.write_answer(&answer, &head())).expect("JSON")
}

fn frames_of(sent: &str) -> Vec<Frame> {
    let mut split = Framer::new(1 << 20);
    split.push(sent.as_bytes().to_vec().into());
    let mut frames = Vec::new();
    while let Some(frame) = split.next_frame().expect("frames") {
        frames.push(frame);
    }
    if let End::Last(frame) = split.finish() {
        frames.push(frame);
    }
    frames
}

/// A provider's stream as a client gets it. One that breaks ends in an error.
pub fn streamed(wire: Dialect, sent: &str, client: Dialect, legend: Legend) -> String {
    let frames = frames_of(sent);
    let (mut reader, mut writer) = (Reader::decoding(wire, 1, legend), Writer::new(client, head()));
    let mut out = Vec::new();
    for frame in &frames {
        if let Err(broken) = passed(&mut reader, frame, &mut writer, &mut out) {
            fail(&mut writer, broken.as_str(), &mut out);
            return text(&out);
        }
    }
    if reader.completed() {
        writer.finish(&mut out);
    } else {
        fail(&mut writer, "upstream_error", &mut out);
    }
    text(&out)
}

fn passed(
    reader: &mut Reader,
    frame: &Frame,
    writer: &mut Writer,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let part = reader.read(frame, &[]);
    for event in reader.take_events() {
        writer.write(&event, out);
    }
    match part {
        Part::Error(reply) => Err(status_of(reply.class).1.to_owned()),
        Part::Malformed { .. } => Err("upstream_error".to_owned()),
        Part::Comment
        | Part::Lifecycle
        | Part::Content(_)
        | Part::Finish(_)
        | Part::Usage
        | Part::Done => Ok(()),
    }
}

fn fail(writer: &mut Writer, code: &str, out: &mut Vec<u8>) {
    let error = ErrorOut {
        status: 502,
        code,
        message: "broken",
        param: None,
        retry_after: None,
        trace: "trace",
        attempts: &[],
    };
    writer.error(&error, out);
}
