//! Reasoning that must not go back to Anthropic in a body that otherwise passes
//! as it is. Owns how it is told and cut out; must not know when.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::request::member;
use crate::dialect::json::{self, Item, Items, Patch, Span};

static SIGNATURE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""signature""#));

/// Stands for a turn that was nothing but such reasoning: none may be empty.
const NOTHING_SAID: &str = r#"{"type":"text","text":"(no answer)"}"#;

/// The body without reasoning that Anthropic did not make: a client that another
/// provider answered for a while sends its reasoning back without a signature,
/// and Anthropic refuses that. Costs a search where there is none.
#[must_use]
pub fn own_thoughts(body: &Bytes) -> Bytes {
    let mut found = SIGNATURE.find_iter(body);
    if !found.any(|at| is_empty_value(&body[at + SIGNATURE.needle().len()..])) {
        return body.clone();
    }
    let Some(messages) = member(body, &json::whole(body), "messages") else { return body.clone() };
    let messages = Items::new(body, &messages);
    json::patch(body, messages.filter_map(|message| cut(body, &message.value)).collect())
}

/// Whether an empty string follows the key that ends here.
fn is_empty_value(rest: &[u8]) -> bool {
    let value = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    value.is_some_and(|value| value.starts_with(b"\"\""))
}

/// What takes the unsigned reasoning out of a message.
fn cut(body: &[u8], message: &Span) -> Option<Patch> {
    let content = member(body, message, "content")?;
    if body.get(content.start) != Some(&b'[') {
        return None;
    }
    let unsigned = |block: &Item| {
        let is = |name, value: &[u8]| {
            member(body, &block.value, name).is_some_and(|span| body.get(span) == Some(value))
        };
        is("type", br#""thinking""#) && is("signature", br#""""#)
    };
    let (out, kept): (Vec<Item>, Vec<Item>) = Items::new(body, &content).partition(unsigned);
    if out.is_empty() {
        return None;
    }
    let raw = |item: &Item| String::from_utf8_lossy(&body[item.value.clone()]).into_owned();
    let kept: Vec<String> = kept.iter().map(raw).collect();
    let kept = if kept.is_empty() { NOTHING_SAID.to_owned() } else { kept.join(",") };
    Some(Patch { span: content, text: format!("[{kept}]") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_thoughts_do_not_go_back() {
        let check = |messages: &str, expected: &str| {
            let body = format!(r#"{{"x":1.0, "messages": [{messages}] ,"model":"m"}}"#);
            let seen = own_thoughts(&Bytes::from(body));
            let expected = format!(r#"{{"x":1.0, "messages": [{expected}] ,"model":"m"}}"#);
            assert_eq!(std::str::from_utf8(&seen), Ok(&*expected));
        };
        let said = |blocks: &str| format!(r#"{{"role":"assistant", "content":[{blocks}]}}"#);
        let own = r#"{"type":"thinking","thinking":"a","signature":"s"}"#;
        let foreign = r#"{"type":"thinking","thinking":"a","signature": ""}"#;
        let text = r#"{"type":"text","text":"\"signature\":\"\""}"#;
        let user = r#"{"role":"user","content":"a"}"#;
        check(&said(own), &said(own));
        check(&said(text), &said(text));
        check(
            &format!("{user} ,{}", said(&format!("{foreign} , {text},{own}"))),
            &format!("{user} ,{}", said(&format!("{text},{own}"))),
        );
        check(
            &format!("{user} , {},{user}", said(foreign)),
            &format!("{user} , {},{user}", said(NOTHING_SAID)),
        );
        let input = r#"{"type":"tool_use","id":"i","name":"f","input":{"signature":""}}"#;
        check(&said(input), &said(input));
        let body = Bytes::from_static(br#"{"messages":[]}"#);
        assert_eq!(own_thoughts(&body).as_ptr(), body.as_ptr());
    }

    proptest! {
        #[test]
        fn nothing_panics(inner in "[\\[\\]\\{\\}\",:a-c]{0,30}") {
            let body = format!("{{\"messages\":[{inner}],\"signature\":\"\"}}");
            let _ = own_thoughts(&Bytes::from(body));
        }
    }
}
