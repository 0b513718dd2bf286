//! Conversations: texts, media, reasoning, calls and their results.

use std::borrow::Cow;

use backstay::dialect::hub::{
    Block, Call, Media, MediaKind, Role, Signature, Source, Thought, ToolResult, Turn,
};
use proptest::prelude::*;

use super::{Can, maybe, text, words};

const DATA: &str = "iVBORw0KGgo=";

fn media_of(
    can: Can,
    kind: u8,
    by_url: bool,
    name: bool,
    detail: Option<&'static str>,
) -> Media<'static> {
    let base64 = || Source::Base64(DATA.into());
    let url = |path: &str| Source::Url(format!("https://example.com/{path}").into());
    let (kind, media_type, source) = match (kind, by_url) {
        (0, true) if can.image_urls => (MediaKind::Image, "", url("a.png")),
        (1, true) if can.document_urls => (MediaKind::Document, "", url("a.pdf")),
        (1, false) => (MediaKind::Document, "application/pdf", base64()),
        (2, _) if can.audio => (MediaKind::Audio, "audio/wav", base64()),
        (3, _) if can.document_texts => {
            (MediaKind::Document, "text/plain", Source::Text("so it is".into()))
        }
        _ => (MediaKind::Image, "image/png", base64()),
    };
    // A file always has a name in OpenAI's dialects, but not one by its URL.
    let inline = matches!(source, Source::Base64(_));
    let named = match (can.refusals, kind) {
        _ if !can.document_names || kind != MediaKind::Document => false,
        (true, _) => inline,
        (false, _) => name,
    };
    let detail = detail.filter(|_| can.image_details && kind == MediaKind::Image);
    Media {
        kind,
        media_type: media_type.into(),
        source,
        name: named.then(|| "a.pdf".into()),
        detail: detail.map(Into::into),
    }
}

fn media(can: Can) -> impl Strategy<Value = Block<'static>> {
    let detail = proptest::option::of(proptest::sample::select(vec!["low", "high", "auto"]));
    (0..4_u8, any::<bool>(), any::<bool>(), detail).prop_map(move |(kind, url, name, detail)| {
        Block::Media(Box::new(media_of(can, kind, url, name, detail)))
    })
}

fn cache_point(can: Can) -> impl Strategy<Value = Option<Block<'static>>> {
    let lengths = vec![None, Some("5m"), Some("1h")];
    let point = proptest::sample::select(lengths)
        .prop_map(|length| Block::CachePoint(length.map(Cow::Borrowed)));
    maybe(can.cache_points, point)
}

/// What the user says: a text, perhaps something to look at, and perhaps a
/// point to cache up to.
fn said(can: Can) -> impl Strategy<Value = Vec<Block<'static>>> {
    (words(), maybe(true, media(can)), cache_point(can)).prop_map(|(text, media, point)| {
        let mut blocks = vec![Block::Text(text)];
        blocks.extend(media);
        blocks.extend(point);
        blocks
    })
}

fn thought(can: Can) -> impl Strategy<Value = Option<Block<'static>>> {
    let thought =
        (words(), "[A-Za-z]{4,8}", any::<bool>()).prop_map(move |(text, value, hidden)| {
            let redacted = hidden && can.redacted_thoughts;
            let text = if redacted { "".into() } else { text };
            let signature = Some(Signature { by: can.dialect, value: value.into() });
            Block::Thought(Box::new(Thought { text, signature, redacted }))
        });
    maybe(can.thoughts, thought)
}

/// A call and its result.
#[derive(Clone, Debug)]
struct Errand {
    name: String,
    said: String,
    is_error: bool,
    free_text: bool,
    signature: Option<String>,
    media: Option<Block<'static>>,
}

fn errand(can: Can) -> impl Strategy<Value = Errand> {
    let flags = (any::<bool>(), any::<bool>());
    let rest = (maybe(can.call_signatures, "[A-Za-z]{4}"), maybe(can.media_in_results, media(can)));
    ("[a-z]{3,8}", text(), flags, rest).prop_map(
        move |(name, said, (is_error, free_text), (signature, media))| Errand {
            name,
            said,
            is_error: can.errors_of_tools && is_error,
            free_text: can.free_text && free_text,
            signature,
            media: media.filter(|media| is_image(media)),
        },
    )
}

