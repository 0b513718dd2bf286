//! JSON text, written piece by piece in one line. Owns the commas; must not
//! know what is written.

use std::fmt;

use serde::Serializer;

/// JSON in the making. Values are written one after the other; within an object
/// each follows its [`key`](Json::key).
#[derive(Debug, Default)]
pub struct Json(Vec<u8>);

impl Json {
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Only after the beginning of a container or a key no comma is due.
    fn comma(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }

    /// Begins an object or array.
    pub fn open(&mut self, bracket: u8) -> &mut Self {
        self.comma();
        self.0.push(bracket);
        self
    }

    /// Ends an object or array.
    pub fn close(&mut self, bracket: u8) -> &mut Self {
        self.0.push(bracket);
        self
    }

    /// A member's name; its value must follow.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.0.push(b':');
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Self {
        self.comma();
        serde_json::to_writer(&mut self.0, text).expect("a string can be written to memory");
        self
    }

    /// A string that is put together as it is written.
    pub fn display(&mut self, text: &impl fmt::Display) -> &mut Self {
        self.comma();
        serde_json::Serializer::new(&mut self.0)
            .collect_str(text)
            .expect("a string can be written to memory");
        self
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.comma();
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// The rest of a value that was begun as text.
    pub fn raw_more(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.raw(&number.into().to_string())
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// A member that is text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.key(name).string(text)
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    #[must_use]
    pub fn into_text(self) -> String {
        String::from_utf8(self.0).expect("made of strings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_values() {
        let mut json = Json::default();
        json.open(b'{').text("a", "x{\"").key("b").open(b'[').number(1_u32).bool(true);
        json.open(b'{').close(b'}').raw("null").close(b']').key("c").raw("[]").close(b'}');
        assert_eq!(json.into_text(), r#"{"a":"x{\"","b":[1,true,{},null],"c":[]}"#);
    }
}
