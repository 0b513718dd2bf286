//! A policy's view of a body and its changes to it: JSON pointers (RFC 6901)
//! resolved to spans, changes made as splices. Every byte not named by a
//! change stays as it was. Must not know what any field means.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::json::{self, Item, Items, Patch, Span};
use crate::failover::consult::Edit;
use crate::pointer::{Flaw, tokens};

/// A change that cannot be made: the policy's fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot edit {pointer:?}: {reason}")]
pub struct EditError {
    pub pointer: String,
    pub reason: String,
}

/// The body after the edits, made one after the other.
pub fn edit(body: &[u8], edits: &[Edit]) -> Result<Bytes, EditError> {
    let mut body = Bytes::copy_from_slice(body);
    for edit in edits {
        let patch = plan(&body, edit)
            .map_err(|reason| EditError { pointer: cut(&edit.pointer), reason: reason.into() })?;
        body = json::patch(&body, vec![patch]);
    }
    Ok(body)
}

/// The body after an operator's settings. Objects on the way are made; a removal
/// of what is not there and a way that leads nowhere change nothing.
#[must_use]
pub fn set_all(mut body: Bytes, settings: &[Edit]) -> Bytes {
    for Edit { pointer, value } in settings {
        if let Some(patch) = place_for(&body, pointer, value.as_deref()) {
            body = json::patch(&body, vec![patch]);
        }
    }
    body
}

/// The patch for one setting, with the objects that are missing on the way.
fn place_for(body: &[u8], pointer: &str, value: Option<&str>) -> Option<Patch> {
    let tokens = tokens(pointer).ok()?;
    let mut span = json::whole(body);
    for (at, token) in tokens.iter().enumerate() {
        let rest = &tokens[at + 1..];
        match child(body, &span, token).ok()? {
            Child::Found(item) if rest.is_empty() => {
                let span = if value.is_some() { item.value } else { item.removal() };
                return Some(Patch { span, text: value.unwrap_or_default().to_owned() });
            }
            Child::Found(item) => span = item.value,
            Child::Missing(place) => {
                let nested = rest.iter().rev().fold(value?.to_owned(), |inner, key| {
                    format!("{{{}:{inner}}}", json::quote(key))
                });
                return Some(insertion(&place, token, &nested));
            }
        }
    }
    None
}

/// The raw JSON at a pointer. `None` also where a key on the way occurs twice:
/// readers differ in which of the two they take, so neither is shown.
#[must_use]
pub fn json_at<'a>(body: &'a [u8], pointer: &str) -> Option<&'a str> {
    let mut span = json::whole(body);
    for token in tokens(pointer).ok()? {
        match child(body, &span, &token).ok()? {
            Child::Found(item) => span = item.value,
            Child::Missing(_) => return None,
        }
    }
    std::str::from_utf8(body.get(span)?).ok().filter(|text| !text.is_empty())
}

fn plan(body: &[u8], edit: &Edit) -> Result<Patch, Flaw> {
    if let Some(value) = &edit.value {
        serde_json::from_str::<&RawValue>(value).map_err(|_| "the value is not JSON")?;
    }
    let tokens = tokens(&edit.pointer)?;
    let mut span = json::whole(body);
    let Some((last, parents)) = tokens.split_last() else {
        let text = edit.value.clone().ok_or("the whole body cannot be removed")?;
        return Ok(Patch { span, text });
    };
    for token in parents {
        match child(body, &span, token)? {
            Child::Found(item) => span = item.value,
            Child::Missing(_) => return Err("a value on the way there does not exist"),
        }
    }
    match (child(body, &span, last)?, &edit.value) {
        (Child::Found(item), Some(value)) => Ok(Patch { span: item.value, text: value.clone() }),
        (Child::Found(item), None) => Ok(Patch { span: item.removal(), text: String::new() }),
        (Child::Missing(place), Some(value)) => Ok(insertion(&place, last, value)),
        (Child::Missing(_), None) => {
            Ok(Patch { span: span.start..span.start, text: String::new() })
        }
    }
}

