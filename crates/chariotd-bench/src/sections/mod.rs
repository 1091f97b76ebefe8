//! What is measured, one file for each question.

pub mod burst;
pub mod drain;
pub mod idle;
pub mod inbox;
pub mod latency;
pub mod memory;
pub mod prices;
pub mod scan;
pub mod shadow;
pub mod size;
pub mod start;
pub mod syscalls;
