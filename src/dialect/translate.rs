//! From a client's request to a request for a target of another dialect. Owns
//! the pairing of readers and writers; must not know any dialect's fields. What
//! translates, what is dropped and what is refused: `translation.md` beside this
//! file, which a test holds against the code.

use super::hub::{Block, Gravity, Losses, Reasoning, Request, Role, Turn, Untranslatable};
use super::request::{ASK, Address, BadRequest, Continuation, Task};
use super::target::{Target, Written};
use super::{Dialect, anthropic, gemini, openai, responses};

/// Why a request cannot be put to a target.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The request itself is wrong.
    #[error(transparent)]
    Bad(#[from] BadRequest),
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
}

/// One request to be translated.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    pub client: Dialect,
    pub task: Task,
    pub body: &'a str,
    pub address: &'a Address,
    /// The text the client already has, when the target is to continue it.
    pub continues: Option<(&'a str, Continuation)>,
}

/// The task that does at a target of this dialect what the client wants.
#[must_use]
pub const fn task_there(client: Dialect, task: Task, wire: Dialect) -> Option<Task> {
    match (task, wire) {
        (task, _) if wire as u8 == client as u8 => Some(task),
        (Task::Generate, _) => Some(Task::Generate),
        (Task::Embed | Task::EmbedBatch, Dialect::OpenAi) => Some(Task::Embed),
        (Task::Embed | Task::EmbedBatch, Dialect::Gemini) => Some(Task::EmbedBatch),
        (Task::Embed | Task::EmbedBatch, Dialect::Responses | Dialect::Anthropic)
        | (Task::CountTokens, _) => None,
    }
}

/// The request in the target's dialect.
pub fn translate(
    original: Original<'_>,
    wire: Dialect,
    target: &Target<'_>,
) -> Result<Written, Refused> {
    in_own_words(original.client, translated(original, wire, target))
}

/// Names what is lost as the client knows it, each thing once.
fn in_own_words(client: Dialect, said: Result<Written, Refused>) -> Result<Written, Refused> {
    match said {
        Ok(mut written) => {
            let mut named = Vec::with_capacity(written.dropped.len());
            for word in std::mem::take(&mut written.dropped) {
                let own = client.own_word(word);
                if !named.contains(&own) {
                    named.push(own);
                }
            }
            written.dropped = named;
            Ok(written)
        }
        Err(Refused::Untranslatable(Untranslatable { field, reason })) => {
            Err(Untranslatable::new(client.own_word(field), reason).into())
        }
        Err(Refused::Bad(bad)) => Err(Refused::Bad(bad)),
    }
}

fn translated(
    original: Original<'_>,
    wire: Dialect,
    target: &Target<'_>,
) -> Result<Written, Refused> {
    match original.task {
        Task::Generate => {
            let mut request = original.client.read_request(original.body, original.address)?;
            something_is_said(&request)?;
            // No answer brings them back across dialects.
            if request.logprobs.take().is_some() {
                request.other("logprobs", Gravity::Meaning);
            }
            request.answers_anew = answers_anew(original.client);
            if let Some((partial, how)) = original.continues {
                continue_after(&mut request, partial, how);
            }
            take_turns(&mut request, wire, target);
            let shown = shows_thoughts(original.client, request.reasoning);
            let mut written = wire.write_request(&request, target)?;
            written.legend.hides_thoughts = !shown;
            Ok(written)
        }
        Task::Embed | Task::EmbedBatch => embed(original, wire, target),
        Task::CountTokens => Err(Untranslatable::new(
            "count_tokens",
            format!("a target of dialect {} cannot count for another", wire.label()),
        )
        .into()),
    }
}

