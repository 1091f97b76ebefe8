//! Pure: the text of a definition in JavaScript, and what its `validate` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// A definition and everything that it may require, as they were read at start. Clones share the
/// texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The definition's file name.
    pub file: String,
    /// File name to text: all `.js` and `.json` files of the definition's directory.
    pub sources: Arc<BTreeMap<String, String>>,
}

impl Script {
    /// The definition's own text.
    pub fn text(&self) -> &str {
        self.sources.get(&self.file).map_or("", String::as_str)
    }
}

/// What becomes of a new configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Use this one, which may be fixed up. Members may be `null`.
    Accepted(Value),
    /// Remove the whole section: `null` was returned.
    Remove,
    /// Thrown by the function: why the configuration is not wanted.
    Rejected(String),
    /// The function could not decide: no time or memory left, or it returned what is no
    /// configuration. A person must look at the definition.
    Failed(String),
}
