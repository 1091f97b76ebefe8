//! What is measured, one file for each question.

pub mod drain;
pub mod idle;
pub mod latency;
pub mod memory;
pub mod syscalls;
