//! A whole answer, whatever its dialect, and how it becomes steps and steps
//! become it. Must not know any dialect's fields.

use std::borrow::Cow;

use super::event::{Event, Finish, Usage};
use crate::dialect::Dialect;
use crate::dialect::answer::AnswerText;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answer {
    /// Empty where the provider gives none.
    pub id: String,
    pub model: String,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Choice {
    pub parts: Vec<Part>,
    /// `None` where the provider did not say.
    pub finish: Option<Finish>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    Text(String),
    Thought {
        text: String,
        signature: Option<(Dialect, String)>,
        redacted: bool,
    },
    Refusal(String),
    Call {
        /// Empty where the provider gives none.
        id: String,
        name: String,
        /// JSON as text; of a free-text tool the text itself.
        arguments: String,
        free_text: bool,
        signature: Option<(Dialect, String)>,
    },
    /// Content that no other dialect has.
    Opaque(&'static str),
}

/// The most choices that are told apart.
const MAX_CHOICES: usize = 128;

/// So many parts back it is looked whether a kind of content was told of.
const LOOK_BACK: usize = 32;

/// In so many parts it is told of again where it stands between texts.
const TOLD_AGAIN: usize = 64;

impl Answer {
    /// Puts the steps of a stream together.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut answer = Self::default();
        let mut calls = Vec::new();
        for event in events {
            answer.add(event, &mut calls);
        }
        answer
    }

    /// `calls` are the places of the calls: (choice, call, part).
    fn add(&mut self, event: Event, calls: &mut Vec<(u32, u32, usize)>) {
        match event {
            Event::Begin { id, model } => (self.id, self.model) = (id, model),
            Event::Text { choice, text } => self.choice(choice).add_text(text.into()),
            Event::Thought { choice, text, signature, redacted } => {
                self.choice(choice).add_thought(text, signature, redacted);
            }
            Event::Refusal { choice, text } => self.choice(choice).add_refusal(text.into()),
            Event::CallBegin { choice, call, id, name, free_text, signature } => {
                let of = self.choice(choice);
                calls.push((choice, call, of.parts.len()));
                let arguments = String::new();
                of.push(Part::Call { id, name, arguments, free_text, signature });
            }
            Event::CallArguments { choice, call, fragment } => {
                let place = calls.iter().rfind(|place| (place.0, place.1) == (choice, call));
                let place = place.map(|place| place.2);
                let parts = &mut self.choice(choice).parts;
                if let Some(Part::Call { arguments, .. }) = place.and_then(|at| parts.get_mut(at)) {
                    arguments.push_str(&fragment);
                }
            }
            Event::Opaque { choice, what } => self.choice(choice).add_opaque(what),
            Event::Finish { choice, finish } => self.choice(choice).finish = Some(finish),
            Event::Usage(usage) => {
                self.usage = Some(usage.over(self.usage.unwrap_or_default()));
            }
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let index = (index as usize).min(MAX_CHOICES - 1);
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        &mut self.choices[index]
    }

    /// The same as steps of a stream.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        let mut events = vec![Event::Begin { id: self.id, model: self.model }];
        let mut finishes = Vec::new();
        for (choice, of) in (0..).zip(self.choices) {
            let mut call = 0;
            for part in of.parts {
                part.into_events(choice, &mut call, &mut events);
            }
            finishes.extend(of.finish.map(|finish| Event::Finish { choice, finish }));
        }
        events.extend(finishes);
        events.extend(self.usage.map(Event::Usage));
        events
    }

    /// What no other dialect can say of it, each named once.
    #[must_use]
    pub fn opaque(&self) -> Vec<&'static str> {
        let mut named = Vec::new();
        for part in self.choices.iter().flat_map(|choice| &choice.parts) {
            match part {
                Part::Opaque(what) if !named.contains(what) => named.push(*what),
                Part::Opaque(_)
                | Part::Text(_)
                | Part::Thought { .. }
                | Part::Refusal(_)
                | Part::Call { .. } => {}
            }
        }
        named
    }

    /// Puts this text in place of the first choice's.
    pub fn replace_text(&mut self, text: &str) {
        let mut amended = Some(Part::Text(text.to_owned()));
        let parts = &mut self.choice(0).parts;
        let old = std::mem::take(parts);
        for part in old {
            match part {
                Part::Text(_) => parts.extend(amended.take()),
                Part::Thought { .. } | Part::Refusal(_) | Part::Call { .. } | Part::Opaque(_) => {
                    parts.push(part);
                }
            }
        }
        parts.extend(amended);
    }

    /// The first choice as a policy sees it.
    #[must_use]
    pub fn text(&self) -> AnswerText {
        let mut text = AnswerText::default();
        let Some(first) = self.choices.first() else { return text };
        for part in &first.parts {
            match part {
                Part::Text(more) => text.push_text(more),
                Part::Call { name, arguments, free_text, .. } => {
                    text.push_call(name, arguments, *free_text);
                }
                Part::Opaque(_) => text.push_opaque(),
                Part::Thought { .. } | Part::Refusal(_) => text.part(),
            }
        }
        if let Some(finish) = &first.finish {
            text.finish = finish.reason();
        }
        text
    }
}

impl Choice {
    /// Adds a part of its own. Room is made for few more than there are: a part
    /// is larger than the shortest JSON that makes one.
    pub fn push(&mut self, part: Part) {
        if self.parts.len() == self.parts.capacity() {
            self.parts.reserve_exact(1 + self.parts.len() / 16);
        }
        self.parts.push(part);
    }