/// A request without any message is wrong, unless it had one that has no place
/// here.
fn something_is_said(request: &Request<'_>) -> Result<(), Refused> {
    if !request.turns.is_empty() || !request.system.is_empty() {
        return Ok(());
    }
    match request.others.iter().max_by_key(|other| other.gravity) {
        Some(other) if other.gravity >= Gravity::Meaning => {
            let nothing = "nothing is left without it";
            let reason = if other.remedy.is_empty() { nothing } else { other.remedy };
            Err(Untranslatable::new(other.field.to_string(), reason).into())
        }
        Some(_) | None => {
            let message = "there is no message to be answered";
            Err(BadRequest::new("invalid_value", Some("messages"), message).into())
        }
    }
}

/// Whether the client is shown the model's reasoning (wire formats §4.10). Chat
/// Completions have no place for it but an extension, and Gemini tells thoughts
/// to those who ask; the others have their own blocks for it.
fn shows_thoughts(client: Dialect, reasoning: Option<Reasoning>) -> bool {
    let asked = reasoning.and_then(|reasoning| reasoning.shown);
    match client {
        Dialect::OpenAi | Dialect::Gemini => asked == Some(true),
        Dialect::Responses | Dialect::Anthropic => asked != Some(false),
    }
}

fn embed(original: Original<'_>, wire: Dialect, target: &Target<'_>) -> Result<Written, Refused> {
    let no_embeddings = |dialect: Dialect| {
        let reason = format!("dialect {} has no embeddings", dialect.label());
        Untranslatable::new("input", reason)
    };
    let request = match original.client {
        Dialect::OpenAi => openai::read_embed(original.body)?,
        Dialect::Gemini => gemini::read_embed(original.body)?,
        Dialect::Responses | Dialect::Anthropic => {
            return Err(no_embeddings(original.client).into());
        }
    };
    match wire {
        Dialect::OpenAi => Ok(openai::write_embed(&request, target)?),
        Dialect::Gemini => Ok(gemini::write_embed(&request, target)?),
        Dialect::Responses | Dialect::Anthropic => Err(no_embeddings(wire).into()),
    }
}

/// Whether a turn of the assistant at the end is one like others, and not the
/// beginning of the answer.
const fn answers_anew(client: Dialect) -> bool {
    match client {
        Dialect::OpenAi | Dialect::Responses => true,
        Dialect::Anthropic | Dialect::Gemini => false,
    }
}

/// What is said where the assistant has said the last thing.
const NEXT_TURN: &str = "(The conversation goes on.)";

/// Somebody has to speak between two turns of the assistant. A target that can
/// continue the first one does, as clients of such models expect.
fn take_turns(request: &mut Request<'_>, wire: Dialect, target: &Target<'_>) {
    if !request.answers_anew || !request.ends_with_assistant() || target.abilities.prefill {
        return;
    }
    match wire {
        Dialect::OpenAi | Dialect::Responses => {}
        Dialect::Anthropic | Dialect::Gemini => {
            request.other("prefill", Gravity::Tuning);
            let blocks = vec![Block::Text(NEXT_TURN.into())];
            request.turns.push(Turn { role: Role::User, blocks });
        }
    }
}

/// Adds the answer so far as the last turn. A turn of the assistant that the
/// client put there itself is extended.
fn continue_after<'a>(request: &mut Request<'a>, partial: &'a str, how: Continuation) {
    if partial.is_empty() {
        return;
    }
    request.answers_anew = false;
    let text = Block::Text(partial.into());
    match request.turns.last_mut() {
        Some(Turn { role: Role::Assistant, blocks }) => match blocks.last_mut() {
            Some(Block::Text(begun)) => begun.to_mut().push_str(partial),
            _ => blocks.push(text),
        },
        _ => request.turns.push(Turn { role: Role::Assistant, blocks: vec![text] }),
    }
    if how == Continuation::Ask {
        request.turns.push(Turn { role: Role::User, blocks: vec![Block::Text(ASK.into())] });
    }
}

