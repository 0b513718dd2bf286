//! Tests across the whole dialect: requests read and written, answers and
//! streams both ways, and that nothing is lost in between.

mod answers;
mod reading;
mod round_trips;
mod streaming;
mod tools;
mod writing;

use crate::dialect::hub::{Request, Strictness};
use crate::dialect::target::{Abilities, Quirks, Target, Written};
use crate::dialect::writer::{Framing, Head};
use crate::dialect::{Address, BadRequest};

pub fn head() -> Head {
    Head {
        id: "t-1".to_owned(),
        model: "asked".to_owned(),
        created: 7,
        include_usage: true,
        framing: Framing::Sse,
    }
}

pub fn read(body: &str) -> Result<Request<'_>, BadRequest> {
    super::read_request(body, &Address::default())
}

/// A model that can do everything.
pub fn able() -> Abilities {
    Abilities { prefill: true, system_turns: true, ..Abilities::unknown() }
}

pub fn target(abilities: &Abilities) -> Target<'_> {
    Target { model: "claude", abilities, quirks: Quirks::NONE, strictness: Strictness::Normal }
}

/// The request as written, as a value.
pub fn written(
    request: &Request<'_>,
    abilities: &Abilities,
) -> Result<(serde_json::Value, Written), String> {
    let written =
        super::write_request(request, &target(abilities)).map_err(|error| error.to_string())?;
    let body = serde_json::from_slice(&written.body).expect("JSON");
    Ok((body, written))
}
