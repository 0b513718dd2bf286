//! Embeddings, to and from the internal form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::dialect::hub::{
    EmbedRequest, Embeddings, Gravity, Legend, Losses, Other, Untranslatable,
};
use crate::dialect::node::Node;
use crate::dialect::request::BadRequest;
use crate::dialect::target::{Target, Written};

use super::compose::Json;

/// The most texts of one request, as at `OpenAI`.
const MAX_INPUTS: usize = 2048;

/// The least text a vector can have: `{"embedding":[]}`.
const MIN_VECTOR: usize = 16;

/// The most fields that are noted; a notice names fewer.
const MAX_OTHERS: usize = 64;

/// Reads a request that passed `peek`.
pub fn read_embed(body: &str) -> Result<EmbedRequest<'_>, BadRequest> {
    let mut request = EmbedRequest::default();
    for (key, value) in Node::new(body).members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "model" | "user" => {}
            "input" => read_input(&mut request, value)?,
            "dimensions" => {
                let wrong = || wrong("dimensions", "must be a whole number");
                request.dimensions = Some(value.u32().ok_or_else(wrong)?);
            }
            "encoding_format" => match value.str().as_deref() {
                Some("float") => request.base64 = false,
                Some("base64") => request.base64 = true,
                Some(_) | None => {
                    return Err(wrong("encoding_format", "must be \"float\" or \"base64\""));
                }
            },
            _ if request.others.len() < MAX_OTHERS => {
                request.others.push(Other { field: key, gravity: Gravity::Tuning, remedy: "" });
            }
            _ => {}
        }
    }
    Ok(request)
}

fn wrong(param: &'static str, message: &str) -> BadRequest {
    BadRequest::new("invalid_value", Some(param), format!("{param} {message}"))
}

/// A text or a list of texts. Tokens are one model's and mean nothing to
/// another.
fn read_input<'a>(request: &mut EmbedRequest<'a>, input: Node<'a>) -> Result<(), BadRequest> {
    request.inputs.clear();
    if let Some(text) = input.str() {
        request.inputs.push(text);
        return Ok(());
    }
    if !input.is_array() {
        return Err(wrong("input", "must be a string or an array"));
    }
    for item in input.items() {
        if request.inputs.len() == MAX_INPUTS {
            return Err(wrong("input", "must have at most 2048 elements"));
        }
        match item.str() {
            Some(text) => request.inputs.push(text),
            None if item.number().is_some() || item.is_array() => {
                request.others.push(Other {
                    field: "input".into(),
                    gravity: Gravity::Vital,
                    remedy: "",
                });
                return Ok(());
            }
            None => return Err(wrong("input", "must hold strings or tokens")),
        }
    }
    Ok(())
}

/// Writes a request for a target of this dialect. Floats are asked for, since
/// not every server knows base64.
pub fn write_embed(
    request: &EmbedRequest<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut losses = Losses::new(target.strictness);
    for other in &request.others {
        losses.lose(other.field.to_string(), other.gravity, "")?;
    }
    let mut json = Json::default();
    json.open(b'{').text("model", target.model).key("input");
    if let [text] = &request.inputs[..] {
        json.string(text);
    } else {
        json.open(b'[');
        for text in &request.inputs {
            json.string(text);
        }
        json.close(b']');
    }
    if let Some(dimensions) = request.dimensions {
        json.key("dimensions").number(dimensions);
    }
    json.close(b'}');
    let body = Bytes::from(json.into_bytes());
    Ok(Written { body, dropped: losses.into_dropped(), legend: Legend::default() })
}

/// The vectors in a body that passed `read_whole`.
#[must_use]
pub fn read_vectors(body: &[u8]) -> Option<Embeddings> {
    let reply = Node::new(std::str::from_utf8(body).ok()?);
    let data = reply.get("data")?;
    let mut vectors = Vec::with_capacity(data.items().count().min(data.raw().len() / MIN_VECTOR));
    for (place, item) in (0..).zip(data.items()) {
        let index = item.get("index").and_then(Node::u32).unwrap_or(place);
        vectors.push((index, vector(item.get("embedding")?)?));
    }
    vectors.sort_unstable_by_key(|(index, _)| *index);
    let usage = reply.get("usage");
    Some(Embeddings {
        model: reply.text("model").unwrap_or_default().into_owned(),
        vectors: vectors.into_iter().map(|(_, vector)| vector).collect(),
        input_tokens: usage.and_then(|usage| usage.get("prompt_tokens")?.u32()),
    })
}

fn vector(embedding: Node<'_>) -> Option<Vec<f32>> {
    if let Some(text) = embedding.str() {
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        let (floats, rest) = bytes.as_chunks();
        return rest.is_empty().then(|| floats.iter().map(|f| f32::from_le_bytes(*f)).collect());
    }
    let mut vector = Vec::with_capacity(embedding.is_array().then(|| embedding.items().count())?);
    for number in embedding.items() {
        vector.push(number.number()?.parse().ok()?);
    }
    Some(vector)
}

