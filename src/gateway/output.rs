//! What a policy may read of an answer.

use std::sync::Arc;

use crate::dialect::{AnswerText, CallText, FinishReason, json};
use crate::policy::{Finish, OutputView, ToolCall};
use crate::schema;

/// An answer, or the beginning of one.
#[derive(Debug)]
struct Shown {
    answer: Arc<AnswerText>,
    complete: bool,
}

#[must_use]
pub fn shown(answer: Arc<AnswerText>, complete: bool) -> Arc<dyn OutputView> {
    Arc::new(Shown { answer, complete })
}

impl Shown {
    /// Whether all it says is nothing that can be shown.
    fn is_opaque(&self) -> bool {
        let AnswerText { text, tool_calls, opaque, .. } = &*self.answer;
        *opaque && text.is_empty() && tool_calls.is_empty()
    }
}

/// The contract has arguments as JSON: a free text is a string there.
fn shown_call(call: &CallText) -> ToolCall {
    let CallText { name, arguments, free_text } = call;
    let arguments = if *free_text { json::quote(arguments) } else { arguments.clone() };
    ToolCall { name: name.clone(), arguments }
}

impl OutputView for Shown {
    fn complete(&self) -> bool {
        self.complete
    }

    fn text(&self, offset: u32, limit: u32) -> String {
        let text = &self.answer.text;
        let start = text.ceil_char_boundary((offset as usize).min(text.len()));
        let end = start.saturating_add(limit as usize).min(text.len());
        let end = text.floor_char_boundary(end).max(start);
        text[start..end].to_owned()
    }

    fn text_length(&self) -> u32 {
        u32::try_from(self.answer.text.len()).unwrap_or(u32::MAX)
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        self.answer.tool_calls.iter().map(shown_call).collect()
    }

    fn finish(&self) -> Finish {
        match self.answer.finish {
            FinishReason::Stop | FinishReason::ToolCalls if self.is_opaque() => Finish::Other,
            FinishReason::Stop => Finish::Stop,
            FinishReason::Length => Finish::Length,
            FinishReason::ToolCalls => Finish::ToolCalls,
            FinishReason::ContentFilter => Finish::ContentFilter,
            FinishReason::Refusal => Finish::Refusal,
            FinishReason::Other => Finish::Other,
            FinishReason::Unfinished => Finish::Unfinished,
        }
    }

    fn violations(&self, schema: &str) -> Vec<String> {
        let (whole, last) = (&self.answer.text, self.answer.last_text());
        let text = if last.len() < whole.len() && !schema::is_json(whole) { last } else { whole };
        schema::violations(text, schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A promise of JSON is kept by what follows the searches.
    #[test]
    fn words_before_a_search_break_no_promise() {
        let check = |stretches: &[&str], violations: usize| {
            let mut answer = AnswerText::default();
            for stretch in stretches {
                answer.push_text(stretch);
                answer.part();
            }
            let seen = shown(Arc::new(answer), true).violations(r#"{"required":["a"]}"#);
            assert_eq!(seen.len(), violations, "{stretches:?}: {seen:?}");
        };
        check(&["Let me search.", r#"{"a":1}"#], 0);
        check(&[r#"{"a""#, r":1}"], 0);
        check(&[r#"{"a":1}"#], 0);
        check(&["Let me search.", r#"{"b":1}"#], 1);
        check(&[r#"{"a":1}"#, "That was it."], 1);
        check(&["Let me search.", r#"It is {"a":1}"#], 1);
    }

    #[test]
    fn what_cannot_be_shown_is_no_plain_end() {
        let check = |text: &str, opaque, finish, expected| {
            let mut answer = AnswerText::default();
            answer.push_text(text);
            (answer.opaque, answer.finish) = (opaque, finish);
            let seen = shown(Arc::new(answer), true).finish();
            assert_eq!(seen, expected, "{text:?} {opaque} {finish:?}");
        };
        check("", false, FinishReason::Stop, Finish::Stop);
        check("", true, FinishReason::Stop, Finish::Other);
        check("", true, FinishReason::ToolCalls, Finish::Other);
        check("", true, FinishReason::Unfinished, Finish::Unfinished);
        check("a mast", true, FinishReason::Stop, Finish::Stop);
    }

    #[test]
    fn a_free_text_is_shown_as_json() {
        let mut answer = AnswerText::default();
        answer.push_call("patch", "*** \"Begin\"", true);
        answer.push_call("look", "{\"at\":1}", false);
        let shown = shown(Arc::new(answer), true).tool_calls();
        let arguments: Vec<&str> = shown.iter().map(|call| &*call.arguments).collect();
        assert_eq!(arguments, [r#""*** \"Begin\"""#, "{\"at\":1}"]);
    }

    #[test]
    fn text_is_cut_at_character_boundaries() {
        let mut answer = AnswerText::default();
        answer.push_text("aé😀z");
        let view = shown(Arc::new(answer), true);
        for (offset, limit, expected) in [
            (0, 100, "aé😀z"),
            (0, 2, "a"),
            (2, 100, "😀z"),
            (3, 3, ""),
            (3, 4, "😀"),
            (100, 1, ""),
            (0, u32::MAX, "aé😀z"),
        ] {
            assert_eq!(view.text(offset, limit), expected, "{offset}+{limit}");
        }
    }
}
