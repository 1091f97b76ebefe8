//! What is asked of a session, and where its answer goes.

use tokio::sync::oneshot;

use super::message::Publish;
use super::publish_error::PublishError;
use super::subscribe::subscriptions::Subscriber;

pub(crate) enum SessionRequest {
    Publish(Publish, Reply),
    Subscribe(Subscriber),
    Disconnect(oneshot::Sender<()>),
}

impl Origin {
    pub fn is_message(self) -> bool {
        match self {
            Origin::Message | Origin::RefusedMessage => true,
            Origin::Other => false,
        }
    }
}

/// Where the answer to a publish goes.
pub(crate) struct Reply {
    origin: Origin,
    to: oneshot::Sender<Result<(), PublishError>>,
}

/// Whose publish it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A message file: what the broker says about it says something about the others.
    Message,
    /// A message file that the broker has refused before: that it refuses it again says nothing new.
    RefusedMessage,
    /// A request to a service of the cloud, or the birth message.
    Other,
}

impl Reply {
    pub fn new(origin: Origin) -> (Reply, oneshot::Receiver<Result<(), PublishError>>) {
        let (to, answer) = oneshot::channel();
        (Reply { origin, to }, answer)
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The receiver may be gone.
    pub fn send(self, answer: Result<(), PublishError>) {
        let _ = self.to.send(answer);
    }

    /// There is no connection, and nothing is known of this publish.
    pub fn disconnected(self) {
        self.send(Err(PublishError::Disconnected { blame: None }));
    }
}
