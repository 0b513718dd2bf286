//! The JSON of answers as a client of Gemini reads them: parts, candidates,
//! token counts, the words for why a model stopped. Pure text; must not know
//! streams or framing.

use std::borrow::Cow;

use super::fields::{is_object, push_member, push_text};
use crate::dialect::Dialect;
use crate::dialect::hub::legend::{BROKEN_ARGUMENTS, FREE_TEXT_PARAMETER};
use crate::dialect::hub::{Finish, Usage};
use crate::dialect::json;

#[must_use]
pub fn text_part(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, json::quote(text))
}

/// A signature that a Gemini client may be shown.
#[must_use]
pub fn own_signature(signature: Option<&(Dialect, String)>) -> Option<&str> {
    signature.filter(|(by, _)| *by == Dialect::Gemini).map(|(_, value)| &**value)
}

/// A thought; `None` for one that says nothing.
#[must_use]
pub fn thought_part(text: &str, signature: Option<&(Dialect, String)>) -> Option<String> {
    let signature = own_signature(signature);
    if text.is_empty() && signature.is_none() {
        return None;
    }
    let mut out = String::from("{");
    push_text(&mut out, "text", text);
    push_member(&mut out, "thought", "true");
    if let Some(signature) = signature {
        push_text(&mut out, "thoughtSignature", signature);
    }
    out.push('}');
    Some(out)
}

/// A whole call. Empty `id`: without one.
#[must_use]
pub fn call_part(id: &str, name: &str, args: &str, signature: Option<&str>) -> String {
    let mut call = String::from("{");
    if !id.is_empty() {
        push_text(&mut call, "id", id);
    }
    push_text(&mut call, "name", name);
    push_member(&mut call, "args", args);
    call.push('}');
    let mut out = String::from("{");
    push_member(&mut out, "functionCall", &call);
    if let Some(signature) = signature {
        push_text(&mut out, "thoughtSignature", signature);
    }
    out.push('}');
    out
}

/// Arguments as the object Gemini knows: free text and what is no object is
/// wrapped in one.
#[must_use]
pub fn args(arguments: &str, free_text: bool) -> Cow<'_, str> {
    let arguments_are_blank = arguments.trim_ascii().is_empty();
    if !free_text && arguments_are_blank {
        return Cow::Borrowed("{}");
    }
    if !free_text && is_object(arguments) {
        return Cow::Borrowed(arguments.trim_ascii());
    }
    let member = if free_text { FREE_TEXT_PARAMETER } else { BROKEN_ARGUMENTS };
    Cow::Owned(format!(r#"{{"{member}":{}}}"#, json::quote(arguments)))
}

/// Why the model stopped, in Gemini's words. Words of Gemini's own that no
/// other dialect has are kept.
#[must_use]
pub fn finish_word(finish: &Finish, refusal_said: bool) -> &str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Refusal if refusal_said => "STOP",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
        // CONTINUATION would make the SDK ask again with a token there is not.
        Finish::Length | Finish::ContextFull | Finish::Paused => "MAX_TOKENS",
        Finish::Other(word) => {
            let own = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            if own && !word.is_empty() { word } else { "OTHER" }
        }
    }
}

/// One candidate; `parts` are joined by commas.
#[must_use]
pub fn candidate(index: u32, parts: &str, finish: Option<&str>) -> String {
    let content = format!(r#"{{"parts":[{parts}],"role":"model"}}"#);
    let mut out = String::from("{");
    push_member(&mut out, "content", &content);
    if let Some(finish) = finish {
        push_text(&mut out, "finishReason", finish);
    }
    push_member(&mut out, "index", &index.to_string());
    out.push('}');
    out
}

/// Token counts; what is not known is left out.
#[must_use]
pub fn usage(usage: &Usage) -> String {
    let counts = [
        ("promptTokenCount", usage.input),
        ("candidatesTokenCount", usage.visible_output()),
        ("totalTokenCount", usage.total()),
        ("cachedContentTokenCount", usage.cached),
        ("thoughtsTokenCount", usage.reasoning),
    ];
    let mut out = String::from("{");
    for (name, count) in counts {
        if let Some(count) = count {
            push_member(&mut out, name, &count.to_string());
        }
    }
    out.push('}');
    out
}

/// A whole response, or one chunk of a stream; no candidates, no such field.
#[must_use]
pub fn response(candidates: &str, tokens: Option<&Usage>, model: &str, id: &str) -> String {
    let mut out = String::from("{");
    if !candidates.is_empty() {
        push_member(&mut out, "candidates", &format!("[{candidates}]"));
    }
    if let Some(tokens) = tokens {
        push_member(&mut out, "usageMetadata", &usage(tokens));
    }
    push_text(&mut out, "modelVersion", model);
    push_text(&mut out, "responseId", id);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finishes_in_gemini_s_words() {
        let check = |finish: Finish, said, word| assert_eq!(finish_word(&finish, said), word);
        check(Finish::Stop, false, "STOP");
        check(Finish::StopSequence(Some("x".to_owned())), false, "STOP");
        check(Finish::ToolCalls, false, "STOP");
        check(Finish::Length, false, "MAX_TOKENS");
        check(Finish::ContextFull, false, "MAX_TOKENS");
        check(Finish::ContentFilter, false, "SAFETY");
        check(Finish::Refusal, true, "STOP");
        check(Finish::Refusal, false, "SAFETY");
        check(Finish::Paused, false, "MAX_TOKENS");
        check(Finish::Other("NO_IMAGE".to_owned()), false, "NO_IMAGE");
        check(Finish::Other("eos".to_owned()), false, "OTHER");
        check(Finish::Other(String::new()), false, "OTHER");
    }

    #[test]
    fn token_counts_are_told_apart() {
        let all = Usage {
            input: Some(100),
            cached: Some(40),
            cache_written: Some(10),
            output: Some(30),
            reasoning: Some(20),
        };
        let expected = r#"{"promptTokenCount":100,"candidatesTokenCount":10,"totalTokenCount":130,"cachedContentTokenCount":40,"thoughtsTokenCount":20}"#;
        assert_eq!(usage(&all), expected);
        assert_eq!(usage(&Usage::default()), "{}");
        let input = Usage { input: Some(3), ..Usage::default() };
        assert_eq!(usage(&input), r#"{"promptTokenCount":3,"totalTokenCount":3}"#);
    }

    #[test]
    fn arguments_are_always_an_object() {
        let check = |arguments, free, expected: &str| assert_eq!(args(arguments, free), expected);
        check("", false, "{}");
        check(" {\"a\":1} ", false, "{\"a\":1}");
        check("{\"a\":", false, r#"{"_raw":"{\"a\":"}"#);
        check("[1]", false, r#"{"_raw":"[1]"}"#);
        check("{}", true, r#"{"input":"{}"}"#);
        check("", true, r#"{"input":""}"#);
    }

    #[test]
    fn only_gemini_s_own_signatures_are_shown() {
        let own = (Dialect::Gemini, "s".to_owned());
        let other = (Dialect::Anthropic, "s".to_owned());
        let part = r#"{"text":"t","thought":true,"thoughtSignature":"s"}"#;
        assert_eq!(thought_part("t", Some(&own)).as_deref(), Some(part));
        assert_eq!(thought_part("t", Some(&other)), Some(r#"{"text":"t","thought":true}"#.into()));
        assert_eq!(thought_part("", Some(&other)), None);
    }
}
