//! Places in JSON text: spans of values, members and elements, found without a
//! tree. Owns the scanner and the splices made with it; must not know what any
//! field means.
//!
//! The scanner trusts that the text is valid JSON (it was checked when it came
//! in). On other text it finds nothing or a wrong span, but it neither panics
//! nor runs longer than the text, and it never recurses.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

/// A range of bytes in a body.
pub type Span = Range<usize>;

/// One member of an object or element of an array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// With its quotes; `None` in an array.
    pub key: Option<Span>,
    pub value: Span,
    /// Where the commas around it are.
    pub comma_before: Option<usize>,
    pub comma_after: Option<usize>,
}

impl Item {
    /// What to cut so that the rest is valid JSON again.
    #[must_use]
    pub fn removal(&self) -> Span {
        let start = self.key.as_ref().map_or(self.value.start, |key| key.start);
        match (self.comma_before, self.comma_after) {
            (_, Some(after)) => start..after + 1,
            (Some(before), None) => before..self.value.end,
            (None, None) => start..self.value.end,
        }
    }
}

/// The items of one object or array, in order.
#[derive(Debug)]
pub struct Items<'a> {
    cursor: Cursor<'a>,
    object: bool,
    comma: Option<usize>,
    done: bool,
}

impl<'a> Items<'a> {
    /// `container` is the span of an object or array; of anything else there
    /// are no items.
    #[must_use]
    pub fn new(text: &'a [u8], container: &Span) -> Self {
        let text = text.get(..container.end).unwrap_or(text);
        let mut cursor = Cursor { text, at: container.start };
        cursor.skip_space();
        let open = cursor.peek();
        cursor.at += 1;
        cursor.skip_space();
        let empty = matches!(cursor.peek(), Some(b'}' | b']') | None);
        let done = empty || !matches!(open, Some(b'{' | b'['));
        Self { cursor, object: open == Some(b'{'), comma: None, done }
    }

    fn key(&mut self) -> Option<Span> {
        let key = self.cursor.string()?;
        self.cursor.skip_space();
        if self.cursor.peek() != Some(b':') {
            return None;
        }
        self.cursor.at += 1;
        Some(key)
    }

    fn item(&mut self) -> Option<Item> {
        self.cursor.skip_space();
        let key = if self.object { Some(self.key()?) } else { None };
        self.cursor.skip_space();
        let value = self.cursor.value()?;
        let comma_before = self.comma;
        self.cursor.skip_space();
        self.comma = (self.cursor.peek() == Some(b',')).then_some(self.cursor.at);
        self.cursor.at += 1;
        self.done = self.comma.is_none();
        Some(Item { key, value, comma_before, comma_after: self.comma })
    }
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.done {
            return None;
        }
        let item = self.item();
        self.done |= item.is_none();
        item
    }
}

#[derive(Debug)]
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Option<Span> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += memchr2(b'"', b'\\', rest)?;
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Some(start..self.at);
            }
            self.at += 2;
        }
    }

    fn value(&mut self) -> Option<Span> {
        let start = self.at;
        match self.peek()? {
            b'"' => return self.string(),
            b'{' | b'[' => self.skip_container()?,
            _ => self.skip_scalar(),
        }
        (self.at > start).then_some(start..self.at)
    }

    fn skip_scalar(&mut self) {
        while let Some(byte) = self.peek() {
            if matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r') {
                return;
            }
            self.at += 1;
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The span of the whole value, without the space around it.
#[must_use]
pub fn whole(text: &[u8]) -> Span {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(start, |at| at + 1);
    start..end
}

/// The text of a JSON string, its escapes resolved. A half of a surrogate pair,
/// which JavaScript clients and some servers send, becomes U+FFFD. `None` for
/// anything but a string.
#[must_use]
pub fn unquote(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Some(Cow::Owned(text));
    }
    let Wide(mut bytes) = serde_json::from_str::<Wide>(json).ok()?;
    replace_halves(&mut bytes);
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Puts U+FFFD in the place of each half of a surrogate pair: both are three
/// bytes long.
fn replace_halves(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(0xed, bytes.get(at..).unwrap_or_default()) {
        at += found;
        // From 0xa0 on the second byte is that of a half; no text has it.
        if let Some(half @ [_, 0xa0..=0xff, _]) = bytes.get_mut(at..at + 3) {
            half.copy_from_slice("\u{fffd}".as_bytes());
        }
        at += 1;
    }
}

/// A JSON string as bytes: what `serde_json` offers for strings that are no
/// valid Unicode.
struct Wide(Vec<u8>);

impl<'de> serde::Deserialize<'de> for Wide {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(WideVisitor)
    }
}

struct WideVisitor;

impl serde::de::Visitor<'_> for WideVisitor {
    type Value = Wide;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wide, E> {
        Ok(Wide(bytes.to_vec()))
    }
}

