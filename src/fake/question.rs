//! What a request asks for: the parts of its JSON body that matter here. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Shape, remainder, shaped};
use super::behaviour::Behaviour;

#[derive(Debug, Deserialize)]
pub(super) struct ChatBody<'a> {
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(borrow, default)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingsBody<'a> {
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(default)]
    pub dimensions: Option<u16>,
    #[serde(borrow, default)]
    encoding_format: Option<Cow<'a, str>>,
}

/// What is to be said in answer to a chat request.
#[derive(Debug, PartialEq)]
pub(super) enum Saying {
    Text(String),
    /// It ends with an assistant message, and this provider does not take that.
    PrefillUnsupported,
}

impl ChatBody<'_> {
    pub fn include_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    pub fn token_limit(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// About one token for four bytes of content.
    pub fn prompt_tokens(&self) -> usize {
        let bytes = self.messages.iter().filter_map(|message| message.content);
        bytes.map(|content| content.get().len()).sum::<usize>() / 4 + 1
    }

    /// The name of the first function among the tools.
    pub fn first_tool(&self) -> Option<String> {
        let tools: Value = serde_json::from_str(self.tools?.get()).ok()?;
        Some(tools[0]["function"]["name"].as_str()?.to_owned())
    }

    /// The whole answer, or the rest of one that is to be continued.
    pub fn saying(&self, behaviour: &Behaviour) -> Saying {
        let end = self.messages.len();
        let prefilled = self.messages.last().is_some_and(|last| last.role == "assistant");
        if prefilled && !behaviour.prefill {
            return Saying::PrefillUnsupported;
        }
        let (at, prompt) = self.last_user(end).unwrap_or_default();
        // A text to go on from lies at the end, or before a user message that asks to go on.
        let begun = if prefilled { end.checked_sub(1) } else { at.checked_sub(1) };
        let rest = begun.and_then(|begun| self.rest_of(begun, behaviour));
        Saying::Text(rest.unwrap_or_else(|| self.whole(&prompt, behaviour)))
    }

    /// What is left of the answer that the message at this index begins, if it
    /// begins the answer to the user message before it.
    fn rest_of(&self, at: usize, behaviour: &Behaviour) -> Option<String> {
        if self.messages[at].role != "assistant" {
            return None;
        }
        let (_, prompt) = self.last_user(at)?;
        let whole = self.whole(&prompt, behaviour);
        remainder(&whole, &self.text(at), behaviour.continues).map(str::to_owned)
    }

    fn whole(&self, prompt: &str, behaviour: &Behaviour) -> String {
        shaped(prompt, behaviour.words, &self.shape())
    }

    /// The last user message before this index.
    fn last_user(&self, before: usize) -> Option<(usize, Cow<'_, str>)> {
        let at = self.messages[..before].iter().rposition(|message| message.role == "user")?;
        Some((at, self.text(at)))
    }

    fn text(&self, at: usize) -> Cow<'_, str> {
        self.messages[at].content.map_or(Cow::Borrowed(""), content_text)
    }

    fn shape(&self) -> Shape {
        let Some(format) = self.response_format else { return Shape::Text };
        let format: Value = serde_json::from_str(format.get()).unwrap_or_default();
        match format["type"].as_str() {
            Some("json_object") => Shape::Json,
            Some("json_schema") => Shape::Schema(format["json_schema"]["schema"].clone()),
            Some(_) | None => Shape::Text,
        }
    }
}

/// The text of a message: a string, or the text parts of a list.
fn content_text(content: &RawValue) -> Cow<'_, str> {
    if let Ok(text) = serde_json::from_str::<&str>(content.get()) {
        return Cow::Borrowed(text);
    }
    match serde_json::from_str(content.get()) {
        Ok(Value::String(text)) => Cow::Owned(text),
        Ok(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>().into()
        }
        Ok(_) | Err(_) => Cow::Borrowed(""),
    }
}

impl EmbeddingsBody<'_> {
    pub fn base64(&self) -> bool {
        self.encoding_format.as_deref() == Some("base64")
    }

    /// The inputs, each as it was written: a list of numbers is one input.
    pub fn inputs(&self) -> Vec<&str> {
        match serde_json::from_str::<Vec<&RawValue>>(self.input.get()) {
            Ok(list) if list.first().is_some_and(|first| !is_number(first)) => {
                list.into_iter().map(RawValue::get).collect()
            }
            Ok(_) | Err(_) => vec![self.input.get()],
        }
    }
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::answer::answer;
    use super::*;

    fn said(messages: &str, spec: &str) -> Saying {
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        let body: ChatBody<'_> = serde_json::from_str(&body).unwrap();
        body.saying(&Behaviour::parse(spec).unwrap())
    }

    #[test]
    fn an_answer_is_begun_or_continued() {
        let whole = answer("hi", 4);
        let begun = answer("hi", 2);
        let rest = &whole[begun.len()..];
        let check = |messages: &str, spec: &str, expected: &str| {
            let messages = messages.replace('\'', "\"").replace("BEGUN", &begun);
            assert_eq!(said(&messages, spec), Saying::Text(expected.to_owned()), "{messages}");
        };
        let user = "[{'role':'user','content':'hi'}]";
        let parts = "[{'role':'user','content':[{'type':'text','text':'hi'}]}]";
        let prefill = "[{'role':'user','content':'hi'},{'role':'assistant','content':'BEGUN'}]";
        let go_on = "[{'role':'user','content':'hi'},{'role':'assistant','content':'BEGUN'},\
                     {'role':'user','content':'go on'}]";
        let another = "[{'role':'user','content':'hi'},{'role':'assistant','content':'other'},\
                       {'role':'user','content':'go on'}]";
        check(user, "words=4", &whole);
        check(parts, "words=4", &whole);
        check(prefill, "words=4", rest);
        check(prefill, "words=4+continues=restart", &whole);
        check(prefill, "words=4+continues=overlap", &whole);
        check(go_on, "words=4", rest);
        check(go_on, "words=4+prefill=off", rest);
        check(another, "words=4", &answer("go on", 4));
        check("[]", "words=4", &answer("", 4));
    }

    #[test]
    fn a_prefill_may_be_refused() {
        let messages = r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"x"}]"#;
        assert_eq!(said(messages, "prefill=off"), Saying::PrefillUnsupported);
    }

    #[test]
    fn inputs_are_counted() {
        let check = |input: &str, expected: &[&str]| {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            let body: EmbeddingsBody<'_> = serde_json::from_str(&body).unwrap();
            assert_eq!(body.inputs(), expected);
        };
        check(r#""one""#, &[r#""one""#]);
        check(r#"["one","two"]"#, &[r#""one""#, r#""two""#]);
        check("[1,2,3]", &["[1,2,3]"]);
        check("[[1,2],[3]]", &["[1,2]", "[3]"]);
    }
}
