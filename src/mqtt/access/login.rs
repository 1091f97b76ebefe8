//! Pure: what CONNECT says of us.

/// What CONNECT says of us.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    /// A secret. MQTT 3.1.1 sends an empty one where there is none.
    pub password: Option<String>,
}
