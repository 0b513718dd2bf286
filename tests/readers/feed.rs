//! Feeds one input to every reader it could come to, and what they read to
//! every writer. Owns the bound on memory; must not know what is in an input.

use std::cell::RefCell;
use std::time::Duration;

use backstay::dialect::hub::{Legend, Request, Strictness, legend::FORMAT_TOOL};
use backstay::dialect::sse::End;
use backstay::dialect::stream::{events_of, steps_of};
use backstay::dialect::translate::{self, Original};
use backstay::dialect::{
    Abilities, Address, Continuation, Dialect, ErrorOut, Frame, Framer, Framing, Head, Quirks,
    Reader, Target, Task, Writer, door, edit, gemini, openai, request, target,
};
use backstay::failover::consult::Edit;
use backstay::secret::Secret;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use crate::memory::peak_of;
use crate::random::Random;

/// What a reader may hold, for every byte of input and besides.
const TIMES: usize = 4;
const BESIDES: usize = 64 << 10;

const POINTERS: [&str; 12] = [
    "",
    "/",
    "/model",
    "/messages/0/content",
    "/messages/-",
    "/contents/0/parts/0/text",
    "/a/b/c",
    "/input/3",
    "/error",
    "/~0~1",
    "/generationConfig/temperature",
    "x",
];

thread_local! {
    static EXCUSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Lets a reader be of which this was said, lest it hide what others do.
pub fn excuse(said: &str) {
    EXCUSED.with_borrow_mut(|excused| excused.extend(said.lines().map(ToOwned::to_owned)));
}

/// Fails if the call holds more than it may for an input of this length.
fn bounded<T>(what: &str, input: usize, call: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_of(call);
    let most = TIMES * input + BESIDES;
    let excused = |excused: &Vec<String>| excused.iter().any(|said| said.starts_with(what));
    let fine = peak <= most || EXCUSED.with_borrow(excused);
    assert!(fine, "{what} held {peak} bytes for an input of {input}");
    result
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// How much is done with an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// It is read.
    Read,
    /// What was read is also written, in every dialect.
    Write,
}

/// Every reader of this dialect, and those that all share.
pub fn feed(dialect: Dialect, input: &[u8], depth: Depth, random: &mut Random) {
    if crate::corpus::is_stream(input) {
        stream(dialect, input, depth, random);
    } else {
        requests(dialect, input, depth, random);
        answers(dialect, input, depth, random);
        edits(input, random);
    }
    errors(dialect, input, random);
    if depth == Depth::Write {
        doors(input, random);
    }
}

fn requests(dialect: Dialect, input: &[u8], depth: Depth, random: &mut Random) {
    let address = Address {
        model: (dialect == Dialect::Gemini).then(|| "m".to_owned()),
        stream: random.percent(50),
        framing: Framing::Sse,
    };
    for task in Task::ALL {
        let peeked = bounded("peek", input.len(), || dialect.peek(task, input, &address));
        let Ok(peek) = peeked else { continue };
        let text = std::str::from_utf8(input).expect("what was peeked at is UTF-8");
        assert!(is_json(input), "peek took what is no JSON: {text:?}");
        match task {
            Task::Generate => generate(dialect, text, &address, depth, random),
            Task::Embed | Task::EmbedBatch => embed(dialect, text, depth),
            Task::CountTokens => {}
        }
        if depth == Depth::Write && task == Task::Generate {
            continued(dialect, text, &peek);
        }
    }
}

fn generate(dialect: Dialect, text: &str, address: &Address, depth: Depth, random: &mut Random) {
    let read = || dialect.read_request(text, address);
    let Ok(request) = bounded("read_request", text.len(), read) else { return };
    if depth == Depth::Read {
        return;
    }
    written(&request, random);
    let how = *random.pick(&[Continuation::Ask, Continuation::Prefill]);
    let original = Original {
        client: dialect,
        task: Task::Generate,
        body: text,
        address,
        continues: Some(("so \"far\"", how)),
    };
    let abilities = Abilities::unknown();
    for wire in Dialect::ALL {
        let _ = translate::translate(
            original,
            wire,
            &target(&abilities, Quirks::NONE, Strictness::Lenient),
        );
    }
}

fn written(request: &Request<'_>, random: &mut Random) {
    let [rich, poor] = [Abilities::unknown(), poor()];
    let odd = Quirks::NAMES.iter().fold(Quirks::NONE, |all, (_, quirk)| {
        if random.percent(50) { all.with(*quirk) } else { all }
    });
    for wire in Dialect::ALL {
        for (_, strictness) in Strictness::NAMES {
            for (abilities, quirks) in [(&rich, Quirks::NONE), (&poor, odd)] {
                let Ok(written) =
                    wire.write_request(request, &target(abilities, quirks, strictness))
                else {
                    continue;
                };
                assert!(
                    is_json(&written.body),
                    "{} wrote no JSON: {:?}",
                    wire.label(),
                    written.body
                );
            }
        }
    }
}

fn target(abilities: &Abilities, quirks: Quirks, strictness: Strictness) -> Target<'_> {
    Target { model: "m", abilities, quirks, strictness }
}

