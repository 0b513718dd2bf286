//! Whatever the internal form can hold is the same once it was written and read
//! again, in each dialect that can express it. One generator for all; what a
//! dialect cannot say, its [`Can`] leaves out.

mod answers;
mod requests;
mod turns;

use std::borrow::Cow;
use std::fmt::Debug;

use backstay::dialect::Dialect;
use backstay::dialect::hub::Effort;
use proptest::prelude::*;

/// What a dialect can say, where they differ.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
struct Can {
    dialect: Dialect,
    // Of conversations.
    system_turns: bool,
    cache_points: bool,
    refusals: bool,
    thoughts: bool,
    redacted_thoughts: bool,
    call_ids: bool,
    call_signatures: bool,
    free_text: bool,
    errors_of_tools: bool,
    media_in_results: bool,
    image_urls: bool,
    image_details: bool,
    audio: bool,
    document_urls: bool,
    document_texts: bool,
    document_names: bool,
    // Of settings.
    stop: bool,
    top_k: bool,
    seed_and_penalties: bool,
    choices: bool,
    logprobs: bool,
    among: bool,
    strict_tools: bool,
    any_json: bool,
    names_of_formats: bool,
    user: bool,
    budgets: bool,
    shown: bool,
    // Of answers.
    any_order: bool,
    cache_writes: bool,
}

const fn can(dialect: Dialect) -> Can {
    let (openai, responses, anthropic, gemini) = match dialect {
        Dialect::OpenAi => (true, false, false, false),
        Dialect::Responses => (false, true, false, false),
        Dialect::Anthropic => (false, false, true, false),
        Dialect::Gemini => (false, false, false, true),
    };
    Can {
        dialect,
        system_turns: !gemini,
        cache_points: anthropic,
        refusals: openai || responses,
        thoughts: !openai,
        redacted_thoughts: anthropic || responses,
        call_ids: !gemini,
        call_signatures: openai || gemini,
        free_text: openai || responses,
        errors_of_tools: anthropic || gemini,
        media_in_results: !openai,
        image_urls: !gemini,
        image_details: openai || responses,
        audio: openai || gemini,
        document_urls: responses || anthropic,
        document_texts: anthropic,
        document_names: !gemini,
        stop: !responses,
        top_k: anthropic || gemini,
        seed_and_penalties: openai || gemini,
        choices: openai || gemini,
        logprobs: !anthropic,
        among: !anthropic,
        strict_tools: !gemini,
        any_json: !anthropic,
        names_of_formats: openai || responses,
        user: responses || anthropic,
        budgets: anthropic || gemini,
        shown: !openai,
        any_order: !openai,
        cache_writes: !gemini,
    }
}

impl Can {
    /// The efforts that have words of their own in the dialect.
    fn efforts(self) -> &'static [Effort] {
        use Effort::{High, Low, Max, Medium, Minimal, None, Xhigh};
        match self.dialect {
            Dialect::OpenAi | Dialect::Responses => &[None, Minimal, Low, Medium, High, Xhigh, Max],
            Dialect::Anthropic => &[None, Low, Medium, High, Xhigh, Max],
            Dialect::Gemini => &[Minimal, Low, Medium, High, Xhigh],
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé][a-zé\"\\\\\n</ 😀]{0,12}[a-z]"
}

fn words() -> impl Strategy<Value = Cow<'static, str>> {
    text().prop_map(Cow::Owned)
}

fn maybe<T: Clone + Debug>(
    allowed: bool,
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some).prop_map(move |value| value.filter(|_| allowed))
}
