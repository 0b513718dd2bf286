//! A client's own body on its way to a target of this dialect: what another
//! provider left in its history and `OpenAI` would refuse. Byte splices; must
//! not know why the target was chosen.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::dialect::json::{self, Item, Items, Patch};
use crate::dialect::node::Node;
use crate::dialect::peeking::span;

/// Ids of reasoning that another provider did begin so: `OpenAI` has no such
/// item and refuses what refers to it.
pub const FOREIGN_REASONING: &str = "rs_backstay";

static FOREIGN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"rs_backstay_"));

/// The body without the reasoning that other providers did. Costs a search where
/// there is none.
#[must_use]
pub fn own_reasoning(body: &Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let input = Node::new(text).get("input").filter(|input| input.is_array());
    let (Some(_), Some(input)) = (FOREIGN.find(body), input) else { return body.clone() };
    let raw = |item: &Item| &text[item.value.clone()];
    let foreign = |item: &Item| {
        let node = Node::new(raw(item));
        let id = node.text("id").is_some_and(|id| id.starts_with(FOREIGN_REASONING));
        id && node.text("type").is_some_and(|kind| kind == "reasoning")
    };
    let place = span(text, input.raw());
    if !Items::new(body, &place).any(|item| foreign(&item)) {
        return body.clone();
    }
    let kept: Vec<&str> = Items::new(body, &place)
        .filter(|item| !foreign(item))
        .map(|item| &text[item.value])
        .collect();
    json::patch(body, vec![Patch { span: place, text: format!("[{}]", kept.join(",")) }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_of_other_providers_does_not_go_to_openai() {
        let check = |input: &str, expected: &str| {
            let seen = own_reasoning(&Bytes::from(format!(r#"{{"x": 1, "input": {input}}}"#)));
            assert_eq!(
                std::str::from_utf8(&seen),
                Ok(&*format!(r#"{{"x": 1, "input": {expected}}}"#))
            );
        };
        let foreign = r#"{"type":"reasoning","id":"rs_backstay_t_0","summary":[]}"#;
        let own = r#"{"type":"reasoning","id":"rs_1","summary":[]}"#;
        let text = r#"{"role":"user","content":"\"rs_backstay_\""}"#;
        check(&format!("[{own}, {text}]"), &format!("[{own}, {text}]"));
        check(&format!("[{own}, {foreign} ,{text}]"), &format!("[{own},{text}]"));
        check(&format!("[{foreign}]"), "[]");
        check(r#""\"rs_backstay_\"""#, r#""\"rs_backstay_\"""#);
    }
}