/// Whether the key at a span is this name, escapes resolved.
#[must_use]
pub fn key_is(text: &[u8], key: &Span, name: &str) -> bool {
    let Some(quoted) = text.get(key.clone()) else { return false };
    let Some(inner) = quoted.get(1..quoted.len().saturating_sub(1)) else { return false };
    if memchr::memchr(b'\\', inner).is_none() {
        return inner == name.as_bytes();
    }
    std::str::from_utf8(quoted).ok().and_then(unquote).is_some_and(|text| text == name)
}

/// Text as a JSON string, with its quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string can always be written as JSON")
}

/// One replacement in a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patch {
    pub span: Span,
    pub text: String,
}

/// The body with the patches applied; every other byte as it was. Patches must
/// not overlap.
#[must_use]
pub fn patch(body: &[u8], mut patches: Vec<Patch>) -> Bytes {
    patches.sort_by_key(|patch| patch.span.start);
    let added: usize = patches.iter().map(|patch| patch.text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut at = 0;
    for patch in patches {
        out.extend_from_slice(&body[at..patch.span.start]);
        out.extend_from_slice(patch.text.as_bytes());
        at = patch.span.end;
    }
    out.extend_from_slice(&body[at..]);
    Bytes::from(out)
}

/// Puts items behind the last one of a container.
#[must_use]
pub fn append(container: &Span, last: Option<&Item>, items: &str) -> Patch {
    let at = last.map_or(container.start + 1, |last| last.value.end);
    let comma = if last.is_some() { "," } else { "" };
    Patch { span: at..at, text: format!("{comma}{items}") }
}

/// Puts items before the first one of a container.
#[must_use]
pub fn prepend(text: &[u8], container: &Span, items: &str) -> Patch {
    let at = container.start + 1;
    let comma = if Items::new(text, container).next().is_some() { "," } else { "" };
    Patch { span: at..at, text: format!("{items}{comma}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_added_at_either_end() {
        let check = |text: &str, before: &str, behind: &str| {
            let (body, container) = (text.as_bytes(), whole(text.as_bytes()));
            let last = Items::new(body, &container).last();
            assert_eq!(patch(body, vec![prepend(body, &container, "8,9")]), before.as_bytes());
            let seen = patch(body, vec![append(&container, last.as_ref(), "8,9")]);
            assert_eq!(seen, behind.as_bytes());
        };
        check(" [ ]", " [8,9 ]", " [8,9 ]");
        check("[1 ,{} ] ", "[8,9,1 ,{} ] ", "[1 ,{},8,9 ] ");
    }

    fn values(text: &str) -> Vec<&str> {
        Items::new(text.as_bytes(), &whole(text.as_bytes())).map(|i| &text[i.value]).collect()
    }

    #[test]
    fn items_of_containers() {
        let check = |text, expected: &[&str]| assert_eq!(values(text), expected, "{text}");
        check("{}", &[]);
        check(" [ ] ", &[]);
        check("7", &[]);
        check("\"[1]\"", &[]);
        check("[1,-2e5 ,true, null]", &["1", "-2e5", "true", "null"]);
        check(r#"{"a":{"b":[1,"]}"]},"c":"\"}"}"#, &[r#"{"b":[1,"]}"]}"#, r#""\"}""#]);
        check("[[],{},[[]]]", &["[]", "{}", "[[]]"]);
    }

    #[test]
    fn removing_an_item_leaves_valid_json() {
        let text = r#"{ "a" : 1 , "b":[2], "c":3 }"#;
        for item in Items::new(text.as_bytes(), &whole(text.as_bytes())) {
            let mut cut = text.to_owned();
            cut.replace_range(item.removal(), "");
            let value: serde_json::Value = serde_json::from_str(&cut).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 2, "{cut}");
        }
        let one = "[ 1 ]";
        let item = Items::new(one.as_bytes(), &(0..5)).next().unwrap();
        assert_eq!(item.removal(), 2..3);
    }

    #[test]
    fn unquote_keeps_what_it_can() {
        let check = |json, expected: Option<&str>| {
            assert_eq!(unquote(json).as_deref(), expected, "{json}");
        };
        check(r#""a\u00e9\n""#, Some("aé\n"));
        check(r#""\ud83d\ude00""#, Some("😀"));
        check(r#""x\ud800y""#, Some("x\u{fffd}y"));
        check(
            r#""\ufffd\ufffd\ufffd\udfff\ud7ff""#,
            Some("\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{d7ff}"),
        );
        check("12", None);
        check("\"", None);
    }

    #[test]
    fn keys_are_compared_with_their_escapes_resolved() {
        let check = |key: &str, expected| {
            assert_eq!(key_is(key.as_bytes(), &(0..key.len()), "model"), expected, "{key}");
        };
        check(r#""model""#, true);
        check(r#""mod\u0065l""#, true);
        check(r#""modelx""#, false);
        check(r#""\ud800""#, false);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(values(&deep).len(), 1);
        assert!(values(&"[".repeat(200_000)).is_empty());
    }
}
