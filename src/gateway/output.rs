//! What a policy may read of an answer.

use std::sync::Arc;

use crate::dialect::{AnswerText, FinishReason, schema};
use crate::policy::{Finish, OutputView, ToolCall};

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
        let calls = self.answer.tool_calls.iter();
        calls
            .map(|(name, arguments)| ToolCall { name: name.clone(), arguments: arguments.clone() })
            .collect()
    }

    fn finish(&self) -> Finish {
        match self.answer.finish {
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
        schema::violations(&self.answer.text, schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
