//! Pure: what has become of a subscription.

/// What became of a subscription on the present connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// No connection, or a SUBACK is still to come.
    Pending,
    /// The broker has acknowledged every filter of it.
    Active,
    /// The broker's reason to refuse one. Asked again on the next connection.
    Refused(String),
}
