//! The bodies of the smaller endpoints: embeddings and the list of models. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{fnv1a, mix};
use super::grammar::FAULTS;
use super::question::EmbeddingsBody;
use super::script::{put, put_json};

const DEFAULT_DIMENSIONS: u16 = 8;

pub(super) fn put_embeddings(out: &mut Vec<u8>, body: &EmbeddingsBody<'_>, empty: bool) {
    let inputs = if empty { Vec::new() } else { body.inputs() };
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, format_args!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":"));
        let vector = embedding(input, body.dimensions.unwrap_or(DEFAULT_DIMENSIONS));
        if body.base64() {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            put_json(out, &STANDARD.encode(bytes));
        } else {
            put(out, format_args!("{}", json!(vector)));
        }
        out.push(b'}');
    }
    let tokens = inputs.iter().map(|input| input.len() / 4 + 1).sum::<usize>();
    out.extend_from_slice(b"],\"model\":");
    put_json(out, &body.model);
    put(out, format_args!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}"));
}

/// Numbers from -1 to 1 that depend on the input alone.
fn embedding(input: &str, dimensions: u16) -> Vec<f32> {
    let seed = fnv1a(input.as_bytes());
    let value = |place: u16| {
        let bits = u16::try_from(mix(seed, u64::from(place)) >> 48).expect("16 bits are left");
        f32::from(bits) / f32::from(u16::MAX) * 2.0 - 1.0
    };
    (0..dimensions).map(value).collect()
}

pub(super) fn put_models(out: &mut Vec<u8>, provider: &str) {
    let entry =
        |id: String| json!({ "id": id, "object": "model", "created": 0, "owned_by": provider });
    let faults = FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when:") && !effect.starts_with("setting:"));
    let models: Vec<_> = std::iter::once(format!("{provider}-model"))
        .chain(faults.map(|(name, ..)| format!("fault-{}", name.split(' ').next().unwrap_or(name))))
        .map(entry)
        .collect();
    put(out, format_args!("{}", json!({ "object": "list", "data": models })));
}
