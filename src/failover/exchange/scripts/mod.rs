//! What the heart does, as scripts: one module for each part of the design's
//! table "Rules for failover". The language is `script`'s.

mod answers;
mod health;
mod launches;
mod limits;
mod policies;
mod refusals;
mod sequence;
mod strays;

use super::script::check;
