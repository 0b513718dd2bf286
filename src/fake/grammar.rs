//! Behaviours as they are written: the grammar of the module's head, with
//! errors that name the remedy. Pure.

use std::str::FromStr;

use super::behaviour::{
    Behaviour, BodyFault, Bulk, ConnectionFault, ContentFault, Fault, Hint, Rejection,
    RejectionKind, SlowFault, StreamFault, When,
};
use super::part::{
    Part, Problem, bounded, continues, duration, flap, latency, number, on_or_off, share, status,
    stays_open, wrong,
};

/// All parts of a behaviour: name, parameters with their defaults, effect.
pub const FAULTS: &[(&str, &str, &str)] = &[
    ("ok", "", "a healthy answer"),
    ("400 … 599", HINTS, "an error status in the provider's shape, with a hint when to come back"),
    ("overloaded", HINTS, "529 (Gemini: 503)"),
    ("quota", HINTS, "429 insufficient_quota"),
    ("bad-request", "", "400, the caller's fault"),
    ("context-length", "", "400 context_length_exceeded"),
    ("content-filter", "", "400 content_filter: the prompt is refused (Gemini: 200, blocked)"),
    ("unauthorized", "", "401 that repeats the key it got"),
    ("payment", "", "402"),
    ("forbidden", "", "403"),
    ("model-not-found", "", "404 model_not_found"),
    ("big-error", "size=10MB:status=500", "an error with a large body"),
    ("dribble-error", "every=50ms:status=500", "an error whose body never ends"),
    ("refuse", "", "the port is closed and idle connections are reset (by model name: as reset)"),
    ("reset", "", "a reset before the headers"),
    ("close", "", "a clean close before the headers"),
    ("silence", "", "the request is read and never answered"),
    ("headers-only", "", "200 and headers, then nothing"),
    ("garbage", "", "bytes that are not HTTP"),
    ("huge-header", "size=256KiB", "a healthy answer with a header of this size"),
    ("redirect", "", "307 to another path"),
    ("slow", "delay=3s", "a healthy answer, all of it late"),
    ("slow-first", "delay=3s", "a healthy stream whose first content is late"),
    ("error-body", "", "200 with an error as the body"),
    ("empty-body", "", "200 without a body"),
    ("html-502", "", "502 with a page"),
    ("html-200", "", "200 with a page"),
    ("short-body", "", "a body shorter than its content-length"),
    ("truncated-json", "", "a body that ends in the middle, with the content-length to match"),
    ("json-for-stream", "", "a whole answer although a stream was asked for"),
    ("cut-reset", AFTER, "a stream cut by a reset"),
    ("cut-clean", AFTER, "a stream that ends properly in HTTP, without finish_reason or [DONE]"),
    ("cut-fin", AFTER, "a stream cut by a close, without the last HTTP chunk"),
    ("stall", AFTER, "a stream that falls silent"),
    ("malformed", AFTER, "a stream with one event of broken JSON"),
    ("bad-chunking", AFTER, "a stream whose HTTP chunk sizes become nonsense"),
    ("error-first", "", "a stream whose first event is an error"),
    ("error-start", "", "a stream that begins, without content, and then has an error event"),
    ("error-mid", AFTER, "a stream with an error event in the middle"),
    (
        "no-done",
        "end=close|open",
        "a stream with finish_reason and no [DONE]; it ends or stays open",
    ),
    ("empty-stream", "", "200 and a stream that ends at once"),
    ("comments", "every=50ms", "nothing but keep-alive comments, for ever"),
    ("trickle", "every=50ms", "one more word each time, for ever"),
    ("empty-answer", "", "a proper answer without content"),
    ("filtered", AFTER, "an answer that ends with finish_reason content_filter"),
    ("length", AFTER, "an answer that ends with finish_reason length"),
    ("refusal", "", "an answer in which the model declines"),
    ("tool-calls", "", "a tool call instead of text (text after a tool's result)"),
    ("tool-cut", AFTER, "a tool call cut (by a reset) in the middle of its arguments"),
    ("wrong-json", "", "text although JSON was asked for"),
    ("wrong-schema", "", "JSON that does not fit the schema"),
    ("double-finish", "", "a stream that finishes twice"),
    ("once", "", "when: only the first call fails"),
    ("times", "3", "when: only the first calls fail"),
    ("flap", "OK/BAD", "when: alternately, by calls (3/2) or by time (5s/5s)"),
    ("rate", "0.3", "when: this share of the calls, picked by the seed"),
    ("words", "60", "setting: words in a healthy answer"),
    ("chunk-delay", "20ms", "setting: the wait between chunks"),
    ("latency", "50ms~20ms", "setting: the wait before the headers, and its jitter"),
    ("calls", "1", "setting: calls in an answer that calls tools"),
    ("thoughts", "0", "setting: words of reasoning before an answer"),
    ("prefill", "on|off", "setting: whether an assistant message at the end is continued"),
    ("continues", "exact|restart|overlap", "setting: how an answer is continued"),
];

