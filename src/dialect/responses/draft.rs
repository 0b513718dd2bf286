//! The items of a streamed answer as far as they have come: what its last event
//! must repeat. Owns the bound on that; must not know how events are written.

use super::item::{self, CallItem, Status};

/// What is kept of an answer at most, in bytes of text. What comes after that
/// is sent but not repeated.
const MOST_KEPT: usize = 32 << 20;

/// What an item costs besides its text.
const ITEM_COST: usize = 256;

/// One item.
#[derive(Debug)]
pub struct Item {
    pub id: String,
    /// Its place in the output.
    pub index: u32,
    pub body: Body,
    /// How it ended; `None` while it is open.
    pub ended: Option<Status>,
}

#[derive(Debug)]
pub enum Body {
    Message(Vec<Part>),
    Reasoning(Reasoning),
    Call(ToolCall),
    /// As the provider wrote it; empty if it was too long to be kept.
    Raw(String),
}

/// A part of a message.
#[derive(Debug)]
pub struct Part {
    pub refusal: bool,
    pub text: String,
    pub open: bool,
}

#[derive(Debug, Default)]
pub struct Reasoning {
    pub parts: Vec<String>,
    /// The last part is open.
    pub open: bool,
    /// The parts are the reasoning itself, and no summary.
    pub bare: bool,
    pub encrypted: Option<String>,
}

#[derive(Debug)]
pub struct ToolCall {
    /// Which call of the answer it is.
    pub number: u32,
    pub call_id: String,
    pub name: String,
    pub arguments: String,
    pub free_text: bool,
}

impl Item {
    /// The item as JSON; `None` if it was not kept.
    #[must_use]
    pub fn json(&self, status: Status) -> Option<String> {
        match &self.body {
            Body::Message(parts) => {
                let parts = parts.iter().map(|part| item::write_part(part.refusal, &part.text));
                Some(item::write_message(&self.id, status, &parts.collect::<Vec<_>>()))
            }
            Body::Reasoning(reasoning) => {
                let summary = if reasoning.bare { &[][..] } else { &reasoning.parts };
                Some(item::write_reasoning(&self.id, summary, reasoning.encrypted.as_deref()))
            }
            Body::Call(call) => Some(item::write_call(call.item(&self.id), status)),
            Body::Raw(json) => (!json.is_empty()).then(|| json.clone()),
        }
    }
}

impl ToolCall {
    #[must_use]
    pub fn item<'a>(&'a self, id: &'a str) -> CallItem<'a> {
        let Self { call_id, name, arguments, free_text, number: _ } = self;
        CallItem { id, call_id, name, arguments, free_text: *free_text }
    }
}

/// The items of one answer.
#[derive(Debug, Default)]
pub struct Draft {
    pub items: Vec<Item>,
    kept: usize,
}

impl Draft {
    /// Adds an item behind the others; gives its place among them.
    pub fn add(&mut self, id: String, index: u32, body: Body) -> usize {
        self.kept += ITEM_COST;
        self.items.push(Item { id, index, body, ended: None });
        self.items.len() - 1
    }

    /// The output index of the next item.
    #[must_use]
    pub fn next_index(&self) -> u32 {
        self.items.iter().map(|item| item.index.saturating_add(1)).max().unwrap_or(0)
    }

    /// The place of the item with this output index.
    #[must_use]
    pub fn place(&self, index: u32) -> Option<usize> {
        self.items.iter().rposition(|item| item.index == index)
    }

    /// Whether so many bytes more can be kept; counts them.
    pub fn keep(&mut self, bytes: usize) -> bool {
        let fits = self.kept.saturating_add(bytes) <= MOST_KEPT;
        if fits {
            self.kept += bytes;
        }
        fits
    }

    /// The items as JSON, in the order of the output. What is still open has
    /// this status.
    #[must_use]
    pub fn json(&self, open: Status) -> Vec<String> {
        let mut items: Vec<&Item> = self.items.iter().collect();
        items.sort_by_key(|item| item.index);
        items.into_iter().filter_map(|item| item.json(item.ended.unwrap_or(open))).collect()
    }
}
