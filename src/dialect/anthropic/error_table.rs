//! What the errors mean: data, in the order of judgement.

use crate::dialect::errors::Table;

pub const TABLE: Table = Table { rules: &[], without_status: &[] };