    /// Adds to the text before, if there is one right before.
    pub fn add_text(&mut self, more: Cow<'_, str>) {
        match self.parts.last_mut() {
            _ if more.is_empty() => {}
            Some(Part::Text(text)) => text.push_str(&more),
            _ => self.push(Part::Text(more.into_owned())),
        }
    }

    /// The same with the words of a refusal.
    pub fn add_refusal(&mut self, more: Cow<'_, str>) {
        match self.parts.last_mut() {
            Some(Part::Refusal(text)) => text.push_str(&more),
            _ => self.push(Part::Refusal(more.into_owned())),
        }
    }

    /// Adds content that has no place, unless it was told of that kind not long
    /// before. In answers of few parts it keeps texts apart, too.
    pub fn add_opaque(&mut self, what: &'static str) {
        let told = |part: &Part| matches!(part, Part::Opaque(known) if *known == what);
        let between = matches!(self.parts.last(), Some(Part::Text(_)));
        let apart = between && self.parts.len() < TOLD_AGAIN;
        if apart || !self.parts.iter().rev().take(LOOK_BACK).any(told) {
            self.push(Part::Opaque(what));
        }
    }

    /// A thought that was signed is closed.
    fn add_thought(&mut self, more: String, proof: Option<(Dialect, String)>, hidden: bool) {
        match self.parts.last_mut() {
            Some(Part::Thought { text, signature, redacted: false })
                if signature.is_none() && !hidden =>
            {
                text.push_str(&more);
                *signature = proof;
            }
            _ => self.push(Part::Thought { text: more, signature: proof, redacted: hidden }),
        }
    }
}

impl Part {
    fn into_events(self, choice: u32, calls: &mut u32, events: &mut Vec<Event>) {
        match self {
            Self::Text(text) => events.push(Event::Text { choice, text }),
            Self::Thought { text, signature, redacted } => {
                events.push(Event::Thought { choice, text, signature, redacted });
            }
            Self::Refusal(text) => events.push(Event::Refusal { choice, text }),
            Self::Call { id, name, arguments, free_text, signature } => {
                let call = *calls;
                *calls += 1;
                events.push(Event::CallBegin { choice, call, id, name, free_text, signature });
                if !arguments.is_empty() {
                    events.push(Event::CallArguments { choice, call, fragment: arguments });
                }
            }
            Self::Opaque(what) => events.push(Event::Opaque { choice, what }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::CallText;

    #[test]
    fn steps_and_wholes_are_the_same() {
        let call = |name: &str, arguments: &str| Part::Call {
            id: format!("id-{name}"),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            free_text: false,
            signature: None,
        };
        let thought = |text: &str, signed: bool| Part::Thought {
            text: text.to_owned(),
            signature: signed.then(|| (Dialect::Anthropic, "sig".to_owned())),
            redacted: false,
        };
        let first = Choice {
            parts: vec![
                thought("a", true),
                thought("b", false),
                Part::Text("c".to_owned()),
                call("f", "{}"),
                call("g", ""),
                Part::Opaque("audio"),
            ],
            finish: Some(Finish::ToolCalls),
        };
        let second = Choice { parts: vec![Part::Refusal("no".to_owned())], finish: None };
        let usage = Usage { input: Some(3), output: Some(4), ..Usage::default() };
        let answer = Answer {
            id: "i".to_owned(),
            model: "m".to_owned(),
            choices: vec![first, second],
            usage: Some(usage),
        };
        assert_eq!(Answer::of(answer.clone().into_events()), answer);
        let text = answer.text();
        assert_eq!((&*text.text, text.tool_calls.len()), ("c", 2));
        assert_eq!(answer.opaque(), ["audio"]);
    }

    #[test]
    fn small_parts_are_few() {
        let mut choice = Choice::default();
        for _ in 0..1000 {
            choice.add_text("a".into());
            choice.add_opaque("audio");
            choice.add_text("".into());
        }
        assert_eq!(choice.parts.len(), TOLD_AGAIN + 1);
        let last = Part::Text("a".repeat(1000 - TOLD_AGAIN / 2));
        assert_eq!(choice.parts.last(), Some(&last));
        let mut choice = Choice::default();
        for _ in 0..1000 {
            choice.add_refusal("no".into());
        }
        assert_eq!(choice.parts, [Part::Refusal("no".repeat(1000))]);
        assert_eq!(choice.parts.capacity(), 1);
        for _ in 0..1000 {
            choice.push(Part::Text("a".to_owned()));
        }
        assert!(choice.parts.capacity() < 1080);
    }

    #[test]
    fn interleaved_calls_find_their_arguments() {
        let begin = |call| Event::CallBegin {
            choice: 0,
            call,
            id: String::new(),
            name: format!("f{call}"),
            free_text: false,
            signature: None,
        };
        let more = |call, fragment: &str| Event::CallArguments {
            choice: 0,
            call,
            fragment: fragment.to_owned(),
        };
        let answer = Answer::of([
            begin(0),
            begin(1),
            more(0, "{"),
            more(1, "[]"),
            more(0, "}"),
            more(7, "x"),
        ]);
        let calls = answer.text().tool_calls;
        assert_eq!(calls, [CallText::json("f0", "{}"), CallText::json("f1", "[]")]);
    }
}
