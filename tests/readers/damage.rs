//! Damages inputs: bytes, JSON members and elements, frames. Owns what damage
//! there is; must not know any dialect.

use std::ops::Range;

use backstay::dialect::json::{Item, Items, quote, whole};

use crate::random::Random;

/// Members and elements looked at in one text.
const MOST_PLACES: usize = 2000;

/// Values that go where others are expected.
const ODD: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1e999",
    "-1e-999",
    "1.5",
    "8.0",
    "4294967295",
    "4294967296",
    "-9223372036854775809",
    "12345678901234567890123",
    "0.12345678901234567890123",
    r#""""#,
    r#"" ""#,
    r#""a""#,
    r#""\ud800""#,
    r#""\udc00\ud800x""#,
    r#""\u0000\u001b\u007f\"\\\/""#,
    r#""\ud83d\ude00é\u00e9""#,
    "\"\u{2028}\u{fffd}\u{10ffff}\"",
    r#""data:image/png;base64,AAAA""#,
    r#""data:;base64,""#,
    r#""data:""#,
    r#""https://example.com/a.png""#,
    r#""{\"a\":[\"{\\\"b\\\":1}\"]}""#,
    r#""{\"a\":""#,
    "[]",
    "[null]",
    "[[]]",
    "[{}]",
    "{}",
    r#"{"":null}"#,
    r#"{"type":"text","text":"a","type":"image"}"#,
];

/// Bytes that are put between others.
const BYTES: [&[u8]; 14] = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\0",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\"",
    b"\\",
    b"{",
    b"]",
    b",",
];

/// A member or element, and which object or array has it.
#[derive(Clone, Debug)]
pub struct Place {
    pub container: usize,
    pub item: Item,
}

/// The JSON texts in an input: the whole of it, or the data of its frames.
pub fn texts(input: &[u8]) -> Vec<Range<usize>> {
    let all = whole(input);
    if matches!(input.get(all.start), Some(b'{' | b'[')) {
        return vec![all];
    }
    let mut found = Vec::new();
    let mut at = 0;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"data:") {
            let data = whole(&line["data:".len()..]);
            found.push(at + 5 + data.start..at + 5 + data.end);
        }
        at += line.len();
    }
    found
}

/// Every member and element in a text, however deep.
pub fn places(input: &[u8], text: &Range<usize>) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    let mut waiting = vec![text.clone()];
    let mut container = 0;
    while let Some(span) = waiting.pop() {
        container += 1;
        for item in Items::new(input, &span) {
            if found.len() >= MOST_PLACES {
                return found;
            }
            waiting.push(item.value.clone());
            found.push(Place { container, item });
        }
    }
    found
}

/// An input with some damage. `others` are what pieces are taken of.
pub fn damaged(seed: &[u8], others: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=random.below(4) {
        input = match random.below(10) {
            0 => bytes_damaged(&input, others, random),
            1 => frames_damaged(&input, random),
            _ => values_damaged(&input, others, random),
        };
    }
    input
}

fn bytes_damaged(input: &[u8], others: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let at = random.below(input.len() + 1);
    let (head, tail) = input.split_at(at);
    match random.below(5) {
        0 => head.to_vec(),
        1 => tail.to_vec(),
        2 => {
            let other = random.pick(others);
            [head, &other[random.below(other.len() + 1)..]].concat()
        }
        3 => [head, *random.pick(&BYTES), tail].concat(),
        _ => {
            let mut input = input.to_vec();
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
            input
        }
    }
}

/// Frames removed, repeated and in another order.
fn frames_damaged(input: &[u8], random: &mut Random) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(input) else { return input.to_vec() };
    let mut frames: Vec<&str> = text.split_inclusive("\n\n").collect();
    let (one, two) = (random.below(frames.len()), random.below(frames.len()));
    if frames.is_empty() {
        return Vec::new();
    }
    match random.below(4) {
        0 => frames.swap(one, two),
        1 => drop(frames.remove(one)),
        2 => frames.insert(two, frames[one]),
        _ => frames.extend_from_within(one..),
    }
    frames.concat().into_bytes()
}

