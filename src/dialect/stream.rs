//! A streamed answer, frame by frame: what each frame is, the answer so far,
//! and, where another dialect must be written, its events. Owns what counts as
//! content and when an answer can still be continued; what a frame says, the
//! dialects' decoders know.

use super::answer::{AnswerText, FinishReason};
use super::hub::legend::Undo;
use super::hub::{Event, Legend};
use super::sse::Frame;
use super::{Dialect, anthropic, gemini, hub, openai, responses};
use crate::failover::attempt::ErrorReply;
use crate::secret::Secret;

/// What one frame is.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// A comment, a ping, a blank line, or an event without data.
    Comment,
    /// A frame that brings nothing yet: the role, a filter's results.
    Lifecycle,
    Content(Content),
    /// Every choice has said why it stopped. May bring content too.
    Finish(Option<Content>),
    /// Token counts.
    Usage,
    /// The normal terminator.
    Done,
    Error(ErrorReply),
    Malformed {
        detail: String,
    },
}

/// The content one frame brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// Bytes of answer text in it.
    pub text_bytes: u32,
    /// Whether another target could continue the stream after it: so far
    /// nothing but text came, and reasoning.
    pub continuable: bool,
}

/// The most choices that are told apart; `OpenAI` allows 128.
pub const MAX_CHOICES: u32 = 128;

/// What a decoder makes of one frame. Its events are pushed to a list.
#[derive(Clone, PartialEq, Debug)]
pub enum Decoded {
    /// Nothing that belongs to the answer: a ping, a blank line.
    Nothing,
    /// The events that were pushed; none, if the frame brings nothing yet.
    Events,
    /// The events that were pushed, and no frame will follow.
    Last,
    /// The normal terminator.
    Done,
    Error(ErrorReply),
    Malformed(String),
}

/// A provider dialect's decoder of frames.
#[derive(Debug)]
enum Decoder {
    OpenAi(openai::Decoder),
    Responses(responses::Decoder),
    Anthropic(anthropic::Decoder),
    Gemini(gemini::Decoder),
}

impl Decoder {
    fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi(openai::Decoder::default()),
            Dialect::Responses => Self::Responses(responses::Decoder::default()),
            Dialect::Anthropic => Self::Anthropic(anthropic::Decoder::default()),
            Dialect::Gemini => Self::Gemini(gemini::Decoder::default()),
        }
    }

    fn decode(&mut self, frame: &Frame, secrets: &[&Secret], events: &mut Vec<Event>) -> Decoded {
        match self {
            Self::OpenAi(decoder) => decoder.decode(frame, secrets, events),
            Self::Responses(decoder) => decoder.decode(frame, secrets, events),
            Self::Anthropic(decoder) => decoder.decode(frame, secrets, events),
            Self::Gemini(decoder) => decoder.decode(frame, secrets, events),
        }
    }
}

/// Reads the frames of one stream, in order.
#[derive(Debug)]
pub struct Reader {
    inner: Inner,
    events: Vec<Event>,
}

#[derive(Debug)]
enum Inner {
    /// `OpenAI`'s chunks on their way to a client of the same dialect: read
    /// without being taken apart.
    Passing(openai::stream::Reader),
    Decoding(Box<Decoding>),
}

#[derive(Debug)]
struct Decoding {
    decoder: Decoder,
    undo: Undo,
    progress: Progress,
}

impl Reader {
    /// A reader for a stream on its way to a client of the same dialect, of a
    /// request that asked for this many choices.
    #[must_use]
    pub fn passing(dialect: Dialect, choices: u32) -> Self {
        match dialect {
            Dialect::OpenAi => Self {
                inner: Inner::Passing(openai::stream::Reader::new(choices)),
                events: Vec::new(),
            },
            Dialect::Responses | Dialect::Anthropic | Dialect::Gemini => {
                Self::decoding(dialect, choices, Legend::default())
            }
        }
    }

    /// A reader whose events are wanted; what the request changed by this
    /// legend is undone in them.
    #[must_use]
    pub fn decoding(dialect: Dialect, choices: u32, legend: Legend) -> Self {
        let decoder = Decoder::new(dialect);
        let (undo, progress) = (Undo::new(legend), Progress::new(choices));
        let inner = Inner::Decoding(Box::new(Decoding { decoder, undo, progress }));
        Self { inner, events: Vec::new() }
    }

