//! What a translated request changed that must be undone in its answer: names
//! of tools, a forced tool that stands for a format, free-text tools that were
//! wrapped, and reasoning that the client did not ask to see. Pure bookkeeping
//! on events; must not know any dialect's fields.

use std::collections::BTreeMap;

use super::event::{Event, Finish};
use crate::dialect::json;

/// The tool that stands for a promised format, where the target has none.
pub const FORMAT_TOOL: &str = "respond";

/// So many bytes of text are held for a call of that tool; more is an answer.
const MOST_SAID: usize = 1 << 20;

/// The parameter of a wrapped free-text tool.
pub const FREE_TEXT_PARAMETER: &str = "input";

/// The member that holds arguments which are no JSON object, where only an
/// object can be said.
pub const BROKEN_ARGUMENTS: &str = "_raw";

/// See the module. Empty for most requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Legend {
    /// From the name the target knows to the client's.
    pub names: BTreeMap<String, String>,
    /// The target answers by calling this tool; its arguments are the text.
    pub format_tool: Option<String>,
    /// Tools (the client's names) that take free text and were given one
    /// parameter [`FREE_TEXT_PARAMETER`].
    pub free_text: Vec<String>,
    /// The client is not shown the reasoning.
    pub hides_thoughts: bool,
}

/// Undoes a legend in the events of one answer.
#[derive(Debug, Default)]
pub struct Undo {
    legend: Legend,
    /// Calls that are the promised text: (choice, call).
    texts: Vec<(u32, u32)>,
    /// Wrapped calls, with their arguments so far.
    wrapped: Vec<(u32, u32, String)>,
    /// Where a call may be the promised text: by choice, the text so far. It
    /// is the answer only if that call never comes.
    said: BTreeMap<u32, String>,
}

impl Legend {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { names, format_tool, free_text, hides_thoughts } = self;
        names.is_empty() && format_tool.is_none() && free_text.is_empty() && !hides_thoughts
    }
}

impl Undo {
    #[must_use]
    pub fn new(legend: Legend) -> Self {
        Self { legend, ..Self::default() }
    }

