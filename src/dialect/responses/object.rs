//! JSON objects as text, member by member, in the order in which they are
//! written. Must not know what any member means.

use crate::dialect::json;

/// An object being written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object(String);

impl Object {
    #[must_use]
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// An object whose first member is this type.
    #[must_use]
    pub fn typed(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    /// A member whose value is JSON. The key needs no escapes.
    #[must_use]
    pub fn raw(mut self, key: &str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.reserve(key.len() + value.len() + 4);
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(value);
        self
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &json::quote(value))
    }

    /// A member that is a string, if there is one.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    #[must_use]
    pub fn number(self, key: &str, value: u64) -> Self {
        self.raw(key, &value.to_string())
    }

    #[must_use]
    pub fn bool(self, key: &str, value: bool) -> Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// An array of values that are JSON.
#[must_use]
pub fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_json() {
        let object = Object::typed("a\"b").maybe("x", None).number("n", 7).bool("t", true);
        let seen = object.raw("l", &array(&["1".to_owned(), "{}".to_owned()])).end();
        assert_eq!(seen, r#"{"type":"a\"b","n":7,"t":true,"l":[1,{}]}"#);
        assert_eq!(Object::new().end(), "{}");
    }
}
