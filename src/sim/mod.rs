//! The simulated driver.
pub mod fault;
pub mod numbers;
pub mod queue;
pub mod scenario;
