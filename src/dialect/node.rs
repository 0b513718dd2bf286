//! A JSON value as the translators read it: a piece of the body's own text,
//! walked lazily. Nothing is copied but strings with escapes, so that reading a
//! request costs no memory to speak of, whatever the request. Must not know
//! what any field means.
//!
//! The text must have been checked to be JSON; of other text the values are
//! wrong or missing, but nothing panics (see [`json`](super::json)).

use std::borrow::Cow;

use super::json::{self, Items};

/// A JSON value, as its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node<'a>(&'a str);

impl<'a> Node<'a> {
    /// The value that is the whole of a text, but for the space around it.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self(&text[json::whole(text.as_bytes())])
    }

    /// The text of the value.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    #[must_use]
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    #[must_use]
    pub fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// The text of a string, its escapes resolved.
    #[must_use]
    pub fn str(self) -> Option<Cow<'a, str>> {
        json::unquote(self.0)
    }

    #[must_use]
    pub fn bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number from 0 on; `8.0` is one too.
    #[must_use]
    pub fn u32(self) -> Option<u32> {
        if let Ok(number) = self.0.parse() {
            return Some(number);
        }
        let number: f64 = self.number()?.parse().ok()?;
        let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        whole.then_some(number as u32)
    }

    /// The text of a number.
    #[must_use]
    pub fn number(self) -> Option<&'a str> {
        self.0.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(self.0)
    }

    /// The elements of an array; none of anything else.
    pub fn items(self) -> impl Iterator<Item = Node<'a>> {
        let text = self.0;
        let range = if self.is_array() { 0..text.len() } else { 0..0 };
        Items::new(text.as_bytes(), &range).map(move |item| Node(&text[item.value]))
    }

    /// The members of an object, in order; none of anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Node<'a>)> {
        let text = self.0;
        let range = if self.is_object() { 0..text.len() } else { 0..0 };
        Items::new(text.as_bytes(), &range).filter_map(move |item| {
            let key = json::unquote(&text[item.key?])?;
            Some((key, Node(&text[item.value])))
        })
    }

    /// A member of an object; `null` is as good as absent. Of a key that occurs
    /// twice the last one counts, as with most servers.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Node<'a>> {
        let text = self.0;
        let range = if self.is_object() { 0..text.len() } else { 0..0 };
        let named = Items::new(text.as_bytes(), &range).filter(|item| {
            item.key.as_ref().is_some_and(|key| json::key_is(text.as_bytes(), key, name))
        });
        let value = Node(&text[named.last()?.value]);
        (!value.is_null()).then_some(value)
    }

    /// The text of a string member.
    #[must_use]
    pub fn text(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let node = Node::new(r#" {"a":[1,"\u0062",null,8.0,-2],"x":null,"x\u0031":{"y":true}} "#);
        let items: Vec<_> = node.get("a").unwrap().items().map(Node::raw).collect();
        assert_eq!(items, ["1", r#""\u0062""#, "null", "8.0", "-2"]);
        let numbers: Vec<_> = node.get("a").unwrap().items().map(Node::u32).collect();
        assert_eq!(numbers, [Some(1), None, None, Some(8), None]);
        assert_eq!(node.get("a").unwrap().items().nth(1).unwrap().str().unwrap(), "b");
        assert_eq!(node.get("x"), None);
        assert_eq!(node.get("x1").unwrap().get("y").unwrap().bool(), Some(true));
        let keys: Vec<_> = node.members().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "x", "x1"]);
        assert_eq!(node.items().count() + Node::new("[1]").members().count(), 0);
        assert_eq!(Node::new("").raw(), "");
        assert_eq!(Node::new("{\"a\"").get("a"), None);
    }
}