const HINTS: &str = "retry-after=S:retry-after-ms=MS:retry-after-date=30s:reset=1m30s";
const AFTER: &str = "after=3";

const DEFAULT_ERROR_BYTES: usize = 10_000_000;
const DEFAULT_HEADER_BYTES: usize = 256 * 1024;
const MAX_WORDS: usize = 100_000;
const MAX_CALLS: usize = 100;

/// A behaviour that cannot be understood; the text lists what can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{part}\" in \"{spec}\": {problem}{}", if *.list { known_parts() } else { String::new() })]
pub struct SpecError {
    spec: String,
    part: String,
    problem: String,
    /// Whether the list of all parts would help.
    list: bool,
}

fn known_parts() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("; known are:");
    for (name, parameters, effect) in FAULTS {
        let _infallible = write!(text, "\n  {name:<16} {parameters:<24} {effect}");
    }
    text
}

impl FromStr for Behaviour {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<Self, SpecError> {
        Self::parse(spec)
    }
}

impl Behaviour {
    /// A behaviour as it is written, for example `stall:after=5+words=20`.
    pub fn parse(spec: &str) -> Result<Self, SpecError> {
        Self::default().with(spec)
    }

    /// This behaviour's settings, with the fault and the settings of `spec`.
    pub fn with(&self, spec: &str) -> Result<Self, SpecError> {
        let mut behaviour = Self { fault: Fault::None, when: When::Always, ..self.clone() };
        let mut faults = 0;
        for text in spec.split('+') {
            let part = Part::of(text);
            let wrong = |problem| SpecError {
                spec: spec.to_owned(),
                part: text.to_owned(),
                list: matches!(problem, Problem::Unknown),
                problem: problem.to_string(),
            };
            if behaviour.set(&part).map_err(wrong)? {
                continue;
            }
            behaviour.fault = fault(&part).map_err(wrong)?;
            faults += 1;
            if faults > 1 {
                return Err(wrong(Problem::SecondFault));
            }
        }
        if behaviour.when != When::Always && behaviour.fault == Fault::None {
            return Err(SpecError {
                spec: spec.to_owned(),
                part: spec.to_owned(),
                problem: "says when, but not what: add a fault, as in \"503+flap=3/2\"".to_owned(),
                list: false,
            });
        }
        Ok(behaviour)
    }

    /// Takes a part that says when or how, and says whether it was one.
    fn set(&mut self, part: &Part<'_>) -> Result<bool, Problem> {
        let value = || part.bare.ok_or(Problem::Missing("a value, as in \"words=60\""));
        match part.name {
            "once" => self.when = When::First(1),
            "times" => self.when = When::First(number(value()?)?),
            "flap" => self.when = flap(value()?)?,
            "rate" => self.when = When::Rate(share(value()?)?),
            "words" => self.words = bounded(number(value()?)?, MAX_WORDS)?,
            "chunk-delay" => self.chunk_delay = duration(value()?)?,
            "latency" => self.latency = latency(value()?)?,
            "calls" => self.calls = bounded(number(value()?)?, MAX_CALLS)?.max(1),
            "thoughts" => self.thoughts = bounded(number(value()?)?, MAX_WORDS)?,
            "prefill" => self.prefill = on_or_off(value()?)?,
            "continues" => self.continues = continues(value()?)?,
            _ => return Ok(false),
        }
        part.only(&[])?;
        Ok(true)
    }
}

/// The behaviour that a model name asks for, if it does.
pub(super) fn spec_in(model: &str) -> Option<&str> {
    model.split_once('!').map(|(_, spec)| spec).or_else(|| model.strip_prefix("fault-"))
}

