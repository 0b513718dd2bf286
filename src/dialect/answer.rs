//! An answer as a policy sees it: its text, its tool calls and why it stopped,
//! whatever the dialect and whether it came whole or as a stream. Owns the
//! bounds on what is kept; must not know where the answer came from.

/// Why the model stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    /// A reason not in this list.
    Other,
    /// It has not stopped yet, or did not say why.
    #[default]
    Unfinished,
}

/// What is kept of an answer at most, in bytes of text and of tool calls.
pub const ANSWER_LIMIT: usize = 32 << 20;

/// Tool calls kept of one answer.
const MAX_TOOL_CALLS: usize = 256;

/// The first choice of an answer, as far as it has come.
#[derive(Clone, Debug, Default)]
pub struct AnswerText {
    pub text: String,
    pub tool_calls: Vec<CallText>,
    /// It has content of which there is no text: an image, audio, what a
    /// server's tool did.
    pub opaque: bool,
    pub finish: FinishReason,
    /// Where the last stretch of text begins.
    last: usize,
    /// Something else came after the text so far.
    apart: bool,
    bytes: usize,
    overflowed: bool,
}

/// The same if they say the same: what came after the last text, and would part
/// it from more, is no matter.
impl PartialEq for AnswerText {
    fn eq(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.last, it.opaque, it.finish, it.overflowed);
        self.text == other.text && self.tool_calls == other.tool_calls && said(self) == said(other)
    }
}

impl Eq for AnswerText {}

/// A tool call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallText {
    pub name: String,
    /// As the model wrote them: JSON, or any text if that is what the tool takes.
    pub arguments: String,
    pub free_text: bool,
}

#[cfg(test)]
impl CallText {
    pub fn json(name: &str, arguments: &str) -> Self {
        Self { name: name.to_owned(), arguments: arguments.to_owned(), free_text: false }
    }
}

impl AnswerText {
    /// Adds text; beyond the limit nothing more is kept.
    pub fn push_text(&mut self, text: &str) {
        if !text.is_empty() && self.take(text.len()) {
            if std::mem::take(&mut self.apart) {
                self.last = self.text.len();
            }
            self.text.push_str(text);
        }
    }

    /// What is not text came: text after it is another stretch.
    pub const fn part(&mut self) {
        self.apart = true;
    }

    /// The text after what last interrupted it: of a model that says what it
    /// will look up, looks it up and answers, the answer.
    #[must_use]
    pub fn last_text(&self) -> &str {
        &self.text[self.last..]
    }

    /// Content of which there is no text came.
    pub const fn push_opaque(&mut self) {
        self.opaque = true;
        self.part();
    }

    /// The same answer with other words, in one stretch.
    #[must_use]
    pub fn with_text(&self, text: String) -> Self {
        Self { text, last: 0, apart: false, ..self.clone() }
    }

    /// Begins a tool call.
    pub fn push_call(&mut self, name: &str, arguments: &str, free_text: bool) {
        self.part();
        if self.tool_calls.len() >= MAX_TOOL_CALLS {
            self.overflowed = true;
        } else if self.take(name.len() + arguments.len()) {
            let (name, arguments) = (name.to_owned(), arguments.to_owned());
            self.tool_calls.push(CallText { name, arguments, free_text });
        }
    }

    /// Adds to a tool call that was begun.
    pub fn extend_call(&mut self, call: usize, name: &str, arguments: &str) {
        if call < self.tool_calls.len() && self.take(name.len() + arguments.len()) {
            self.tool_calls[call].name.push_str(name);
            self.tool_calls[call].arguments.push_str(arguments);
        }
    }

    /// Whether the answer is longer than what is kept of it.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.overflowed
    }

    fn take(&mut self, bytes: usize) -> bool {
        self.overflowed |= self.bytes + bytes > ANSWER_LIMIT;
        if !self.overflowed {
            self.bytes += bytes;
        }
        !self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded() {
        let mut answer = AnswerText::default();
        answer.push_text(&"x".repeat(ANSWER_LIMIT - 1));
        assert!(!answer.overflowed());
        answer.push_text("ab");
        answer.push_text("c");
        assert!(answer.overflowed());
        assert_eq!(answer.text.len(), ANSWER_LIMIT - 1);

        let mut answer = AnswerText::default();
        for _ in 0..=MAX_TOOL_CALLS {
            answer.push_call("f", "{", false);
        }
        answer.extend_call(0, "", "}");
        assert!(answer.overflowed());
        assert_eq!(answer.tool_calls.len(), MAX_TOOL_CALLS);
    }

    #[test]
    fn tool_calls_grow_in_pieces() {
        let mut answer = AnswerText::default();
        answer.push_call("look", "", false);
        answer.extend_call(0, "up", "{\"a\"");
        answer.extend_call(0, "", ":1}");
        answer.extend_call(7, "", "lost");
        assert_eq!(answer.tool_calls, [CallText::json("lookup", "{\"a\":1}")]);
    }

    #[test]
    fn the_last_text_is_what_follows_all_else() {
        let mut answer = AnswerText::default();
        answer.push_text("Let me ");
        answer.push_text("look.");
        assert_eq!(answer.last_text(), "Let me look.");
        answer.part();
        assert_eq!(answer.last_text(), "Let me look.", "there is nothing after it");
        answer.push_text("{");
        answer.push_text("}");
        assert_eq!((answer.last_text(), &*answer.text), ("{}", "Let me look.{}"));
    }
}
