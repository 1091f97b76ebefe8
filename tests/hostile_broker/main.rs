//! A broker that breaks every rule: whatever it says, the daemon goes on, names the end in one line, tries
//! again, stays small, and loses nothing. Each test prints its table, of which docs/RELIABILITY.md is made.

#[path = "../common/mod.rs"]
mod common;

mod act;
mod bounds;
mod broker;
mod flood;
mod malformed;
mod packets;
mod subscriptions;
mod trial;
mod waits;
