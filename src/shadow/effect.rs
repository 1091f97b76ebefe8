//! Pure: what the two wings of a shadow say to each other. The cloud's wing asks services for what is
//! desired of them, and they answer with effects, which it applies.

use serde_json::Value;

use crate::spool::Name;

/// An update file: its directory's number, and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub dir: usize,
    pub name: Name,
}

/// What a service has made of its part of the shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The configuration in force, `null` if there is none.
    pub config: Value,
    pub scope: Scope,
}

/// Which reported members of its key a service answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    These(Vec<String>),
    Everything,
}

/// One service is to be brought in line with the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub key: String,
    /// What the document says for this key, and in which version.
    pub desired: Option<Value>,
    pub version: u64,
    /// What is still to be answered of it. `None`: nothing, the service only has to be in line.
    pub unanswered: Option<Value>,
    /// What the cloud has of it, `null` if nothing.
    pub reported: Value,
}

/// What a desired value was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredAnswer {
    /// It is in force, or was rejected.
    InForce,
    /// It is in force and must not be cleared before [`Effect::Released`].
    Held,
    /// It is a command, with what the validation made of it, if anything is to be done. It is carried
    /// out when the cloud has cleared it at our request.
    Command(Option<Value>),
}

/// A command that is to be carried out once: its key, and what its service reads.
pub type OneShot = (String, Value);

/// What a service has done, as far as it matters to the cloud. To be applied in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// This is in force for the key now.
    Reported { key: String, report: Report },
    /// The contents of an update file are in force. `rest` is what the service neither writes nor
    /// reports by itself.
    TakenUp {
        id: FileId,
        key: String,
        rest: Option<Value>,
    },
    /// The desired value of the key, as it was read from this version, was answered as a whole.
    Answered {
        key: String,
        desired: Value,
        version: u64,
        answer: DesiredAnswer,
    },
    /// A held answer may be cleared now.
    Released { key: String },
}
