//! Why a WebSocket ended, in words.

use std::error::Error;
use std::{fmt, io};

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::net::failure::{Class, Ending, closed};
use crate::text::shortened;

/// Of a reason of the server, in the log.
const LONGEST_REASON: usize = 100;

/// What a read or a write of the stream fails with, inside of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketEnd {
    /// By a close message of the server, with a code and a reason if it gives them.
    Closed(Option<(u16, String)>),
    /// MQTT has no text.
    Text,
    Protocol(String),
}

impl WebSocketEnd {
    pub fn closed(frame: Option<CloseFrame<'_>>) -> WebSocketEnd {
        let given = frame.map(|frame| {
            let reason = shortened(&frame.reason, LONGEST_REASON);
            (u16::from(frame.code), reason.escape_debug().to_string())
        });
        WebSocketEnd::Closed(given)
    }

    /// `connected`: CONNACK has come.
    pub fn ending(&self, connected: bool) -> Ending {
        match self {
            WebSocketEnd::Closed(None) => closed(connected),
            WebSocketEnd::Closed(Some(_)) => Ending {
                reason: format!("{}: {self}", closed(connected).reason),
                ..closed(connected)
            },
            WebSocketEnd::Text | WebSocketEnd::Protocol(_) => {
                Ending::new(Class::Protocol, self.to_string())
            }
        }
    }
}

impl fmt::Display for WebSocketEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketEnd::Closed(None) => f.write_str("a WebSocket close without a code"),
            WebSocketEnd::Closed(Some((code, reason))) if reason.is_empty() => {
                write!(f, "WebSocket close {code}")
            }
            WebSocketEnd::Closed(Some((code, reason))) => {
                write!(f, "WebSocket close {code} \"{reason}\"")
            }
            WebSocketEnd::Text => f.write_str("the WebSocket carried text, which MQTT has not"),
            WebSocketEnd::Protocol(why) => write!(f, "{why}"),
        }
    }
}

impl Error for WebSocketEnd {}

impl From<WebSocketEnd> for io::Error {
    fn from(end: WebSocketEnd) -> io::Error {
        let kind = match end {
            WebSocketEnd::Closed(_) => io::ErrorKind::ConnectionAborted,
            WebSocketEnd::Text | WebSocketEnd::Protocol(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, end)
    }
}
