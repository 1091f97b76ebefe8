//! What the tests share: sandboxes without the limits that slow tests down, and a device that speaks one packet at a time.

pub mod claimant;
mod device;
pub mod sigv4;
pub mod web;
mod wire;

use std::time::Duration;

use iotcore_sandbox::{Builder, Event, Record, Sandbox, Version};

pub use device::{ConnectPacket, Device, anonymous, config, tls};
pub use wire::Seen;

/// Both protocol versions, for tests that are about both.
pub const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// How long a test waits for what has to happen.
pub const SOON: Duration = Duration::from_secs(10);

/// A sandbox that lets a client connect as often as it likes and gives stored messages at once.
pub fn sandbox() -> Sandbox {
    builder().start().expect("the sandbox starts")
}

pub fn builder() -> Builder {
    Sandbox::builder().limit(|limits| {
        limits.connect_interval = Duration::ZERO;
        limits.backlog_rate = None;
    })
}

/// Waits until this was recorded.
pub fn recorded(sandbox: &Sandbox, what: impl Fn(&Event) -> bool) -> Record {
    let found = sandbox.wait_for_event(SOON, what);
    found.unwrap_or_else(|| panic!("not recorded: {}", story(sandbox)))
}

/// Everything that happened, for the message of a failed test.
pub fn story(sandbox: &Sandbox) -> String {
    sandbox
        .record()
        .iter()
        .map(|record| format!("\n{record}"))
        .collect()
}

/// What was closed, in order, and why.
pub fn closed(sandbox: &Sandbox) -> Vec<String> {
    let why = |record: Record| match record.event {
        Event::Closed { why } => Some(why),
        _ => None,
    };
    sandbox.record().into_iter().filter_map(why).collect()
}

/// The code of each version for the same thing.
pub fn code(version: Version, v3: u8, v5: u8) -> u8 {
    match version {
        Version::V311 => v3,
        Version::V5 => v5,
    }
}
