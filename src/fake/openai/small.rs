//! Embeddings and the list of models, as `OpenAI` has them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::script::{put, put_json};
use super::super::vectors::{Vectors, embedding, model_names};

pub(in super::super) fn put_embeddings(
    out: &mut Vec<u8>,
    model: &str,
    vectors: &Vectors<'_>,
    base64: bool,
) {
    let inputs = &vectors.inputs;
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, format_args!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":"));
        let vector = embedding(input, vectors.dimensions);
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            put_json(out, &STANDARD.encode(bytes));
        } else {
            put(out, format_args!("{}", json!(vector)));
        }
        out.push(b'}');
    }
    let tokens = inputs.iter().map(|input| input.len() / 4 + 1).sum::<usize>();
    out.extend_from_slice(b"],\"model\":");
    put_json(out, model);
    put(out, format_args!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}"));
}

pub(in super::super) fn put_models(out: &mut Vec<u8>, provider: &str) {
    let entry =
        |id: String| json!({ "id": id, "object": "model", "created": 0, "owned_by": provider });
    let models: Vec<_> = model_names(provider).map(entry).collect();
    put(out, format_args!("{}", json!({ "object": "list", "data": models })));
}
