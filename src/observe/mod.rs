//! What is seen from outside: the log, the events, the metrics table.

pub mod event;
pub mod log;
pub mod metrics;