fn fault(part: &Part<'_>) -> Result<Fault, Problem> {
    if let Some(kind) = rejection_kind(part.name) {
        let rejection = Rejection { kind, hint: part.hint()?, bulk: Bulk::Plain };
        return Ok(Fault::Rejection(rejection));
    }
    if let Some(fault) = simple_fault(part.name) {
        part.only(&[])?;
        return match part.bare {
            None => Ok(fault),
            Some(value) => Err(wrong(value, "wanted: this part takes no value")),
        };
    }
    parametrised_fault(part)
}

fn rejection_kind(name: &str) -> Option<RejectionKind> {
    Some(match name {
        "bad-request" => RejectionKind::BadRequest,
        "context-length" => RejectionKind::ContextLength,
        "content-filter" => RejectionKind::ContentFilter,
        "unauthorized" => RejectionKind::Unauthorized,
        "payment" => RejectionKind::Payment,
        "forbidden" => RejectionKind::Forbidden,
        "model-not-found" => RejectionKind::ModelNotFound,
        "quota" => RejectionKind::Quota,
        "overloaded" => RejectionKind::Overloaded,
        name => return status(name),
    })
}

/// The faults without parameters.
fn simple_fault(name: &str) -> Option<Fault> {
    Some(match name {
        "ok" => Fault::None,
        "refuse" => Fault::Connection(ConnectionFault::Refuse),
        "reset" => Fault::Connection(ConnectionFault::Reset),
        "close" => Fault::Connection(ConnectionFault::Close),
        "silence" => Fault::Connection(ConnectionFault::Silence),
        "headers-only" => Fault::Connection(ConnectionFault::HeadersOnly),
        "garbage" => Fault::Connection(ConnectionFault::Garbage),
        "redirect" => Fault::Connection(ConnectionFault::Redirect),
        "error-body" => Fault::Body(BodyFault::ErrorBody),
        "empty-body" => Fault::Body(BodyFault::Empty),
        "html-502" => Fault::Body(BodyFault::Html { status: 502 }),
        "html-200" => Fault::Body(BodyFault::Html { status: 200 }),
        "short-body" => Fault::Body(BodyFault::Short),
        "truncated-json" => Fault::Body(BodyFault::TruncatedJson),
        "json-for-stream" => Fault::Body(BodyFault::JsonForStream),
        "error-first" => Fault::Stream(StreamFault::ErrorEvent { after: 0 }),
        "error-start" => Fault::Stream(StreamFault::ErrorStart),
        "empty-stream" => Fault::Stream(StreamFault::Empty),
        "empty-answer" => Fault::Content(ContentFault::Empty),
        "refusal" => Fault::Content(ContentFault::Refusal),
        "tool-calls" => Fault::Content(ContentFault::ToolCalls),
        "wrong-json" => Fault::Content(ContentFault::WrongJson),
        "wrong-schema" => Fault::Content(ContentFault::WrongSchema),
        "double-finish" => Fault::Content(ContentFault::DoubleFinish),
        _ => return None,
    })
}

fn parametrised_fault(part: &Part<'_>) -> Result<Fault, Problem> {
    Ok(match part.name {
        "big-error" => {
            let bytes = part.size(&["size", "status"], DEFAULT_ERROR_BYTES)?;
            padded(part.status()?, Bulk::Padded { bytes })
        }
        "dribble-error" => {
            let every = part.every(&["every", "status"])?;
            padded(part.status()?, Bulk::Dribbled { every })
        }
        "huge-header" => Fault::Connection(ConnectionFault::HugeHeader {
            bytes: part.size(&["size"], DEFAULT_HEADER_BYTES)?,
        }),
        "slow" => Fault::Slow(SlowFault::Whole(part.delay()?)),
        "slow-first" => Fault::Slow(SlowFault::First(part.delay()?)),
        "cut-reset" => Fault::Stream(StreamFault::CutReset { after: part.after()? }),
        "cut-clean" => Fault::Stream(StreamFault::CutClean { after: part.after()? }),
        "cut-fin" => Fault::Stream(StreamFault::CutFin { after: part.after()? }),
        "stall" => Fault::Stream(StreamFault::Stall { after: part.after()? }),
        "malformed" => Fault::Stream(StreamFault::Malformed { after: part.after()? }),
        "bad-chunking" => Fault::Stream(StreamFault::BadChunking { after: part.after()? }),
        "error-mid" => Fault::Stream(StreamFault::ErrorEvent { after: part.after()? }),
        "no-done" => Fault::Stream(StreamFault::NoDone { stays_open: stays_open(part)? }),
        "comments" => Fault::Stream(StreamFault::Comments { every: part.every(&["every"])? }),
        "trickle" => Fault::Stream(StreamFault::Trickle { every: part.every(&["every"])? }),
        "filtered" => Fault::Content(ContentFault::Filtered { after: part.after()? }),
        "length" => Fault::Content(ContentFault::Length { after: part.after()? }),
        "tool-cut" => Fault::Content(ContentFault::ToolCut { after: part.after()? }),
        _ => return Err(Problem::Unknown),
    })
}

