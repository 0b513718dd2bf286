//! What the dialects cost: per request, per frame, per translated request and
//! per translated event of a stream.

use std::fmt;
use std::hint::black_box;

use backstay::dialect::hub::{Answer, Event, Finish, Legend, Strictness};
use backstay::dialect::request::splice;
use backstay::dialect::sse::{Frame, Framer};
use backstay::dialect::translate::{Original, translate};
use backstay::dialect::{
    Abilities, Address, Dialect, Framing, Head, Quirks, Reader, Target, Task, Writer,
};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

/// A chat request of about this many bytes, with escapes as clients send them.
fn request(bytes: usize) -> Bytes {
    let message = r#"{"role":"user","content":"Please summarise the following:\n\"It was a dark and stormy night; the rain fell in torrents, except at occasional intervals.\""},{"role":"assistant","content":"A stormy night."},"#;
    let messages = message.repeat(bytes.div_ceil(message.len()));
    Bytes::from(format!(
        r#"{{"messages":[{messages}{{"role":"user","content":"And now?"}}],"temperature":0.7,"stream":true,"model":"gpt-5"}}"#
    ))
}

fn peeked(body: &Bytes) -> backstay::dialect::Peek {
    let address = Address::default();
    Dialect::OpenAi.peek(Task::Generate, body, &address).expect("a valid request")
}

#[divan::bench(args = [1_000, 55_000, 1_200_000])]
fn peek(bencher: Bencher, bytes: usize) {
    let body = request(bytes);
    bencher.counter(BytesCount::new(body.len())).bench(|| peeked(black_box(&body)));
}

#[divan::bench(args = [1_000, 55_000, 1_200_000])]
fn splice_model(bencher: Bencher, bytes: usize) {
    let body = request(bytes);
    let span = peeked(&body).model_span;
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| splice(black_box(&body), span.as_ref(), "another-model"));
}

/// From one dialect to another.
#[derive(Clone, Copy)]
struct Way(Dialect, Dialect);

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.0.label(), self.1.label())
    }
}

fn ways() -> Vec<Way> {
    let from = |client| Dialect::ALL.map(|wire| Way(client, wire));
    Dialect::ALL.into_iter().flat_map(from).filter(|way| way.0 != way.1).collect()
}

const ABILITIES: Abilities = Abilities::unknown();

fn target() -> Target<'static> {
    Target {
        model: "some-model",
        abilities: &ABILITIES,
        quirks: Quirks::NONE,
        strictness: Strictness::Normal,
    }
}

fn address() -> Address {
    Address { model: Some("a-model".to_owned()), stream: true, framing: Framing::Sse }
}

/// The request in a dialect, about this many bytes long.
fn request_in(dialect: Dialect, bytes: usize) -> String {
    let chat = request(bytes);
    let chat = std::str::from_utf8(&chat).expect("text");
    let hub = Dialect::OpenAi.read_request(chat, &address()).expect("a valid request");
    let written = dialect.write_request(&hub, &target()).expect("nothing special in it");
    String::from_utf8(written.body.to_vec()).expect("text")
}

fn bench_request(bencher: Bencher, way: Way, bytes: usize) {
    let body = request_in(way.0, bytes);
    let address = address();
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let original = Original {
            client: way.0,
            task: Task::Generate,
            body: black_box(&body),
            address: &address,
            continues: None,
        };
        translate(original, way.1, &target()).expect("nothing special in it")
    });
}

#[divan::bench(args = ways())]
fn translate_1k(bencher: Bencher, way: Way) {
    bench_request(bencher, way, 1_000);
}

#[divan::bench(args = ways())]
fn translate_50k(bencher: Bencher, way: Way) {
    bench_request(bencher, way, 50_000);
}

#[divan::bench(args = ways())]
fn translate_1m(bencher: Bencher, way: Way) {
    bench_request(bencher, way, 1_000_000);
}

fn head() -> Head {
    Head {
        id: "trace".to_owned(),
        model: "a-model".to_owned(),
        created: 1_700_000_000,
        include_usage: true,
        framing: Framing::Sse,
    }
}

/// A stream of this many words in a provider's dialect, as frames.
fn stream_in(dialect: Dialect, words: usize) -> Vec<Frame> {
    let mut writer = Writer::new(dialect, head());
    let mut out = Vec::new();
    let begin = Event::Begin { id: "id-1".to_owned(), model: "some-model".to_owned() };
    writer.write(&begin, &mut out);
    for _ in 0..words {
        writer.write(&Event::Text { choice: 0, text: " word".to_owned() }, &mut out);
    }
    writer.write(&Event::Finish { choice: 0, finish: Finish::Stop }, &mut out);
    writer.finish(&mut out);
    let mut framer = Framer::default();
    framer.push(Bytes::from(out));
    std::iter::from_fn(|| framer.next_frame().expect("short frames")).collect()
}

/// 1,000 events of text from a provider to a client: read and written.
#[divan::bench(args = ways())]
fn translate_1000_events(bencher: Bencher, way: Way) {
    let frames = stream_in(way.0, 1000);
    bencher.counter(ItemsCount::new(frames.len())).bench(|| {
        let mut reader = Reader::decoding(way.0, 1, Legend::default());
        let mut writer = Writer::new(way.1, head());
        let mut out = Vec::new();
        for frame in &frames {
            reader.read(black_box(frame), &[]);
            for event in reader.take_events() {
                writer.write(&event, &mut out);
            }
        }
        writer.finish(&mut out);
        out.len()
    });
}

fn chunk(n: usize) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-{n:08}\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

#[divan::bench]
fn framer_5000_events(bencher: Bencher) {
    let stream = Bytes::from((0..5000).map(chunk).collect::<String>());
    bencher.counter(ItemsCount::new(5000_usize)).bench(|| {
        let mut framer = Framer::default();
        let mut count = 0;
        let mut rest = stream.clone();
        while !rest.is_empty() {
            framer.push(rest.split_to(rest.len().min(1024)));
            while let Ok(Some(frame)) = framer.next_frame() {
                black_box(frame);
                count += 1;
            }
        }
        count
    });
}

/// An event on its way to a client of the same dialect.
#[divan::bench(args = Dialect::ALL.map(Dialect::label))]
fn passing_event(bencher: Bencher, label: &str) {
    let dialect = Dialect::ALL.into_iter().find(|d| d.label() == label).expect("its own label");
    let frames = stream_in(dialect, 3);
    let frame = frames.iter().rfind(|f| f.bytes.windows(4).any(|w| w == b"word")).cloned();
    let frame = frame.expect("an event with a word");
    let mut reader = Reader::passing(dialect, 1);
    let mut writer = Writer::new(dialect, head());
    bencher.bench_local(move || {
        let part = reader.read(black_box(&frame), &[]);
        let mut out = Vec::new();
        writer.pass(&frame, &part, &mut out);
        out
    });
}

#[divan::bench]
fn whole_1k(bencher: Bencher) {
    let answer = backstay::dialect::client::text_answer(&"word ".repeat(200));
    let body = Dialect::OpenAi.write_answer(&answer, &head());
    bencher.bench(|| Dialect::OpenAi.read_whole(Task::Generate, None, black_box(&body), &[]));
}

#[divan::bench(args = ways())]
fn translate_whole_1k(bencher: Bencher, way: Way) {
    let answer: Answer = backstay::dialect::client::text_answer(&"word ".repeat(200));
    let body = way.0.write_answer(&answer, &head());
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let answer = way.0.read_answer(black_box(&body)).expect("its own answer");
        way.1.write_answer(&answer, &head())
    });
}
