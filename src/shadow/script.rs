//! Pure: the text of a definition in JavaScript.

use std::collections::BTreeMap;

/// A definition and everything that it required, as they were read at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The definition's file name.
    pub file: String,
    /// File name to text: the definition itself and what it may require.
    pub sources: BTreeMap<String, String>,
}
