//! Pure: the record of what an authoriser was asked.

use std::fmt;

/// Where a client shows the name of an authoriser, its token, and the signature of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In the query or the headers of the upgrade request.
    Upgrade,
    /// In the user name of its CONNECT.
    Username,
}

/// That an authoriser was asked, and what for. Names only: tokens, signatures and passwords are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerCall {
    /// Which one; `None` if there is none of the name that the client gave, or no default one.
    pub authorizer: Option<String>,
    pub channel: Channel,
    /// The user name of the CONNECT up to a question mark.
    pub username: Option<String>,
    /// The names of the parameters that follow it, in order.
    pub parameters: Vec<String>,
    /// Whether the CONNECT has a password.
    pub password: bool,
    /// Why the client is refused; `None` if it is admitted.
    pub refused: Option<String>,
}

impl fmt::Display for AuthorizerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.authorizer {
            Some(name) => write!(f, "authoriser {name}: ")?,
            None => write!(f, "no authoriser: ")?,
        }
        match &self.refused {
            Some(why) => write!(f, "refused, {why}"),
            None => write!(f, "admitted"),
        }
    }
}
