//! Pure: how a connection can end, in the words that the log uses.

use std::fmt;

/// The cause of an ending. The first group fails an attempt, the second loses a connection that
/// was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Shortage,
    Key,
    Credentials,
    Dns,
    Tcp,
    Proxy,
    TlsCa,
    TlsCert,
    TlsClock,
    Tls,
    Http,
    Refused,
    Timeout,

    TakenOver,
    KeepAlive,
    Server,
    Network,
    Protocol,
}

impl Class {
    /// The word that stands in the log, the manual and monitoring rules.
    pub fn word(self) -> &'static str {
        match self {
            Class::Shortage => "shortage",
            Class::Credentials => "credentials",
            Class::Key => "key",
            Class::Dns => "dns",
            Class::Tcp => "tcp",
            Class::Proxy => "proxy",
            Class::TlsCa => "tls-ca",
            Class::TlsCert => "tls-cert",
            Class::TlsClock => "tls-clock",
            Class::Tls => "tls",
            Class::Http => "http",
            Class::Refused => "refused",
            Class::Timeout => "timeout",
            Class::TakenOver => "taken-over",
            Class::KeepAlive => "keep-alive",
            Class::Server => "server",
            Class::Network => "network",
            Class::Protocol => "protocol",
        }
    }

    /// Whether a certificate that the broker does not like, or that its policy allows too little, can
    /// be the cause.
    fn may_be_the_certificate(self) -> bool {
        matches!(self, Class::TlsCert | Class::Refused | Class::Server)
    }
}

/// How one connection ended: the class, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub class: Class,
    pub reason: String,
    /// The broker ended it, perhaps because of a packet of ours: what was in flight is suspect.
    pub blames_us: bool,
    /// Messages were among what was in flight then: they are held back until the reason is found.
    pub over_messages: bool,
    /// Another certificate may help.
    pub certificate: bool,
}

impl Ending {
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        Ending {
            class,
            reason: reason.into(),
            blames_us: false,
            over_messages: false,
            certificate: class.may_be_the_certificate(),
        }
    }

    /// The same, ended by the broker perhaps because of a packet of ours.
    pub fn blaming_us(self) -> Self {
        Ending {
            blames_us: true,
            ..self
        }
    }
}

/// The stream was closed, in an orderly way or not. `connected`: CONNACK has come.
pub fn closed(connected: bool) -> Ending {
    if connected {
        Ending::new(Class::Server, "closed by the broker")
    } else {
        Ending::new(
            Class::Refused,
            "closed before CONNACK, the certificate may be inactive or its policy may forbid this client id",
        )
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.word(), self.reason)
    }
}
