//! What tests of several areas share.

pub mod client;
pub mod gateway;
pub mod guests;
pub mod policies;
pub mod process;
pub mod said;
pub mod scripted;
pub mod slow;
pub mod tongue;