    /// The events as the client would have had them.
    #[must_use]
    pub fn apply(&mut self, events: Vec<Event>) -> Vec<Event> {
        if self.legend.is_empty() {
            return events;
        }
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.one(event, &mut out);
        }
        out
    }

    fn one(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::CallBegin { choice, call, id, name, free_text, signature } => {
                if self.legend.format_tool.as_ref() == Some(&name) {
                    self.said.remove(&choice);
                    self.texts.push((choice, call));
                    return;
                }
                // The client's own tool: what was said before it stands there.
                out.extend(self.said.remove(&choice).map(|text| Event::Text { choice, text }));
                let name = self.legend.names.get(&name).cloned().unwrap_or(name);
                let wrapped = self.legend.free_text.contains(&name);
                if wrapped {
                    self.wrapped.push((choice, call, String::new()));
                }
                let free_text = free_text || wrapped;
                out.push(Event::CallBegin { choice, call, id, name, free_text, signature });
            }
            Event::CallArguments { choice, call, fragment } => {
                self.arguments(choice, call, fragment, out);
            }
            Event::Text { choice, text } if self.legend.format_tool.is_some() => {
                self.said(choice, &text, out);
            }
            Event::Finish { choice, finish } => {
                self.unwrap_calls(choice, out);
                out.extend(self.said.remove(&choice).map(|text| Event::Text { choice, text }));
                let text_only = self.texts.iter().any(|text| text.0 == choice);
                let called = finish == Finish::ToolCalls;
                let finish = if called && text_only { Finish::Stop } else { finish };
                out.push(Event::Finish { choice, finish });
            }
            // That the model thinks is a sign of life; what it thinks is not told.
            Event::Thought { choice, .. } if self.legend.hides_thoughts => {
                let (text, signature) = (String::new(), None);
                out.push(Event::Thought { choice, text, signature, redacted: false });
            }
            Event::Begin { .. }
            | Event::Text { .. }
            | Event::Thought { .. }
            | Event::Refusal { .. }
            | Event::Opaque { .. }
            | Event::Usage(_) => out.push(event),
        }
    }

    /// Holds what a model says besides calling the tool that stands for its
    /// answer. That it says something is a sign of life.
    fn said(&mut self, choice: u32, text: &str, out: &mut Vec<Event>) {
        if !self.texts.iter().any(|called| called.0 == choice) {
            let held = self.said.entry(choice).or_default();
            held.push_str(text);
            if held.len() > MOST_SAID {
                out.push(Event::Text { choice, text: std::mem::take(held) });
            }
        }
        let (text, signature) = (String::new(), None);
        out.push(Event::Thought { choice, text, signature, redacted: false });
    }

    fn arguments(&mut self, choice: u32, call: u32, fragment: String, out: &mut Vec<Event>) {
        if self.texts.contains(&(choice, call)) {
            out.push(Event::Text { choice, text: fragment });
            return;
        }
        let wrapped = self.wrapped.iter_mut().find(|w| (w.0, w.1) == (choice, call));
        match wrapped {
            Some((_, _, held)) => held.push_str(&fragment),
            None => out.push(Event::CallArguments { choice, call, fragment }),
        }
    }

    /// The free text is only known once its JSON is whole.
    fn unwrap_calls(&mut self, choice: u32, out: &mut Vec<Event>) {
        let (done, rest) = self.wrapped.drain(..).partition(|w| w.0 == choice);
        self.wrapped = rest;
        let done: Vec<(u32, u32, String)> = done;
        for (choice, call, held) in done {
            let pointer = format!("/{FREE_TEXT_PARAMETER}");
            let text = crate::dialect::edit::json_at(held.as_bytes(), &pointer)
                .and_then(json::unquote)
                .map(std::borrow::Cow::into_owned);
            out.push(Event::CallArguments { choice, call, fragment: text.unwrap_or(held) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(call: u32, name: &str) -> Event {
        Event::CallBegin {
            choice: 0,
            call,
            id: "i".to_owned(),
            name: name.to_owned(),
            free_text: false,
            signature: None,
        }
    }

    fn more(call: u32, fragment: &str) -> Event {
        Event::CallArguments { choice: 0, call, fragment: fragment.to_owned() }
    }

    const END: Event = Event::Finish { choice: 0, finish: Finish::ToolCalls };

    #[test]
    fn a_format_tool_becomes_text() {
        let legend = Legend { format_tool: Some(FORMAT_TOOL.to_owned()), ..Legend::default() };
        let seen = Undo::new(legend).apply(vec![begin(0, FORMAT_TOOL), more(0, "{}"), END]);
        let text = Event::Text { choice: 0, text: "{}".to_owned() };
        assert_eq!(seen, [text, Event::Finish { choice: 0, finish: Finish::Stop }]);
    }

    /// Words beside the call would break the promise that it keeps.
    #[test]
    fn text_counts_only_without_the_format_tool() {
        let says = |text: &str| Event::Text { choice: 0, text: text.to_owned() };
        let (text, signature) = (String::new(), None);
        let alive = Event::Thought { choice: 0, text, signature, redacted: false };
        let legend = Legend { format_tool: Some(FORMAT_TOOL.to_owned()), ..Legend::default() };
        let mut undo = Undo::new(legend.clone());
        let begun = undo.apply(vec![says("Sure: "), begin(0, FORMAT_TOOL), more(0, "{}")]);
        assert_eq!(begun, [alive.clone(), says("{}")]);
        let stop = Event::Finish { choice: 0, finish: Finish::Stop };
        assert_eq!(undo.apply(vec![says("Done."), END]), [alive.clone(), stop.clone()]);
        let mut undo = Undo::new(legend);
        assert_eq!(undo.apply(vec![says("{"), says("}")]), [alive.clone(), alive]);
        assert_eq!(undo.apply(vec![stop.clone()]), [says("{}"), stop]);
        assert_eq!(undo.apply(vec![says("a"), begin(1, "own")])[1..], [says("a"), begin(1, "own")]);
    }

    #[test]
    fn hidden_thoughts_say_nothing() {
        let thought = |text: &str, signature| Event::Thought {
            choice: 0,
            text: text.to_owned(),
            signature,
            redacted: false,
        };
        let signed = thought("hm", Some((crate::dialect::Dialect::Gemini, "s".to_owned())));
        let hidden = Legend { hides_thoughts: true, ..Legend::default() };
        assert_eq!(Undo::new(hidden).apply(vec![signed.clone(), END]), [thought("", None), END]);
        let shown = Undo::new(Legend::default()).apply(vec![signed.clone()]);
        assert_eq!(shown, [signed]);
    }

    #[test]
    fn names_and_free_texts_come_back() {
        let legend = Legend {
            names: [("a_b".to_owned(), "a.b".to_owned())].into(),
            free_text: vec!["a.b".to_owned()],
            ..Legend::default()
        };
        let mut undo = Undo::new(legend);
        let seen =
            undo.apply(vec![begin(0, "a_b"), more(0, "{\"in"), more(0, "put\":\"x\\ny\"}"), END]);
        let Event::CallBegin { name, free_text: true, .. } = &seen[0] else { panic!("{seen:?}") };
        assert_eq!(name, "a.b");
        assert_eq!(seen[1..], [more(0, "x\ny"), END]);
        assert_eq!(undo.apply(vec![begin(1, "c")]), [begin(1, "c")]);
    }
}