fn insertion(place: &Place, key: &str, value: &str) -> Patch {
    let comma = if place.empty { "" } else { "," };
    let key = if place.object { format!("{}:", json::quote(key)) } else { String::new() };
    Patch { span: place.at..place.at, text: format!("{comma}{key}{value}") }
}

enum Child {
    Found(Item),
    Missing(Place),
}

/// Where a new member or element would go.
struct Place {
    at: usize,
    empty: bool,
    object: bool,
}

fn child(body: &[u8], parent: &Span, token: &str) -> Result<Child, Flaw> {
    match body.get(parent.start) {
        Some(b'{') => member(body, parent, token),
        Some(b'[') => element(body, parent, token),
        _ => Err("a value on the way there is neither object nor array"),
    }
}

fn member(body: &[u8], parent: &Span, name: &str) -> Result<Child, Flaw> {
    let mut found = None;
    let mut end = None;
    for item in Items::new(body, parent) {
        end = Some(item.value.end);
        if item.key.as_ref().is_some_and(|key| json::key_is(body, key, name)) {
            if found.is_some() {
                return Err("a key on the way there occurs twice");
            }
            found = Some(item);
        }
    }
    Ok(found.map_or_else(|| Child::Missing(place(parent, end, true)), Child::Found))
}

fn element(body: &[u8], parent: &Span, token: &str) -> Result<Child, Flaw> {
    let wanted = index(token)?;
    let mut end = None;
    let mut count = 0;
    for item in Items::new(body, parent) {
        if wanted == Some(count) {
            return Ok(Child::Found(item));
        }
        count += 1;
        end = Some(item.value.end);
    }
    match wanted {
        Some(index) if index > count => Err("the array is shorter than that"),
        Some(_) | None => Ok(Child::Missing(place(parent, end, false))),
    }
}

/// The index a token names; `None` for "-", the place after the last element.
fn index(token: &str) -> Result<Option<usize>, Flaw> {
    if token == "-" {
        return Ok(None);
    }
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (token.len() > 1 && token.starts_with('0')) {
        return Err("an array is indexed by a number or by -");
    }
    token.parse().map(Some).map_err(|_| "an array is indexed by a number or by -")
}

fn place(parent: &Span, last_end: Option<usize>, object: bool) -> Place {
    Place { at: last_end.unwrap_or(parent.start + 1), empty: last_end.is_none(), object }
}