/// The vectors as a whole body; `base64` as the client asked.
#[must_use]
pub fn write_vectors(embeddings: &Embeddings, base64: bool) -> Bytes {
    let mut json = Json::default();
    json.open(b'{').text("object", "list").key("data").open(b'[');
    for (index, vector) in (0_u32..).zip(&embeddings.vectors) {
        json.open(b'{').text("object", "embedding").key("index").number(index).key("embedding");
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|float| float.to_le_bytes()).collect();
            json.string(&BASE64.encode(bytes));
        } else {
            json.open(b'[');
            // No server means it, and JSON cannot say it.
            let finite = |float: f32| if float.is_finite() { float } else { 0.0 };
            for float in vector {
                json.raw(&finite(*float).to_string());
            }
            json.close(b']');
        }
        json.close(b'}');
    }
    json.close(b']').text("model", &embeddings.model);
    if let Some(tokens) = embeddings.input_tokens {
        json.key("usage").open(b'{').key("prompt_tokens").number(tokens);
        json.key("total_tokens").number(tokens).close(b'}');
    }
    json.close(b'}');
    Bytes::from(json.into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::hub::Strictness;
    use crate::dialect::target::{Abilities, Quirks};

    fn written(body: &str) -> Result<String, String> {
        let target = Target {
            model: "t",
            abilities: &Abilities::unknown(),
            quirks: Quirks::NONE,
            strictness: Strictness::Normal,
        };
        let request = read_embed(body).map_err(|error| error.to_string())?;
        let written = write_embed(&request, &target).map_err(|error| error.field)?;
        let dropped = written.dropped.join(",");
        Ok(format!("{} {dropped}", std::str::from_utf8(&written.body).unwrap()))
    }

    #[test]
    fn requests_are_read_and_written() {
        let check = |fields: &str, expected: Result<&str, &str>| {
            let seen = written(&format!(r#"{{"model":"m",{fields}}}"#));
            let seen = seen.as_deref().map_err(String::as_str);
            assert_eq!(seen, expected, "{fields}");
        };
        check(r#""input":"a\u00e9""#, Ok(r#"{"model":"t","input":"aé"} "#));
        check(
            r#""input":["a","b"],"dimensions":8,"encoding_format":"base64","user":"u""#,
            Ok(r#"{"model":"t","input":["a","b"],"dimensions":8} "#),
        );
        check(r#""input":[],"x":1,"y":null"#, Ok(r#"{"model":"t","input":[]} x"#));
        check(r#""input":[1,2]"#, Err("input"));
        check(r#""input":[[1],[2]]"#, Err("input"));
        check(r#""input":[true]"#, Err("input must hold strings or tokens"));
        check(r#""input":7"#, Err("input must be a string or an array"));
        check(r#""dimensions":-1"#, Err("dimensions must be a whole number"));
        let format = r#""encoding_format":"int8""#;
        check(format, Err("encoding_format must be \"float\" or \"base64\""));
        let many = format!(r#""input":[{}""]"#, r#""","#.repeat(2048));
        check(&many, Err("input must have at most 2048 elements"));
    }

    #[test]
    fn vectors_come_as_numbers_or_base64_in_any_order() {
        let body = br#"{"object":"list","data":[{"index":1,"embedding":"AACAPwAAAMA="},
            {"index":0,"embedding":[0.5,-1e-3]}],"model":"e","usage":{"prompt_tokens":7}}"#;
        let read = read_vectors(body).unwrap();
        assert_eq!(read.vectors, [vec![0.5, -0.001], vec![1.0, -2.0]]);
        assert_eq!((&*read.model, read.input_tokens), ("e", Some(7)));
        let check = |json: &str| assert_eq!(read_vectors(json.as_bytes()), None, "{json}");
        check(r#"{"data":[{"embedding":"AAAA"}]}"#);
        check(r#"{"data":[{"embedding":["x"]}]}"#);
        check(r#"{"data":[{}]}"#);
        check("{}");
    }

    proptest! {
        #[test]
        fn vectors_survive(vectors in proptest::collection::vec(proptest::collection::vec(-1e9_f32..1e9, 0..5), 0..4), base64 in any::<bool>()) {
            let model = "m".to_owned();
            let embeddings = Embeddings { model, vectors, input_tokens: Some(3) };
            prop_assert_eq!(read_vectors(&write_vectors(&embeddings, base64)), Some(embeddings));
        }

        #[test]
        fn nothing_panics(body in "\\{\"(input|data|dimensions)\":[\\[\\]\\{\\}\",:0-9a-z]{0,30}\\}") {
            let _ = read_embed(&body);
            let _ = read_vectors(body.as_bytes());
        }
    }
}
