//! A policy that misbehaves on request: `{"do": "…"}` in the route's settings
//! says how. Without that it behaves: it picks the first candidate.
//!
//! It is built with the standard library, so it imports WASI like most guests.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

wit_bindgen::generate!({ world: "policy", path: "../../wit" });

use backstay::policy::exchange::{Output, Request};
use backstay::policy::host;
use backstay::policy::types::Launch;
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

/// Overwritten in the finished component to make versions of it. Its last 16
/// bytes are the label.
#[unsafe(no_mangle)]
static LABEL: [u8; 32] = *b"BACKSTAY-LABEL::original........";

fn label() -> String {
    let bytes = black_box(&LABEL);
    String::from_utf8_lossy(&bytes[16..]).trim_end_matches('.').to_owned()
}

/// Runs when an instance is made.
extern "C" fn on_init() {
    if black_box(&LABEL)[16..].starts_with(b"trap-in-init") {
        std::process::abort();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = on_init;

struct Misbehaving;

impl Guest for Misbehaving {
    fn select_provider(
        call: Call,
        request: &Request,
        _candidates: Vec<Candidate>,
        _attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        match wish(&call.settings) {
            "" => Some(Selection::Pick(0)),
            "label" => Some(Selection::Answer(label())),
            "none" => None,
            "defer" => Some(Selection::Defer),
            "json" => Some(Selection::Answer(request.json("").unwrap_or_default())),
            "unknown-candidate" => Some(Selection::Pick(99)),
            "wait-10-days" => Some(Selection::Wait(10 * 24 * 3600 * 1000)),
            // The rest of the wish is a pointer: what is there is replaced by 7.
            edit if edit.starts_with("edit ") => Some(Selection::Launch(vec![edited(edit)])),
            "launches" => Some(Selection::Launch((0..10_000).map(launch).collect())),
            "list-bomb" => Some(Selection::Launch((0..10_000_000).map(launch).collect())),
            "long-text" => Some(refusal("x".repeat(100_000))),
            "count" => Some(Selection::Answer(count().to_string())),
            "leave-secret" => Some(leave_secret()),
            "hunt-secret" => Some(Selection::Answer(hunt().to_string())),
            "remember" => Some(Selection::Answer(host::tally("n", 1, 1_000).to_string())),
            "clock" => Some(Selection::Answer(clock())),
            "random" => Some(Selection::Answer(random())),
            "powers" => Some(Selection::Answer(powers())),
            "panic" => panic!("as told"),
            "loop" => endless(),
            "recurse" => Some(Selection::Pick(recurse(1))),
            "memory-bomb" => memory_bomb(),
            "log-flood" => flood(|line| host::log(host::Level::Info, line)),
            "print-flood" => flood(|line| println!("{line}")),
            "sleep" => {
                std::thread::sleep(Duration::from_secs(3_600));
                None
            }
            "exit" => std::process::exit(0),
            other => Some(Selection::Answer(format!("cannot {other}"))),
        }
    }

    fn classify_error(call: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        if wish(&call.settings) == "loop" { endless() } else { None }
    }

    fn validate_output(call: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        if wish(&call.settings) == "loop" { endless() } else { None }
    }
}

/// The value of `"do"`, read without a JSON library.
fn wish(settings: &str) -> &str {
    let after = settings.split_once("\"do\"").map_or("", |(_, after)| after);
    after.split('"').nth(1).unwrap_or("")
}

fn launch(number: u32) -> Launch {
    Launch {
        candidate: number,
        after: 0,
        first_token_timeout: None,
        total_timeout: None,
        edits: Vec::new(),
    }
}

fn edited(wish: &str) -> Launch {
    let pointer = wish.trim_start_matches("edit ").to_owned();
    let value = Some(String::from("7"));
    Launch { edits: vec![backstay::policy::types::Edit { pointer, value }], ..launch(0) }
}

fn refusal(message: String) -> Selection {
    Selection::Refuse(backstay::policy::types::Refusal {
        status: 503,
        code: String::new(),
        message,
        retry_after: None,
    })
}

fn endless<T>() -> T {
    let mut number = 0_u32;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "as told")]
fn recurse(depth: u32) -> u32 {
    black_box(recurse(black_box(depth + 1)) + 1)
}

fn memory_bomb() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

fn flood(write: impl Fn(&str)) -> Option<Selection> {
    let line = "\u{1b}[31mflood ".repeat(200);
    for _ in 0..1_000 {
        write(&line);
    }
    Some(Selection::Pick(0))
}

fn count() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// What is hunted for, written so that it stands nowhere in the component.
const SECRET: [u8; 16] = *b"ftg\"vjku\"ku\"rktc";

fn secret(place: usize) -> u8 {
    black_box(SECRET)[place % SECRET.len()] ^ 0x55
}

fn leave_secret() -> Selection {
    let left: Vec<u8> = (0..1 << 20).map(secret).collect();
    let sum: u32 = black_box(&left).iter().map(|byte| u32::from(*byte)).sum();
    std::mem::forget(left);
    Selection::Answer(sum.to_string())
}

/// How often the secret stands anywhere in memory, also in pages that are only
/// asked for now.
fn hunt() -> usize {
    let fresh = core::arch::wasm32::memory_grow::<0>(16);
    assert_ne!(fresh, usize::MAX);
    let end = core::arch::wasm32::memory_size::<0>() * 65_536;
    let first = secret(0);
    let mut found = 0;
    for address in 1..end - SECRET.len() {
        // SAFETY: all of linear memory can be read.
        let read = |place| unsafe { ((address + place) as *const u8).read_volatile() };
        if read(0) == first && (1..SECRET.len()).all(|place| read(place) == secret(place)) {
            found += 1;
        }
    }
    found
}

fn clock() -> String {
    let now = || {
        let since = std::time::UNIX_EPOCH;
        std::time::SystemTime::now().duration_since(since).unwrap_or_default().as_millis()
    };
    let (wall, monotonic) = (now(), std::time::Instant::now());
    for number in 0..100_000 {
        black_box(number);
    }
    format!("{wall} +{} +{}", now() - wall, monotonic.elapsed().as_nanos())
}

/// Differs whenever the map's random keys do.
fn random() -> String {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(1).to_string()
}

fn powers() -> String {
    let environment = std::env::vars().count() + std::env::args().count();
    let file = std::fs::read_dir("/").is_ok() || std::fs::write("/tmp/x", "x").is_ok();
    let network = std::net::TcpStream::connect("127.0.0.1:1").map_err(|error| error.kind());
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").map_err(|error| error.kind());
    format!("{environment} {file} {:?} {:?}", network.err(), udp.err())
}

export!(Misbehaving);
