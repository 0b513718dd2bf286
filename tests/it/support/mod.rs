//! What tests of several areas share.

pub mod guests;
pub mod policies;