impl Dialect {
    /// Reads a request that passed `peek`.
    pub fn read_request<'a>(
        self,
        body: &'a str,
        address: &Address,
    ) -> Result<Request<'a>, BadRequest> {
        match self {
            Self::OpenAi => openai::read_request(body, address),
            Self::Responses => responses::read_request(body, address),
            Self::Anthropic => anthropic::read_request(body, address),
            Self::Gemini => gemini::read_request(body, address),
        }
    }

    /// Writes a request for a target of this dialect. What the client's reader
    /// could not read is judged here, before the writer's own losses.
    pub fn write_request(
        self,
        request: &Request<'_>,
        target: &Target<'_>,
    ) -> Result<Written, Untranslatable> {
        let mut losses = Losses::new(target.strictness);
        for other in &request.others {
            losses.lose(other.field.to_string(), other.gravity, other.remedy)?;
        }
        for tool in &request.hosted {
            losses.lose(tool.to_string(), request.hosted_gravity(), "")?;
        }
        let mut written = match self {
            Self::OpenAi => openai::write_request(request, target)?,
            Self::Responses => responses::write_request(request, target)?,
            Self::Anthropic => anthropic::write_request(request, target)?,
            Self::Gemini => gemini::write_request(request, target)?,
        };
        let mut dropped = losses.into_dropped();
        dropped.append(&mut written.dropped);
        written.dropped = dropped;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_their_like() {
        use Dialect::{Anthropic, Gemini, OpenAi, Responses};
        let check = |client, task, wire, expected| {
            assert_eq!(task_there(client, task, wire), expected, "{client:?} {task:?} {wire:?}");
        };
        check(OpenAi, Task::Generate, Anthropic, Some(Task::Generate));
        check(OpenAi, Task::Embed, Gemini, Some(Task::EmbedBatch));
        check(OpenAi, Task::Embed, OpenAi, Some(Task::Embed));
        check(OpenAi, Task::Embed, Anthropic, None);
        check(Gemini, Task::EmbedBatch, OpenAi, Some(Task::Embed));
        check(Gemini, Task::Embed, Gemini, Some(Task::Embed));
        check(Anthropic, Task::CountTokens, Anthropic, Some(Task::CountTokens));
        check(Anthropic, Task::CountTokens, Gemini, None);
        check(Gemini, Task::Embed, Responses, None);
    }

    #[test]
    fn an_item_that_lies_elsewhere_has_a_remedy() {
        let abilities = super::super::Abilities::unknown();
        let target = Target {
            model: "m",
            abilities: &abilities,
            quirks: super::super::Quirks::NONE,
            strictness: super::super::hub::Strictness::Normal,
        };
        let reference = r#"{"type":"item_reference","id":"msg_1"}"#;
        let user = r#"{"role":"user","content":"q"}"#;
        for input in [reference.to_owned(), format!("{reference},{user}")] {
            let body = format!(r#"{{"model":"m","input":[{input}]}}"#);
            let original = Original {
                client: Dialect::Responses,
                task: Task::Generate,
                body: &body,
                address: &Address::default(),
                continues: None,
            };
            let said = translate(original, Dialect::Anthropic, &target).unwrap_err().to_string();
            assert!(said.starts_with("input[].item_reference cannot be expressed"), "{said}");
            assert!(said.ends_with("store=false"), "{said}");
        }
    }

    #[test]
    fn a_broken_answer_is_the_last_turn() {
        let check = |begun: Option<&str>, how, expected: &[(Role, &str)]| {
            let turn =
                |role, text: &str| Turn { role, blocks: vec![Block::Text(text.to_owned().into())] };
            let mut request = Request::new();
            request.turns.push(turn(Role::User, "q"));
            request.turns.extend(begun.map(|begun| turn(Role::Assistant, begun)));
            continue_after(&mut request, "par", how);
            let expected: Vec<Turn<'_>> =
                expected.iter().map(|(role, text)| turn(*role, text)).collect();
            assert_eq!(request.turns[1..], expected);
        };
        check(None, Continuation::Prefill, &[(Role::Assistant, "par")]);
        check(Some("be"), Continuation::Prefill, &[(Role::Assistant, "bepar")]);
        check(None, Continuation::Ask, &[(Role::Assistant, "par"), (Role::User, ASK)]);
    }
}
