//! The heart: every rule about which attempt, when, for how long, and when to
//! stop. Pure: time is an argument, randomness a seed, and nothing here knows
//! of sockets, WebAssembly, JSON or a provider's name.

pub mod attempt;
pub mod call;
pub mod classify;
pub mod consult;
pub mod rules;
pub mod time;
