//! What the dialect costs per request, per frame and per stream.

use std::hint::black_box;

use backstay::dialect::Dialect;
use backstay::dialect::request::splice;
use backstay::dialect::sse::{Frame, Framer};
use backstay::failover::call::Operation;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

/// A chat request of about this many bytes, with escapes as clients send them.
fn request(bytes: usize) -> Bytes {
    let message = r#"{"role":"user","content":"Please summarise the following:\n\"It was a dark and stormy night; the rain fell in torrents, except at occasional intervals.\""},"#;
    let messages = message.repeat(bytes.div_ceil(message.len()));
    Bytes::from(format!(
        r#"{{"messages":[{}],"temperature":0.7,"stream":true,"model":"gpt-5"}}"#,
        messages.trim_end_matches(',')
    ))
}

#[divan::bench(args = [1_000, 55_000, 1_200_000])]
fn peek(bencher: Bencher, bytes: usize) {
    let body = request(bytes);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| Dialect::OpenAi.peek(Operation::Chat, black_box(&body)));
}

#[divan::bench(args = [1_000, 55_000, 1_200_000])]
fn splice_model(bencher: Bencher, bytes: usize) {
    let body = request(bytes);
    let span = Dialect::OpenAi.peek(Operation::Chat, &body).expect("a valid request").model_span;
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| splice(black_box(&body), &span, "another-model"));
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

#[divan::bench]
fn reader_per_event(bencher: Bencher) {
    let frame = Frame::parse(Bytes::from(chunk(1)));
    let mut reader = Dialect::OpenAi.reader(1);
    bencher.bench_local(move || reader.read(black_box(&frame), &[]));
}

#[divan::bench]
fn whole_1k(bencher: Bencher) {
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}]}}"#,
        "word ".repeat(200)
    );
    bencher.bench(|| {
        Dialect::OpenAi.read_whole(Operation::Chat, None, black_box(body.as_bytes()), &[])
    });
}