fn cut(pointer: &str) -> String {
    pointer.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{ "a":1e2, "b":{"c":[1, 2 ,{"d/e":"\ud800"}]},"f":{} ,"g":[]}"#;

    fn apply(body: &str, edits: &[(&str, Option<&str>)]) -> Result<String, String> {
        let edits: Vec<Edit> = edits
            .iter()
            .map(|(pointer, value)| Edit {
                pointer: (*pointer).into(),
                value: value.map(Into::into),
            })
            .collect();
        match edit(body.as_bytes(), &edits) {
            Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Err(error) => Err(error.reason),
        }
    }

    #[test]
    fn edits_change_only_what_they_name() {
        let check = |pointer, value, from: &str, to: &str| {
            assert_eq!(apply(BODY, &[(pointer, value)]), Ok(BODY.replace(from, to)), "{pointer}");
        };
        check("/a", Some("[0]"), "1e2", "[0]");
        check("/a", None, r#""a":1e2,"#, "");
        check("/g", None, r#","g":[]"#, "");
        check("/b/c/1", Some("null"), " 2 ", " null ");
        check("/b/c/0", None, "[1, 2", "[ 2");
        check("/b/c/-", Some("9"), r#""}]}"#, r#""},9]}"#);
        check("/b/c/3", Some("9"), r#""}]}"#, r#""},9]}"#);
        check("/b/c/2/d~1e", Some("1"), r#""\ud800""#, "1");
        check("/f/x~0y", Some("1"), "{} ", r#"{"x~y":1} "#);
        check("/g/-", Some("1"), "[]", "[1]");
        check("/new", Some("true"), r#""g":[]}"#, r#""g":[],"new":true}"#);
        check("/none", None, "", "");
        assert_eq!(apply(BODY, &[("", Some("{}"))]), Ok("{}".into()));
    }

    #[test]
    fn edits_follow_one_another() {
        let edits = [("/f/x", Some("{}")), ("/f/x/y", Some("1")), ("/a", None)];
        let expected = BODY.replace(r#""a":1e2,"#, "").replace("{} ", r#"{"x":{"y":1}} "#);
        assert_eq!(apply(BODY, &edits), Ok(expected));
    }

    #[test]
    fn edits_that_cannot_be_made_say_why() {
        let check = |body, pointer: &str, value, reason: &str| {
            assert_eq!(apply(body, &[(pointer, value)]), Err(reason.to_owned()), "{pointer}");
        };
        let number = "an array is indexed by a number or by -";
        let scalar = "a value on the way there is neither object nor array";
        check(BODY, "a", None, "a pointer begins with a slash");
        check(BODY, "/a~2", None, "in a pointer, ~ is followed by 0 or 1");
        check(BODY, "/a~", None, "in a pointer, ~ is followed by 0 or 1");
        check(BODY, "", None, "the whole body cannot be removed");
        check(BODY, "/a", Some("{"), "the value is not JSON");
        check(BODY, "/a", Some("1 2"), "the value is not JSON");
        check(BODY, "/x/y", Some("1"), "a value on the way there does not exist");
        check(BODY, "/a/b", Some("1"), scalar);
        check(BODY, "/g/01", Some("1"), number);
        check(BODY, "/g/+1", Some("1"), number);
        check(BODY, "/g/2", Some("1"), "the array is shorter than that");
        check(r#"{"a":1,"\u0061":2}"#, "/a", Some("1"), "a key on the way there occurs twice");
        check(BODY, &"/a".repeat(600), None, "the pointer is longer than 1024 bytes");
    }

    #[test]
    fn reading_at_a_pointer() {
        let check = |pointer, expected: Option<&str>| {
            assert_eq!(json_at(BODY.as_bytes(), pointer), expected, "{pointer}");
        };
        check("", Some(BODY));
        check("/a", Some("1e2"));
        check("/b/c/2/d~1e", Some(r#""\ud800""#));
        check("/b/c/-", None);
        check("/x", None);
        check("/a/b", None);
        check("a", None);
        assert_eq!(json_at(br#"{"a":1,"a":2}"#, "/a"), None);
        assert_eq!(json_at(b"", ""), None);
    }

    #[test]
    fn settings_make_their_way() {
        let check = |body: &str, pointer: &str, value: Option<&str>, expected: &str| {
            let settings = [Edit { pointer: pointer.to_owned(), value: value.map(str::to_owned) }];
            let seen = set_all(Bytes::from(body.to_owned()), &settings);
            assert_eq!(std::str::from_utf8(&seen), Ok(expected), "{body} {pointer}");
        };
        check(r#"{"a":1}"#, "/a", Some("2"), r#"{"a":2}"#);
        check(r#"{"a":1}"#, "/b", Some("2"), r#"{"a":1,"b":2}"#);
        check(r#"{"a":1}"#, "/b/c/d", Some("2"), r#"{"a":1,"b":{"c":{"d":2}}}"#);
        check(r#"{"a":{}}"#, "/a/b", Some("2"), r#"{"a":{"b":2}}"#);
        check(r#"{"a":1,"b":2}"#, "/a", None, r#"{"b":2}"#);
        check(r#"{"a":1}"#, "/b/c", None, r#"{"a":1}"#);
        check(r#"{"a":1}"#, "/a/c", Some("2"), r#"{"a":1}"#);
        check("[1]", "/a", Some("2"), "[1]");
    }
}
