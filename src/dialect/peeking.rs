//! What the peeks of several dialects have in common: the checks of a body, the
//! raw values of its top-level fields, and an estimate of its input. Must not
//! know any field's name or meaning.

use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, Span};
use super::request::BadRequest;

/// Bytes of English text per token, on average over current tokenizers.
const BYTES_PER_TOKEN: usize = 4;

/// What an image costs; providers charge between 85 and some 1,500.
const TOKENS_PER_IMAGE: usize = 1000;

/// So much of a value is looked at to tell base64 from text.
const BASE64_PROBE: usize = 256;

/// The top-level fields that a dialect looks at.
pub trait Field: Copy + 'static {
    /// Their names, each at its field's place.
    const NAMES: &'static [&'static str];

    fn place(self) -> usize;

    #[must_use]
    fn name(self) -> &'static str {
        Self::NAMES[self.place()]
    }
}

/// No dialect looks at more of them.
const MOST_FIELDS: usize = 12;

/// The raw values of the fields that are looked at.
#[derive(Debug)]
pub struct Fields<'a, F> {
    text: &'a str,
    values: [Option<&'a RawValue>; MOST_FIELDS],
    names: PhantomData<F>,
}

impl<'a, F: Field> Fields<'a, F> {
    /// Checks that the body is one JSON object in UTF-8 and that no field which
    /// is looked at occurs twice: gateway and provider could disagree on which
    /// of the two counts.
    pub fn of(body: &'a [u8]) -> Result<Self, BadRequest> {
        let text = std::str::from_utf8(body)
            .map_err(|error| invalid(format!("the body is not UTF-8: {error}")))?;
        if text.starts_with('\u{feff}') {
            return Err(invalid("the body begins with a byte order mark"));
        }
        let Found::<F> { values, repeated, names } =
            serde_json::from_str(text).map_err(|error| {
                invalid(format!("the body is not a JSON object of the API: {error}"))
            })?;
        match repeated {
            Some(key) => {
                Err(BadRequest::new("duplicate_field", Some(key), format!("{key} occurs twice")))
            }
            None => Ok(Self { text, values, names }),
        }
    }

    /// A field's JSON; `null` is as good as absent.
    #[must_use]
    pub fn get(&self, field: F) -> Option<&'a str> {
        self.values[field.place()].map(RawValue::get).filter(|json| *json != "null")
    }

    /// Where a field's value lies in the body.
    #[must_use]
    pub fn span(&self, field: F) -> Option<Span> {
        self.get(field).map(|part| span(self.text, part))
    }

    /// A field that must be there.
    pub fn required(&self, field: F) -> Result<&'a str, BadRequest> {
        self.get(field).ok_or_else(|| missing(field.name()))
    }

    /// An array that must be there.
    pub fn array(&self, field: F) -> Result<&'a str, BadRequest> {
        let json = self.required(field)?;
        if json.starts_with('[') { Ok(json) } else { Err(wrong(field.name(), "must be an array")) }
    }

    /// A string, if it is there. Half of a surrogate pair is refused.
    pub fn string(&self, field: F) -> Result<Option<String>, BadRequest> {
        let value = self.get(field).map(serde_json::from_str::<String>).transpose();
        value.map_err(|_| wrong(field.name(), "must be a string"))
    }

    /// A boolean; false, if it is not there.
    pub fn flag(&self, field: F) -> Result<bool, BadRequest> {
        match self.get(field) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(field.name(), "must be a boolean")),
        }
    }

    /// A count; anything else is left for the provider to judge.
    #[must_use]
    pub fn number(&self, field: F) -> Option<u32> {
        self.get(field)?.parse().ok()
    }

    /// Whether a field is there and neither `[]` nor `{}`.
    #[must_use]
    pub fn filled(&self, field: F) -> bool {
        self.get(field).is_some_and(|json| !is_empty(json))
    }
}

fn invalid(message: impl Into<String>) -> BadRequest {
    BadRequest::new("invalid_json", None, message)
}

/// A field that is not there.
#[must_use]
pub fn missing(param: &'static str) -> BadRequest {
    BadRequest::new("missing_required_parameter", Some(param), format!("{param} is missing"))
}

/// A field with a value that no target could take.
#[must_use]
pub fn wrong(param: &'static str, message: &str) -> BadRequest {
    BadRequest::new("invalid_value", Some(param), format!("{param} {message}"))
}

