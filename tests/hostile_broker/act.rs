//! What a script is made of: when the broker breaks the rules, with which bytes, and how it goes on.

/// When the broker leaves the path of virtue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Instead of the TLS handshake.
    Accept,
    /// Instead of CONNACK.
    Connect,
    /// Instead of SUBACK.
    Subscribe,
    /// Instead of the PUBACK of the first PUBLISH, which is not accepted.
    Publish,
}

/// How it goes on after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It answers what comes as it should.
    Serves,
    Closes,
}

/// The bytes that are said, given the packet id of what they answer.
type Bytes = Box<dyn Fn(u16) -> Vec<u8> + Send + Sync>;

pub struct Act {
    pub name: String,
    pub at: At,
    pub bytes: Bytes,
    pub then: Then,
    /// One byte a second.
    pub slowly: bool,
    /// What is said accepts the message.
    pub accepts: bool,
}

impl Act {
    pub fn new(name: &str, at: At, bytes: impl Fn(u16) -> Vec<u8> + Send + Sync + 'static) -> Act {
        Act {
            name: name.to_owned(),
            at,
            bytes: Box::new(bytes),
            then: Then::Serves,
            slowly: false,
            accepts: false,
        }
    }

    pub fn and_closes(self) -> Act {
        Act {
            then: Then::Closes,
            ..self
        }
    }

    pub fn accepts(self) -> Act {
        Act {
            accepts: true,
            ..self
        }
    }

    pub fn slowly(self) -> Act {
        Act {
            slowly: true,
            ..self
        }
    }
}
