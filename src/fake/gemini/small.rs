//! Gemini's smaller endpoints: embeddings, the list of models, counts. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::error_body::ErrorBody;
use super::super::question::{Delivery, text_of};
use super::super::route::What;
use super::super::script::put;
use super::super::vectors::{DEFAULT_DIMENSIONS, Form, Vectors, embedding, model_names};
use super::check::only;
use super::contents::parts;
use super::errors::invalid;

const FIELDS: &[&str] = &["model", "content", "taskType", "title", "outputDimensionality"];

pub(super) fn read_embed(
    _model: &str,
    body: Map<String, Value>,
    _delivery: Delivery,
) -> Result<What<'static>, ErrorBody> {
    let body = Value::Object(body);
    let input = input(&body, "")?;
    let form = Form::Gemini { batch: false };
    Ok(What::Vectors(Vectors { inputs: vec![input], dimensions: dimensions(&body), form }))
}

pub(super) fn read_batch(
    model: &str,
    body: Map<String, Value>,
    _delivery: Delivery,
) -> Result<What<'static>, ErrorBody> {
    let body = Value::Object(body);
    only(&body, &["model", "requests"], "")?;
    let requests = body["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut inputs = Vec::with_capacity(requests.len());
    for (at, request) in requests.iter().enumerate() {
        if request["model"] != format!("models/{model}") {
            return Err(invalid(
                400,
                &format!(
                    "* BatchEmbedContentsRequest.requests[{at}].model: must match the model of the \
                 batch, models/{model}.\n"
                ),
            ));
        }
        inputs.push(input(request, &format!("requests[{at}]"))?);
    }
    let dimensions = dimensions(&body["requests"][0]);
    Ok(What::Vectors(Vectors { inputs, dimensions, form: Form::Gemini { batch: true } }))
}

/// The text as JSON, which is what other dialects' inputs are.
fn input(request: &Value, path: &str) -> Result<Cow<'static, str>, ErrorBody> {
    only(request, FIELDS, path)?;
    parts("content", &request["content"]["parts"])?;
    Ok(Value::String(text_of(&request["content"]["parts"])).to_string().into())
}

fn dimensions(request: &Value) -> u16 {
    let asked = request["outputDimensionality"].as_u64().and_then(|size| u16::try_from(size).ok());
    asked.unwrap_or(DEFAULT_DIMENSIONS)
}

pub(in super::super) fn put_embeddings(out: &mut Vec<u8>, vectors: &Vectors<'_>, batch: bool) {
    let one = |input: &Cow<'_, str>| json!({ "values": embedding(input, vectors.dimensions) });
    let json = if batch {
        json!({ "embeddings": vectors.inputs.iter().map(one).collect::<Vec<_>>() })
    } else {
        json!({ "embedding": vectors.inputs.first().map_or_else(|| json!({}), one) })
    };
    put(out, format_args!("{json}"));
}

pub(in super::super) fn put_count(out: &mut Vec<u8>, tokens: usize) {
    let details = json!([{ "modality": "TEXT", "tokenCount": tokens }]);
    let json = json!({ "totalTokens": tokens, "promptTokensDetails": details });
    put(out, format_args!("{json}"));
}

pub(in super::super) fn put_models(out: &mut Vec<u8>, provider: &str) {
    let entry = |id: String| {
        json!({
            "name": format!("models/{id}"),
            "version": "001",
            "displayName": id,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
        })
    };
    let models: Vec<_> = model_names(provider).map(entry).collect();
    put(out, format_args!("{}", json!({ "models": models })));
}
