//! Embeddings, to and from the internal form.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;

use super::answer::model;
use super::fields::{field, members, texts};
use crate::dialect::hub::request::Other;
use crate::dialect::hub::{EmbedRequest, Embeddings, Gravity, Legend, Losses, Untranslatable};
use crate::dialect::json;
use crate::dialect::node::Node;
use crate::dialect::peeking::{missing, wrong};
use crate::dialect::request::BadRequest;
use crate::dialect::target::{Target, Written};

/// The least a request of a batch can be: `{"content":{"parts":[{"text":"a"}]}}`.
/// Shorter ones are errors, so that a list of texts is never much larger than
/// the body.
const LEAST_REQUEST: usize = 16;

/// Reads a request that passed `peek`: one text, or a batch.
pub fn read_embed(body: &str) -> Result<EmbedRequest<'_>, BadRequest> {
    let node = Node::new(body);
    let mut request = EmbedRequest::default();
    let Some(batch) = node.get("requests") else {
        read_one(node, &mut request)?;
        return Ok(request);
    };
    let plausible = batch.items().filter(|one| one.raw().len() >= LEAST_REQUEST);
    request.inputs.reserve_exact(plausible.count());
    let mut first = None;
    for one in batch.items() {
        read_one(one, &mut request)?;
        let dimensions = dimensions(one)?;
        if *first.get_or_insert(dimensions) != dimensions {
            return Err(wrong("outputDimensionality", "must be the same in all requests"));
        }
    }
    if request.inputs.is_empty() {
        return Err(wrong("requests", "must not be empty"));
    }
    Ok(request)
}

fn dimensions(one: Node<'_>) -> Result<Option<u32>, BadRequest> {
    let asked = field(one, "outputDimensionality");
    let asked =
        asked.map(|n| n.u32().ok_or_else(|| wrong("outputDimensionality", "must be a count")));
    asked.transpose()
}

fn read_one<'a>(one: Node<'a>, request: &mut EmbedRequest<'a>) -> Result<(), BadRequest> {
    let content = one.get("content").ok_or_else(|| missing("content"))?;
    let mut found = texts(content);
    let text = if found.len() == 1 { found.remove(0) } else { Cow::Owned(found.concat()) };
    if text.is_empty() {
        return Err(wrong("content", "has no text"));
    }
    request.inputs.push(text);
    request.dimensions = dimensions(one)?;
    let parts = content.get("parts");
    if parts.is_some_and(|parts| parts.items().any(|part| part.get("text").is_none())) {
        note(request, "content.parts[]".into(), Gravity::Vital);
    }
    for (key, _) in members(one) {
        match &*key {
            "content" | "model" | "outputDimensionality" | "requests" => {}
            _ => note(request, key, Gravity::Tuning),
        }
    }
    Ok(())
}

/// Each field is noted once, and no more than a notice names.
fn note<'a>(request: &mut EmbedRequest<'a>, field: Cow<'a, str>, gravity: Gravity) {
    let known = request.others.iter().any(|other| other.field == field);
    if !known && request.others.len() < 64 {
        request.others.push(Other { field, gravity, remedy: "" });
    }
}