/// A model that can do nothing.
fn poor() -> Abilities {
    Abilities {
        sampling: target::SamplingRule::Never,
        forced_tools: false,
        thinking: target::Thinking::No,
        always_thinks: true,
        prefill: false,
        structured_output: false,
        system_turns: true,
        call_signatures: true,
        max_completion_tokens: true,
        max_output: Some(100),
    }
}

fn continued(dialect: Dialect, text: &str, peek: &backstay::dialect::Peek) {
    let body = Bytes::copy_from_slice(text.as_bytes());
    for how in [Continuation::Ask, Continuation::Prefill] {
        let _ = dialect.continue_from(&body, peek, "n\"", "so \"far\"\n", how);
    }
    for template in ["replaced", "before {{system}} after {{system}}", ""] {
        let templated = dialect.with_system(&body, template);
        assert!(is_json(&templated), "with_system wrote no JSON: {templated:?}");
    }
    let _ = request::splice(&body, peek.model_span.as_ref(), "n");
}

fn embed(dialect: Dialect, text: &str, depth: Depth) {
    let read = || match dialect {
        Dialect::OpenAi => openai::read_embed(text).ok(),
        Dialect::Gemini => gemini::read_embed(text).ok(),
        Dialect::Responses | Dialect::Anthropic => None,
    };
    let Some(request) = bounded("read_embed", text.len(), read) else { return };
    if depth == Depth::Write {
        let abilities = Abilities::unknown();
        for (_, strictness) in Strictness::NAMES {
            let target = target(&abilities, Quirks::NONE, strictness);
            let _ =
                (openai::write_embed(&request, &target), gemini::write_embed(&request, &target));
        }
    }
}

fn answers(dialect: Dialect, input: &[u8], depth: Depth, random: &mut Random) {
    let secret = Secret::new("sk-secret");
    for task in Task::ALL {
        let read = || dialect.read_whole(task, Some("application/json"), input, &[&secret]);
        if bounded("read_whole", input.len(), read).is_err() {
            continue;
        }
        match task {
            Task::Generate => answer(dialect, input, depth, random),
            Task::Embed | Task::EmbedBatch => vectors(dialect, input, depth),
            Task::CountTokens => {}
        }
    }
}

fn answer(dialect: Dialect, input: &[u8], depth: Depth, random: &mut Random) {
    let Some(answer) = bounded("read_answer", input.len(), || dialect.read_answer(input)) else {
        return;
    };
    if depth == Depth::Read {
        return;
    }
    let _ = dialect.amend(&Bytes::copy_from_slice(input), "an \"other\"");
    let _ = (answer.text(), steps_of(answer.clone(), 2));
    for client in Dialect::ALL {
        let body = client.write_answer(&answer, &head(random));
        assert!(is_json(&body), "{} wrote no JSON: {body:?}", client.label());
        let _ = client.write_stream(answer.clone(), head(random));
    }
}

fn vectors(dialect: Dialect, input: &[u8], depth: Depth) {
    let read = || match dialect {
        Dialect::OpenAi => openai::read_vectors(input),
        Dialect::Gemini => gemini::read_vectors(input),
        Dialect::Responses | Dialect::Anthropic => None,
    };
    let Some(vectors) = bounded("read_vectors", input.len(), read) else { return };
    if depth == Depth::Write {
        for either in [false, true] {
            let _ = openai::write_vectors(&vectors, either);
            let _ = gemini::write_vectors(&vectors, either);
        }
    }
}

fn errors(dialect: Dialect, input: &[u8], random: &mut Random) {
    let mut headers = HeaderMap::new();
    for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "date"] {
        let start = random.below(input.len() + 1);
        let value = &input[start..input.len().min(start + random.below(12))];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let status = *random.pick(&[400, 401, 404, 429, 500, 503, 529]);
    let (now, secret) = (Duration::from_secs(1_760_000_000), Secret::new("sk-secret"));
    let read = || dialect.error_reply(status, &headers, input, now, &[&secret]);
    let reply = bounded("error_reply", input.len(), read);
    assert!(!reply.message.contains("sk-secret"));
    let _ = dialect.is_error(input);
}

fn edits(input: &[u8], random: &mut Random) {
    let pointer = *random.pick(&POINTERS);
    bounded("json_at", input.len(), || edit::json_at(input, pointer).is_some());
    let value = random.percent(70).then(|| "{\"a\":[1]}".to_owned());
    let body = Bytes::copy_from_slice(input);
    let _ = edit::set_all(body, &[Edit { pointer: pointer.to_owned(), value: value.clone() }]);
    let _ = edit::edit(input, &[Edit { pointer: pointer.to_owned(), value }]);
}