    /// The next frame. `secrets` are cut out of errors.
    pub fn read(&mut self, frame: &Frame, secrets: &[&Secret]) -> Part {
        self.events.clear();
        match &mut self.inner {
            Inner::Passing(reader) => reader.read(frame, secrets),
            Inner::Decoding(decoding) => {
                let decoded = decoding.decoder.decode(frame, secrets, &mut self.events);
                self.events = decoding.undo.apply(std::mem::take(&mut self.events));
                decoding.progress.part(decoded, &self.events)
            }
        }
    }

    /// The events of the last frame that was read.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether every choice has said why it stopped: then the answer is whole,
    /// even if the terminator never comes.
    #[must_use]
    pub const fn completed(&self) -> bool {
        match &self.inner {
            Inner::Passing(reader) => reader.completed(),
            Inner::Decoding(decoding) => decoding.progress.completed(),
        }
    }

    /// Whether the provider will send nothing more.
    #[must_use]
    pub const fn ended(&self) -> bool {
        match &self.inner {
            Inner::Passing(_) => false,
            Inner::Decoding(decoding) => decoding.progress.ended,
        }
    }

    /// The first choice, as far as it has come.
    #[must_use]
    pub const fn answer(&self) -> &AnswerText {
        match &self.inner {
            Inner::Passing(reader) => reader.answer(),
            Inner::Decoding(decoding) => &decoding.progress.answer,
        }
    }

    /// Why the first choice stopped.
    #[must_use]
    pub const fn finish_reason(&self) -> FinishReason {
        self.answer().finish
    }
}

/// The events of some frames of one stream, frame by frame; for frames that
/// were read before without them.
#[must_use]
pub fn events_of<'a>(
    dialect: Dialect,
    frames: impl IntoIterator<Item = &'a Frame>,
) -> Vec<Vec<Event>> {
    let mut decoder = Decoder::new(dialect);
    let events = frames.into_iter().map(|frame| {
        let mut events = Vec::new();
        decoder.decode(frame, &[], &mut events);
        events
    });
    events.collect()
}

/// A whole answer as a stream, step by step.
#[must_use]
pub fn steps_of(answer: hub::Answer, choices: u32) -> Vec<(Part, Event)> {
    let mut progress = Progress::new(choices);
    let steps = answer.into_events().into_iter().map(|event| {
        let part = progress.part(Decoded::Events, std::slice::from_ref(&event));
        (part, event)
    });
    steps.collect()
}

/// How far an answer has come, by its events.
#[derive(Debug)]
struct Progress {
    choices: u32,
    /// Bit n: choice n has finished.
    finished: u128,
    continuable: bool,
    ended: bool,
    answer: AnswerText,
    /// The number of each tool call in `answer`.
    calls: Vec<u32>,
}

impl Progress {
    fn new(choices: u32) -> Self {
        let choices = choices.clamp(1, MAX_CHOICES);
        Self {
            choices,
            finished: 0,
            continuable: choices == 1,
            ended: false,
            answer: AnswerText::default(),
            calls: Vec::new(),
        }
    }

    const fn completed(&self) -> bool {
        self.finished.count_ones() >= self.choices
    }

    fn part(&mut self, decoded: Decoded, events: &[Event]) -> Part {
        match decoded {
            Decoded::Nothing => Part::Comment,
            Decoded::Done => Part::Done,
            Decoded::Error(reply) => Part::Error(reply),
            Decoded::Malformed(detail) => Part::Malformed { detail },
            Decoded::Events => self.take(events),
            Decoded::Last => {
                self.ended = true;
                self.take(events)
            }
        }
    }

    fn take(&mut self, events: &[Event]) -> Part {
        let was_completed = self.completed();
        let (mut text, mut content, mut usage) = (0_usize, false, false);
        for event in events {
            content |= self.add(event, &mut text);
            usage |= matches!(event, Event::Usage(_));
        }
        self.continuable &= !self.answer.overflowed();
        let content = content.then(|| Content {
            text_bytes: u32::try_from(text).unwrap_or(u32::MAX),
            continuable: self.continuable,
        });
        match content {
            content if self.completed() && !was_completed => Part::Finish(content),
            Some(content) => Part::Content(content),
            None if usage => Part::Usage,
            None => Part::Lifecycle,
        }
    }