/// The only thing that every dialect with media in results takes there.
fn is_image(block: &Block<'_>) -> bool {
    matches!(block, Block::Media(media) if media.kind == MediaKind::Image)
}

impl Errand {
    fn blocks(self, can: Can, id: String) -> (Block<'static>, Block<'static>) {
        let id = can.call_ids.then_some(Cow::Owned(id));
        let arguments = if self.free_text {
            self.said.clone()
        } else {
            serde_json::json!({ "q": self.said }).to_string()
        };
        let signed = |value: String| Signature {
            by: backstay::dialect::Dialect::Gemini,
            value: value.into(),
        };
        let call = Call {
            id: id.clone(),
            name: self.name.clone().into(),
            arguments: arguments.into(),
            free_text: self.free_text,
            signature: self.signature.map(signed),
        };
        let mut content = vec![Block::Text(self.said.into())];
        content.extend(self.media);
        let name = (!can.call_ids).then(|| self.name.into());
        let result = ToolResult { id, name, content, is_error: self.is_error };
        (Block::Call(Box::new(call)), Block::Result(Box::new(result)))
    }
}

/// A question, the calls it leads to, and what is answered in the end; perhaps
/// the operator says something in between.
fn exchange(can: Can) -> impl Strategy<Value = Exchange> {
    let errands = proptest::collection::vec(errand(can), 0..3);
    let answer = (words(), maybe(can.refusals, Just(())), thought(can));
    (said(can), maybe(can.system_turns, words()), thought(can), errands, answer).prop_map(
        |(question, aside, thought, errands, (answer, refused, afterthought))| Exchange {
            question,
            aside,
            thought,
            errands,
            afterthought,
            answer: if refused.is_some() { Block::Refusal(answer) } else { Block::Text(answer) },
        },
    )
}

#[derive(Clone, Debug)]
struct Exchange {
    question: Vec<Block<'static>>,
    aside: Option<Cow<'static, str>>,
    thought: Option<Block<'static>>,
    errands: Vec<Errand>,
    afterthought: Option<Block<'static>>,
    answer: Block<'static>,
}

impl Exchange {
    fn turns(self, can: Can, number: usize) -> Vec<Turn<'static>> {
        let turn = |role, blocks| Turn { role, blocks };
        let mut turns = vec![turn(Role::User, self.question)];
        turns.extend(self.aside.map(|text| turn(Role::System, vec![Block::Text(text)])));
        if !self.errands.is_empty() {
            let mut made: Vec<Block<'static>> = self.thought.into_iter().collect();
            let mut answered = Vec::new();
            for (n, errand) in self.errands.into_iter().enumerate() {
                let (call, result) = errand.blocks(can, format!("call_{number}{n}"));
                made.push(call);
                answered.push(result);
            }
            turns.push(turn(Role::Assistant, made));
            turns.push(turn(Role::User, answered));
        }
        let answer = self.afterthought.into_iter().chain([self.answer]).collect();
        turns.push(turn(Role::Assistant, answer));
        turns
    }
}

/// The conversation of some exchanges, and a last question.
pub fn turns(can: Can) -> impl Strategy<Value = Vec<Turn<'static>>> {
    (proptest::collection::vec(exchange(can), 0..3), said(can)).prop_map(
        move |(exchanges, last)| {
            let numbered = exchanges.into_iter().enumerate();
            let mut turns: Vec<_> = numbered.flat_map(|(n, of)| of.turns(can, n)).collect();
            turns.push(Turn { role: Role::User, blocks: last });
            turns
        },
    )
}

/// The operator's texts.
pub fn system(can: Can) -> impl Strategy<Value = Vec<Block<'static>>> {
    let block = (words(), cache_point(can));
    let most = if can.dialect == backstay::dialect::Dialect::Responses { 1 } else { 3 };
    proptest::collection::vec(block, 0..=most).prop_map(|blocks| {
        let both = |(text, point): (Cow<'static, str>, Option<Block<'static>>)| {
            [Block::Text(text)].into_iter().chain(point)
        };
        blocks.into_iter().flat_map(both).collect()
    })
}