fn doors(input: &[u8], random: &mut Random) {
    let text = String::from_utf8_lossy(input);
    let start = text.floor_char_boundary(random.below(text.len() + 1));
    let odd = &text[start..text.floor_char_boundary(start + random.below(40))];
    let heads = [
        "",
        "/v1/",
        "/v1beta/models/",
        "/v1/models/",
        "/openai/deployments/",
        "/v1/messages",
        "/v1beta/models/m:",
        "/v1/responses/",
    ];
    let path = format!("{}{odd}", random.pick(&heads));
    let method = random.pick(&[Method::GET, Method::POST, Method::HEAD, Method::DELETE]);
    let _ = door::door(method, &path, Some(odd), &HeaderMap::new());
    let _ = door::dialect_of(&path, &HeaderMap::new());
}

/// The frames of an input that comes in pieces.
fn framed(input: &[u8], random: &mut Random, mut each: impl FnMut(Frame)) {
    let mut framer = Framer::new(1 << 20);
    let bytes = Bytes::copy_from_slice(input);
    let few = input.len() < 8192;
    let longest =
        *random.pick(if few { &[1, 7, 100, 1 << 20] } else { &[1000, 4096, 9999, 1 << 20] });
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + 1 + random.below(longest));
        framer.push(bytes.slice(at..end));
        while let Ok(Some(frame)) = framer.next_frame() {
            each(frame);
        }
        at = end;
    }
    match framer.finish() {
        End::Last(frame) => each(frame),
        End::Unfinished(rest) => each(Frame::parse(rest)),
        End::Clean => {}
    }
}

fn stream(dialect: Dialect, input: &[u8], depth: Depth, random: &mut Random) {
    // The framer's pieces are slices of a copy that is made here.
    let mut again = random.clone();
    bounded("Framer", 2 * input.len(), || framed(input, &mut again, drop));
    let mut frames = Vec::new();
    framed(input, random, |frame| frames.push(frame));
    let choices = u32::try_from(random.below(3)).expect("small");
    let passing = Reader::passing(dialect, choices);
    let decoding = Reader::decoding(dialect, choices, legend(random));
    for reader in [passing, decoding] {
        bounded("a stream's Reader", input.len(), || read(reader, &frames));
    }
    bounded("events_of", input.len(), || events_of(dialect, &frames));
    if depth == Depth::Write {
        for client in Dialect::ALL {
            written_stream(client, dialect, &frames, random);
        }
    }
}

/// Reads frame by frame; what is left is what the reader keeps.
fn read(mut reader: Reader, frames: &[Frame]) -> Reader {
    let secret = Secret::new("sk-secret");
    let mut seen = 0;
    for frame in frames {
        // What came before makes what is kept grow now.
        seen += frame.bytes.len();
        let read = || (reader.read(frame, &[&secret]), reader.take_events());
        bounded("Reader::read", seen, read);
        let _ = (reader.completed(), reader.ended(), reader.finish_reason());
    }
    reader
}

fn legend(random: &mut Random) -> Legend {
    let mut legend = Legend::default();
    if random.percent(50) {
        legend.names.insert("find".to_owned(), "fi nd".to_owned());
        legend.format_tool = random.percent(30).then(|| FORMAT_TOOL.to_owned());
        legend.hides_thoughts = random.percent(30);
        legend.free_text.extend(random.percent(50).then(|| "write".to_owned()));
    }
    legend
}

fn head(random: &mut Random) -> Head {
    Head {
        id: "trace".to_owned(),
        model: "mo\"del".to_owned(),
        created: 1_760_000_000,
        include_usage: random.percent(50),
        framing: *random.pick(&[Framing::Sse, Framing::Array]),
    }
}

/// The frames pass or are written, now one and now the other where the dialect
/// is the same: a stream that breaks is continued from another target.
fn written_stream(client: Dialect, dialect: Dialect, frames: &[Frame], random: &mut Random) {
    let mut writer = Writer::new(client, head(random));
    let mut out = Vec::new();
    let mut passes = client == dialect && random.percent(70);
    let mut reader = Reader::decoding(dialect, 1, legend(random));
    let secret = Secret::new("sk-secret");
    for frame in frames {
        let part = reader.read(frame, &[&secret]);
        if passes {
            writer.pass(frame, &part, &mut out);
        } else {
            reader.take_events().iter().for_each(|event| writer.write(event, &mut out));
        }
        if random.percent(5) {
            passes = false;
            reader = Reader::decoding(dialect, 1, Legend::default());
        }
        if random.percent(5) {
            writer.keep_alive(&mut out);
            writer.comment("a\nb", &mut out);
        }
    }
    if random.percent(50) {
        writer.finish(&mut out);
    } else {
        let error = ErrorOut {
            status: 503,
            code: "server_is_overloaded",
            message: "a \"b\"\n",
            param: Some("x"),
            retry_after: Some(Duration::from_millis(1500)),
            trace: "trace",
            attempts: &[],
        };
        writer.error(&error, &mut out);
        let _ = client.error_body(&error);
    }
}