fn padded(kind: RejectionKind, bulk: Bulk) -> Fault {
    Fault::Rejection(Rejection { kind, hint: Hint::None, bulk })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn default_with(change: impl FnOnce(&mut Behaviour)) -> Behaviour {
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        behaviour
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let check = |spec: &str, change: fn(&mut Behaviour)| {
            assert_eq!(Behaviour::parse(spec), Ok(default_with(change)), "{spec}");
        };
        check("ok", |_| ());
        check("stall:after=5", |b| b.fault = Fault::Stream(StreamFault::Stall { after: 5 }));
        check("stall=5", |b| b.fault = Fault::Stream(StreamFault::Stall { after: 5 }));
        check("words=7+chunk-delay:2ms", |b| {
            b.words = 7;
            b.chunk_delay = Duration::from_millis(2);
        });
        check("reset+flap=5s/100ms", |b| {
            b.fault = Fault::Connection(ConnectionFault::Reset);
            b.when = When::FlapTime { ok: Duration::from_secs(5), bad: Duration::from_millis(100) };
        });
        check("429:retry-after=inf+once", |b| {
            let hint = Hint::Header("retry-after", "inf".to_owned());
            let kind = RejectionKind::RateLimited;
            b.fault = Fault::Rejection(Rejection { kind, hint, bulk: Bulk::Plain });
            b.when = When::First(1);
        });
        check("big-error:1KB:status=429", |b| {
            b.fault = padded(RejectionKind::RateLimited, Bulk::Padded { bytes: 1000 });
        });
    }

    #[test]
    fn every_listed_part_can_be_written() {
        let first_of = |parameters: &str| match parameters {
            "" => String::new(),
            HINTS => ":retry-after=1".to_owned(),
            "OK/BAD" => "=1/2".to_owned(),
            "end=close|open" => ":end=open".to_owned(),
            other => format!("={}", other.split(['|', ':']).next().unwrap_or_default()),
        };
        for (name, parameters, effect) in FAULTS {
            let name = if name.starts_with("400") { "418" } else { name };
            let mut spec = format!("{name}{}", first_of(parameters));
            if effect.starts_with("when:") {
                spec.push_str("+500");
            }
            assert!(Behaviour::parse(&spec).is_ok(), "{spec}: {:?}", Behaviour::parse(&spec));
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let check = |spec: &str, expected: &str| {
            let text = Behaviour::parse(spec).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{text}");
        };
        check("stal", "\"stal\" in \"stal\": no such fault or setting; known are:\n  ok ");
        check("200", "\"200\" in \"200\": no such fault or setting");
        check("500+503", "\"503\" in \"500+503\": a behaviour has one fault at most");
        check("stall:afer=3", "\"stall:afer=3\" in \"stall:afer=3\": no parameter \"afer\" here");
        check("stall:x", "\"stall:x\" in \"stall:x\": \"x\" is not a whole number");
        check("slow:3", "\"slow:3\" in \"slow:3\": \"3\" is not a duration with a unit");
        check("words", "\"words\" in \"words\": needs a value");
        check("flap=3/2", "\"flap=3/2\" in \"flap=3/2\": says when, but not what");
        check("rate=2+500", "\"rate=2\" in \"rate=2+500\": \"2\" is not a share");
        check("reset:5", "\"reset:5\" in \"reset:5\": \"5\" is not wanted");
    }

    #[test]
    fn a_model_name_may_carry_a_behaviour() {
        assert_eq!(spec_in("gpt-x!429:retry-after=2"), Some("429:retry-after=2"));
        assert_eq!(spec_in("fault-stall"), Some("stall"));
        assert_eq!(spec_in("gpt-x"), None);
        assert_eq!(spec_in("default-x"), None);
    }
}
