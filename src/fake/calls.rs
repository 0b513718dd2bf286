//! Which tools an answer calls, and with what: because the fault wants it, or
//! because the request does. Pure.

use serde_json::json;

use super::answer::fitting;
use super::behaviour::{Behaviour, ContentFault, Fault};
use super::question::{Choice, Question, Tool};

/// A call of a tool; the arguments are JSON unless a fault spoils them.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub name: String,
    pub arguments: String,
}

/// The calls of an answer, none if it is text.
pub(super) fn tool_calls(
    question: &Question<'_>,
    text: &str,
    behaviour: &Behaviour,
    fault: &Fault,
) -> Vec<ToolCall> {
    let queries = |count: usize| {
        let names = question.tools.iter().map(|tool| tool.name.as_str()).cycle();
        let names = names.chain(std::iter::repeat("lookup"));
        let query = |name: &str| ToolCall {
            name: name.to_owned(),
            arguments: json!({ "query": text }).to_string(),
        };
        names.take(count).map(query).collect()
    };
    let count = if question.parallel { behaviour.calls } else { 1 };
    match fault {
        Fault::Content(ContentFault::ToolCut { .. }) => queries(1),
        Fault::Content(ContentFault::ToolCalls) if !question.answers_a_tool() => queries(count),
        Fault::Content(ContentFault::ToolCalls | ContentFault::Empty | ContentFault::Refusal) => {
            Vec::new()
        }
        Fault::Content(ContentFault::WrongJson | ContentFault::WrongSchema) => {
            forced(question, count, |_| text.to_owned())
        }
        Fault::None
        | Fault::Connection(_)
        | Fault::Rejection(_)
        | Fault::Slow(_)
        | Fault::Body(_)
        | Fault::Stream(_)
        | Fault::Content(
            ContentFault::Filtered { .. }
            | ContentFault::Length { .. }
            | ContentFault::DoubleFinish,
        ) => forced(question, count, |tool| fitting(&tool.schema, text)),
    }
}

/// So many calls if the request forces one: of the tool it names, or of all in turn.
fn forced(
    question: &Question<'_>,
    count: usize,
    arguments: impl Fn(&Tool) -> String,
) -> Vec<ToolCall> {
    let Some(first) = question.forced_tool() else { return Vec::new() };
    let call = |tool: &Tool| ToolCall { name: tool.name.clone(), arguments: arguments(tool) };
    match question.choice {
        Choice::Forced(None) => question.tools.iter().cycle().take(count).map(call).collect(),
        Choice::Forced(Some(_)) | Choice::Free => {
            std::iter::repeat_n(first, count).map(call).collect()
        }
    }
}