/// Writes a request for a target of this dialect, as `batchEmbedContents`. What
/// the client's reader could not hold is judged here.
pub fn write_embed(
    request: &EmbedRequest<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut losses = Losses::new(target.strictness);
    for other in &request.others {
        losses.lose(other.field.to_string(), other.gravity, "")?;
    }
    let name = target.model.strip_prefix("models/").unwrap_or(target.model);
    let model = json::quote(&format!("models/{name}"));
    let dimensions = request.dimensions.map(|n| format!(r#","outputDimensionality":{n}"#));
    let dimensions = dimensions.unwrap_or_default();
    let text: usize = request.inputs.iter().map(|input| input.len()).sum();
    let mut body = String::with_capacity(text + request.inputs.len() * (64 + model.len()) + 16);
    body.push_str(r#"{"requests":["#);
    for (n, input) in request.inputs.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let text = json::quote(input);
        let _ = write!(
            body,
            r#"{comma}{{"model":{model},"content":{{"parts":[{{"text":{text}}}]}}{dimensions}}}"#
        );
    }
    body.push_str("]}");
    let dropped = losses.into_dropped();
    Ok(Written { body: Bytes::from(body), dropped, legend: Legend::default() })
}

/// The vectors in a body that passed `read_whole`.
#[must_use]
pub fn read_vectors(body: &[u8]) -> Option<Embeddings> {
    let node = Node::new(std::str::from_utf8(body).ok()?);
    let vectors = match (node.get("embedding"), node.get("embeddings")) {
        (Some(one), _) => vec![vector(one)?],
        (None, Some(all)) => all.items().map(vector).collect::<Option<Vec<_>>>()?,
        (None, None) => return None,
    };
    let tokens = field(node, "usageMetadata");
    let input_tokens = tokens.and_then(|tokens| field(tokens, "promptTokenCount")?.u32());
    Some(Embeddings { model: model(node), vectors, input_tokens })
}

fn vector(embedding: Node<'_>) -> Option<Vec<f32>> {
    let values = embedding.get("values")?;
    let mut vector = Vec::with_capacity(values.items().count());
    for value in values.items() {
        vector.push(value.number()?.parse().ok()?);
    }
    Some(vector)
}

/// The vectors as a whole body: of `embedContent`, or of a batch.
#[must_use]
pub fn write_vectors(embeddings: &Embeddings, batch: bool) -> Bytes {
    let mut out = String::from(if batch { r#"{"embeddings":["# } else { r#"{"embedding":"# });
    let wanted = if batch { embeddings.vectors.len() } else { 1 };
    for (n, vector) in embeddings.vectors.iter().take(wanted).enumerate() {
        let values = serde_json::to_string(vector).expect("numbers can always be written as JSON");
        out.push_str(if n == 0 { "" } else { "," });
        let _ = write!(out, r#"{{"values":{values}}}"#);
    }
    if !batch && embeddings.vectors.is_empty() {
        out.push_str(r#"{"values":[]}"#);
    }
    out.push_str(if batch { "]}" } else { "}" });
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::hub::Strictness;
    use crate::dialect::target::{Abilities, Quirks};

    fn write(
        request: &EmbedRequest<'_>,
        strictness: Strictness,
    ) -> Result<Written, Untranslatable> {
        let abilities = Abilities::unknown();
        let target =
            Target { model: "emb", abilities: &abilities, quirks: Quirks::NONE, strictness };
        write_embed(request, &target)
    }

    #[test]
    fn requests_are_read() {
        let one = r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"X","output_dimensionality":8,"model":"m"}"#;
        let seen = read_embed(one).unwrap();
        assert_eq!((&*seen.inputs, seen.dimensions), (&["ab".into()][..], Some(8)));
        let other = Other { field: "taskType".into(), gravity: Gravity::Tuning, remedy: "" };
        assert_eq!(seen.others, [other]);
        let batch = r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]}},{"content":"b"}]}"#;
        assert_eq!(read_embed(batch).unwrap().inputs, ["a", "b"]);
        let check = |body: &str, param: &str| {
            assert_eq!(read_embed(body).unwrap_err().param, Some(param), "{body}");
        };
        check("{}", "content");
        check(r#"{"content":{"parts":[]}}"#, "content");
        check(r#"{"requests":[]}"#, "requests");
        check(r#"{"requests":[{}]}"#, "content");
        check(r#"{"content":"a","outputDimensionality":"x"}"#, "outputDimensionality");
        check(
            r#"{"requests":[{"content":"a"},{"content":"b","outputDimensionality":2}]}"#,
            "outputDimensionality",
        );
        let media =
            read_embed(r#"{"content":{"parts":[{"text":"a"},{"inlineData":{}}]}}"#).unwrap();
        assert_eq!(media.others[0].gravity, Gravity::Vital);
    }

    #[test]
    fn requests_are_written() {
        let inputs = vec!["a\"".into(), "b".into()];
        let others = vec![Other { field: "user".into(), gravity: Gravity::Tuning, remedy: "" }];
        let request = EmbedRequest { inputs, dimensions: Some(8), base64: true, others };
        let written = write(&request, Strictness::Normal).unwrap();
        let expected = concat!(
            r#"{"requests":[{"model":"models/emb","content":{"parts":[{"text":"a\""}]},"outputDimensionality":8},"#,
            r#"{"model":"models/emb","content":{"parts":[{"text":"b"}]},"outputDimensionality":8}]}"#
        );
        assert_eq!(std::str::from_utf8(&written.body), Ok(expected));
        assert_eq!(written.dropped, ["user"]);
        assert_eq!(write(&request, Strictness::Strict).unwrap_err().field, "user");
    }

    #[test]
    fn vectors_both_ways() {
        let one = read_vectors(br#"{"embedding":{"values":[0.5, -1e-3]}}"#).unwrap();
        assert_eq!(one.vectors, [vec![0.5, -1e-3]]);
        assert_eq!(&write_vectors(&one, false)[..], br#"{"embedding":{"values":[0.5,-0.001]}}"#);
        let two = br#"{"embeddings":[{"values":[1.0]},{"values":[2.0]}]}"#;
        let seen = read_vectors(two).unwrap();
        assert_eq!(&write_vectors(&seen, true)[..], two);
        assert_eq!(&write_vectors(&seen, false)[..], br#"{"embedding":{"values":[1.0]}}"#);
        assert_eq!(
            &write_vectors(&Embeddings::default(), false)[..],
            br#"{"embedding":{"values":[]}}"#
        );
        let counted = br#"{"embeddings":[{"values":[]}],"usageMetadata":{"promptTokenCount":3}}"#;
        assert_eq!(read_vectors(counted).unwrap().input_tokens, Some(3));
        assert_eq!(read_vectors(b"{}"), None);
        assert_eq!(read_vectors(br#"{"embeddings":[{}]}"#), None);
        assert_eq!(read_vectors(br#"{"embedding":{"values":["x"]}}"#), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(near in "\\{\"(requests|content|embedding|embeddings)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,40}\\}") {
            let _ = read_embed(&near);
            let _ = read_vectors(near.as_bytes());
        }

        #[test]
        fn what_is_written_is_read(inputs in proptest::collection::vec("\\PC{1,12}", 1..5), dimensions in proptest::option::of(1_u32..9), vectors in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 0..4), 1..4)) {
            let request = EmbedRequest {
                inputs: inputs.into_iter().map(Cow::Owned).collect(),
                dimensions,
                ..EmbedRequest::default()
            };
            let written = write(&request, Strictness::Strict).unwrap();
            prop_assert_eq!(&read_embed(std::str::from_utf8(&written.body).unwrap()).unwrap(), &request);
            let embeddings = Embeddings { vectors, ..Embeddings::default() };
            prop_assert_eq!(read_vectors(&write_vectors(&embeddings, true)), Some(embeddings));
        }
    }
}