fn is_empty(json: &str) -> bool {
    let mut bytes = json.bytes().filter(|byte| !byte.is_ascii_whitespace());
    matches!((bytes.next(), bytes.next()), (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')))
}

/// Where a borrowed part of a text lies in it.
#[must_use]
pub fn span(text: &str, part: &str) -> Span {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// What tells an image in JSON text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A member of this name.
    Key(&'static str),
    /// A member of this name whose string is this one.
    Is(&'static str, &'static str),
    /// A member of this name whose string begins like this.
    Begins(&'static str, &'static str),
}

/// Marks, ready to be searched for: to prepare a search costs more than to
/// search a short body.
#[derive(Debug)]
pub struct Marks(Vec<(Finder<'static>, Mark)>);

impl Marks {
    #[must_use]
    pub fn new(marks: &[Mark]) -> Self {
        let prepared = marks.iter().map(|mark| {
            let needle = match mark {
                Mark::Key(text) | Mark::Is(_, text) => format!("\"{text}\""),
                Mark::Begins(_, text) => format!("\"{text}"),
            };
            (Finder::new(needle.as_bytes()).into_owned(), *mark)
        });
        Self(prepared.collect())
    }

    /// How often they occur. A mark quoted in a user's text is not counted: its
    /// quotes are escaped.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        let text = text.as_bytes();
        let counts = self.0.iter().map(|(finder, mark)| {
            let at = finder.find_iter(text);
            at.filter(|at| match mark {
                Mark::Key(_) => is_key(&text[at + finder.needle().len()..]),
                Mark::Is(key, _) | Mark::Begins(key, _) => follows_key(&text[..*at], key),
            })
            .count()
        });
        counts.sum()
    }
}

/// Whether what follows a string makes it a key.
fn is_key(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Whether a value that follows this text belongs to the key.
fn follows_key(before: &[u8], key: &str) -> bool {
    let key_end = before.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
    let quoted = key_end.and_then(|text| text.strip_suffix(b"\""));
    let opened = quoted.and_then(|text| text.strip_suffix(key.as_bytes()));
    opened.is_some_and(|text| text.ends_with(b"\""))
}

static DATA_URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));

/// Members whose strings may be base64, ready to be searched for.
#[derive(Debug)]
pub struct Blobs(Vec<Finder<'static>>);

impl Blobs {
    /// `keys` are the members' names; data URIs are always found.
    #[must_use]
    pub fn new(keys: &[&str]) -> Self {
        let prepared = keys.iter().map(|key| {
            let needle = format!("\"{key}\"");
            Finder::new(needle.as_bytes()).into_owned()
        });
        Self(prepared.collect())
    }

    /// Bytes of base64 in a JSON text: images and files are no text.
    #[must_use]
    pub fn bytes(&self, text: &str) -> usize {
        let text = text.as_bytes();
        let members: usize = self.0.iter().map(|finder| sum(text, finder, member_base64)).sum();
        members + sum(text, &DATA_URI, string_length)
    }
}

/// Adds up what lies behind each place that is found, and goes on behind it.
fn sum(text: &[u8], finder: &Finder<'_>, length: impl Fn(&[u8]) -> usize) -> usize {
    let (mut total, mut at) = (0, 0);
    while let Some(found) = finder.find(&text[at..]) {
        at += found + finder.needle().len();
        let length = length(&text[at..]);
        total += length;
        at += length;
    }
    total
}

/// The base64 in the value whose key ends here; 0 for any other value.
fn member_base64(rest: &[u8]) -> usize {
    let value = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let Some(inner) = value.and_then(|value| value.strip_prefix(b"\"")) else { return 0 };
    let probe = inner.get(..BASE64_PROBE);
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    if probe.is_some_and(|probe| probe.iter().all(base64)) { string_length(inner) } else { 0 }
}

/// Up to the end of the string that this lies in.
fn string_length(rest: &[u8]) -> usize {
    memchr::memchr(b'"', rest).unwrap_or(rest.len())
}

/// An estimate of tokens from bytes of text and a number of images.
#[must_use]
pub fn tokens(bytes: usize, images: usize) -> u32 {
    let tokens = bytes / BYTES_PER_TOKEN + images.saturating_mul(TOKENS_PER_IMAGE);
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// The values as they are found, and the first name that occurs twice.
struct Found<'a, F> {
    values: [Option<&'a RawValue>; MOST_FIELDS],
    repeated: Option<&'static str>,
    names: PhantomData<F>,
}

impl<'de, F: Field> Deserialize<'de> for Found<'de, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<F>(PhantomData<F>);

impl<'de, F: Field> Visitor<'de> for FieldsVisitor<F> {
    type Value = Found<'de, F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de, F>, A::Error> {
        const { assert!(F::NAMES.len() <= MOST_FIELDS, "each field has a place") };
        let mut found = Found { values: [None; MOST_FIELDS], repeated: None, names: self.0 };
        // Keys are raw, because one may hold half of a surrogate pair.
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            if let Some(at) = place(F::NAMES, key)
                && found.values[at].replace(value).is_some()
            {
                found.repeated.get_or_insert(F::NAMES[at]);
            }
        }
        Ok(found)
    }
}

/// The place of a key's name among these. `Model` counts as `model`, since some
/// servers read keys in any case.
fn place(names: &[&str], key: &RawValue) -> Option<usize> {
    let key = json::unquote(key.get())?;
    names.iter().position(|name| key.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Known {
        Model,
        List,
        Flag,
    }

    impl Field for Known {
        const NAMES: &'static [&'static str] = &["model", "list", "flag"];

        fn place(self) -> usize {
            self as usize
        }
    }

    fn read(body: &[u8]) -> Result<Fields<'_, Known>, BadRequest> {
        Fields::of(body)
    }

    #[test]
    fn fields_are_found() {
        let body =
            br#" {"x":{"model":1},"mod\u0065l" : "a\/b","list":[ ],"flag":true,"\ud800":1,"\n":2}"#;
        let fields = read(body).unwrap();
        assert_eq!(fields.string(Known::Model).unwrap().as_deref(), Some("a/b"));
        assert_eq!(&fields.text[fields.span(Known::Model).unwrap()], r#""a\/b""#);
        assert_eq!(fields.array(Known::List), Ok("[ ]"));
        assert!(!fields.filled(Known::List) && fields.filled(Known::Model));
        assert_eq!(fields.flag(Known::Flag), Ok(true));
        let fields = read(br#"{"model":null,"list":7,"flag":0}"#).unwrap();
        assert_eq!(fields.get(Known::Model), None);
        assert_eq!(fields.string(Known::Model), Ok(None));
        assert_eq!(fields.number(Known::List), Some(7));
        assert_eq!(fields.required(Known::Model).unwrap_err().code, "missing_required_parameter");
        assert_eq!(fields.array(Known::List).unwrap_err().param, Some("list"));
        assert_eq!(fields.flag(Known::Flag).unwrap_err().param, Some("flag"));
    }

    #[test]
    fn bad_bodies_are_refused() {
        let check = |body: &[u8], code: &str| {
            assert_eq!(read(body).unwrap_err().code, code);
        };
        check(b"", "invalid_json");
        check(b"[]", "invalid_json");
        check(b"{} x", "invalid_json");
        check(b"{\"x\":01}", "invalid_json");
        check(b"\xef\xbb\xbf{}", "invalid_json");
        check(b"{\"x\":\"\xff\"}", "invalid_json");
        check(b"{\"mod\nel\":1}", "invalid_json");
        check(b"{\"mod\\u006\":1}", "invalid_json");
        check(br#"{"model":1,"Model":2}"#, "duplicate_field");
        check(br#"{"model":null,"mod\u0065l":2}"#, "duplicate_field");
        let deep = format!("{{\"list\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes()).is_ok());
    }

    #[test]
    fn images_are_counted() {
        let marks = Marks::new(&[Mark::Is("type", "image"), Mark::Begins("mimeType", "image/")]);
        let check = |text: &str, images| assert_eq!(marks.count(text), images, "{text}");
        check(r#"[{"type" :"image"},{"type":"images"},{"kind":"image"},{"type":"image"}]"#, 2);
        check(r#"{"mimeType":"image/png","x":"image/png"}"#, 1);
        check(r#""\"type\":\"image\", \"mimeType\":\"image/png\"""#, 0);
        let marks = Marks::new(&[Mark::Key("image_url")]);
        let count = |text: &str| marks.count(text);
        assert_eq!(
            count(r#"{"image_url" :{"url":"a"},"type":"image_url","x":"\"image_url\":"}"#),
            1
        );
    }

    #[test]
    fn base64_is_no_text() {
        let blobs = Blobs::new(&["data"]);
        let long = "QUFB".repeat(100);
        let check = |text: &str, bytes| assert_eq!(blobs.bytes(text), bytes, "{text}");
        check(&format!(r#"{{"data": "{long}","x":"{long}"}}"#), 400);
        check(&format!(r#"{{"data":"{}"}}"#, "a word ".repeat(100)), 0);
        check(&format!(r#"{{"url":"data:image/png;base64,{long}"}}"#), 400);
        check(r#"{"data":"QUFB"}"#, 0);
        check(r#"{"data":"#, 0);
        assert_eq!(tokens(400, 2), 2100);
        assert_eq!(tokens(0, usize::MAX), u32::MAX);
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"(model|list|data)\":[\\{\\}\\[\\]\"0-9a-z:, ]{0,30}\\}") {
            let _ = read(&body);
            let _ = read(near.as_bytes());
            let _ = Blobs::new(&["data", "a"]).bytes(&near);
            let _ = Marks::new(&[Mark::Is("model", "a"), Mark::Begins("list", "b")]).count(&near);
        }
    }
}