fn values_damaged(input: &[u8], others: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let texts = texts(input);
    if texts.is_empty() {
        return bytes_damaged(input, others, random);
    }
    let text = random.pick(&texts);
    let places = places(input, text);
    if places.is_empty() {
        return replaced(input, text.clone(), random.pick(&ODD).as_bytes());
    }
    let Place { container, item } = random.pick(&places).clone();
    let value = &input[item.value.clone()];
    match random.below(10) {
        0 => replaced(input, item.removal(), b""),
        1 => repeated(input, &item, 1 + random.below(20)),
        2 => {
            let other = &random.pick(&places).item.value;
            let mine = replaced(input, item.value.clone(), &input[other.clone()]);
            if other.end <= item.value.start { replaced(&mine, other.clone(), value) } else { mine }
        }
        3 => {
            let other = random.pick(others);
            let value = foreign(other, random).unwrap_or(b"null");
            replaced(input, item.value, value)
        }
        4 => replaced(input, item.value.clone(), &wrapped(value, random)),
        5 => {
            let siblings: Vec<&Place> =
                places.iter().filter(|p| p.container == container).collect();
            let other = &random.pick(&siblings).item;
            match (&item.key, &random.pick(&places).item.key, &other.key) {
                (Some(mine), Some(theirs), Some(_)) => {
                    replaced(input, mine.clone(), &input[theirs.clone()])
                }
                _ => repeated(input, other, 2),
            }
        }
        6 => replaced(input, item.value, large(random).as_bytes()),
        _ => replaced(input, item.value, random.pick(&ODD).as_bytes()),
    }
}

pub fn replaced(input: &[u8], span: Range<usize>, by: &[u8]) -> Vec<u8> {
    [&input[..span.start], by, &input[span.end..]].concat()
}

/// The member or element so many times more.
pub fn repeated(input: &[u8], item: &Item, times: usize) -> Vec<u8> {
    let start = item.key.as_ref().map_or(item.value.start, |key| key.start);
    let copy = [b",", &input[start..item.value.end]].concat();
    replaced(input, item.value.end..item.value.end, &copy.repeat(times))
}

fn foreign<'a>(other: &'a [u8], random: &mut Random) -> Option<&'a [u8]> {
    let texts = texts(other);
    let text = texts.get(random.below(texts.len()))?;
    let places = places(other, text);
    let place = places.get(random.below(places.len()))?;
    other.get(place.item.value.clone())
}

fn wrapped(value: &[u8], random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => [b"[", value, b"]"].concat(),
        1 => [b"{\"a\":", value, b"}"].concat(),
        2 => quote(&String::from_utf8_lossy(value)).into_bytes(),
        _ => [b" \r\n\t", value, b" "].concat(),
    }
}

/// Something much longer than what is expected.
fn large(random: &mut Random) -> String {
    let times = 1 << random.below(10);
    match random.below(4) {
        0 => format!("{}{}", "[".repeat(times), "]".repeat(times)),
        1 => format!("{}0{}", "{\"a\":".repeat(times), "}".repeat(times)),
        2 => format!("\"{}\"", random.pick(&["a", "\\n", "\\u00e9", "\\ud800", "é"]).repeat(times)),
        _ => format!("[{}null]", format!("{},", random.pick(&ODD)).repeat(times)),
    }
}

/// Values of about this many bytes, each of many small things.
pub fn bulks(bytes: usize) -> Vec<Vec<u8>> {
    let many = |piece: &str| piece.repeat(bytes / piece.len());
    let listed = |element: &str| format!("[{}{element}]", many(&format!("{element},")));
    let mut bulks: Vec<String> =
        ["0", "[]", "{}", "\"\"", "null", "[[]]", "{\"\":0}"].map(listed).into();
    bulks.push(format!("{{{}\"b\":0}}", many("\"a\":0,")));
    let keys: Vec<String> = (0..bytes / 9).map(|n| format!("\"{n:x}\":[]")).collect();
    bulks.push(format!("{{{}}}", keys.join(",")));
    bulks.push(format!("\"{}\"", many("\\n")));
    bulks.push(format!("\"{}\"", many("\\ud800")));
    bulks.push(format!("\"{}\"", many("a")));
    bulks.push(format!("{}{}", "[".repeat(bytes / 2), "]".repeat(bytes / 2)));
    bulks.push(quote(&many("{},")));
    bulks.push(quote(&format!("[{}0]", many("0,"))));
    bulks.into_iter().map(String::into_bytes).collect()
}