    /// Takes one event; whether it brings content, and how much text.
    fn add(&mut self, event: &Event, text_bytes: &mut usize) -> bool {
        match event {
            Event::Begin { .. } | Event::Usage(_) => return false,
            Event::Text { choice, text } => {
                *text_bytes += text.len();
                self.continuable &= *choice == 0 && !text.contains('\u{fffd}');
                if *choice == 0 {
                    self.answer.push_text(text);
                }
                return !text.is_empty();
            }
            Event::Thought { choice, .. } => self.interrupted(*choice),
            Event::Refusal { choice, .. } => {
                self.continuable = false;
                self.interrupted(*choice);
            }
            Event::Opaque { choice, .. } => {
                self.continuable = false;
                if *choice == 0 {
                    self.answer.push_opaque();
                }
            }
            Event::CallBegin { choice, call, name, free_text, .. } => {
                self.continuable = false;
                if *choice == 0 {
                    self.answer.push_call(name, "", *free_text);
                    self.calls.push(*call);
                }
            }
            Event::CallArguments { choice, call, fragment } => {
                self.continuable = false;
                let place = self.calls.iter().rposition(|known| known == call);
                if let (0, Some(place)) = (*choice, place) {
                    self.answer.extend_call(place, "", fragment);
                }
            }
            Event::Finish { choice, finish } => {
                self.finished |= 1_u128.checked_shl(*choice).unwrap_or(0);
                if *choice == 0 {
                    self.answer.finish = finish.reason();
                }
                return false;
            }
        }
        true
    }

    /// What is not text came.
    const fn interrupted(&mut self, choice: u32) {
        if choice == 0 {
            self.answer.part();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::hub::{Answer, Choice, Finish, Usage};

    fn text(choice: u32, text: &str) -> Event {
        Event::Text { choice, text: text.to_owned() }
    }

    fn finish(choice: u32) -> Event {
        Event::Finish { choice, finish: Finish::Stop }
    }

    const BEGIN: Event = Event::Begin { id: String::new(), model: String::new() };
    const USAGE: Event = Event::Usage(Usage {
        input: Some(1),
        cached: None,
        cache_written: None,
        output: None,
        reasoning: None,
    });

    fn content(text_bytes: u32, continuable: bool) -> Content {
        Content { text_bytes, continuable }
    }

    #[test]
    fn what_frames_are() {
        let check = |choices: u32, frames: &[(&[Event], Part)]| {
            let mut progress = Progress::new(choices);
            for (events, expected) in frames {
                assert_eq!(&progress.part(Decoded::Events, events), expected, "{events:?}");
            }
        };
        let call = Event::CallBegin {
            choice: 0,
            call: 0,
            id: String::new(),
            name: "f".to_owned(),
            free_text: false,
            signature: None,
        };
        let thought =
            Event::Thought { choice: 0, text: "hm".to_owned(), signature: None, redacted: false };
        check(
            1,
            &[
                (&[BEGIN], Part::Lifecycle),
                (&[text(0, "")], Part::Lifecycle),
                (&[thought], Part::Content(content(0, true))),
                (&[text(0, "ab"), text(0, "c")], Part::Content(content(3, true))),
                (&[USAGE], Part::Usage),
                (&[text(0, "d"), finish(0), USAGE], Part::Finish(Some(content(1, true)))),
                (&[USAGE], Part::Usage),
            ],
        );
        check(
            1,
            &[(&[call], Part::Content(content(0, false))), (&[finish(0)], Part::Finish(None))],
        );
        check(
            2,
            &[
                (&[text(1, "a")], Part::Content(content(1, false))),
                (&[finish(1)], Part::Lifecycle),
                (&[finish(0)], Part::Finish(None)),
            ],
        );
        // Half of a character was lost: what the client shows is not known.
        check(1, &[(&[text(0, "a\u{fffd}")], Part::Content(content(4, false)))]);
    }

    #[test]
    fn a_whole_answer_becomes_steps() {
        let parts = vec![crate::dialect::hub::Part::Text("ab".to_owned())];
        let choice = Choice { parts, finish: Some(Finish::Stop) };
        let answer = Answer { choices: vec![choice], ..Answer::default() };
        let steps: Vec<Part> = steps_of(answer, 1).into_iter().map(|step| step.0).collect();
        let expected = [Part::Lifecycle, Part::Content(content(2, true)), Part::Finish(None)];
        assert_eq!(steps, expected);
    }
    /// The answer of a model that searches between what it says.
    #[test]
    fn the_last_text_follows_the_last_search() {
        let mut choice = Choice::default();
        for said in ["Let me search.", "And again.", "{}"] {
            choice.add_opaque("web_search_call");
            choice.add_text(said.into());
        }
        let answer = Answer { choices: vec![choice], ..Answer::default() };
        let mut progress = Progress::new(1);
        progress.part(Decoded::Events, &answer.clone().into_events());
        assert_eq!((answer.text().last_text(), progress.answer.last_text()), ("{}", "{}"));
    }
}
