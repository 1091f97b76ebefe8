//! One attempt at one message: from the open file to the broker's answer.

use std::sync::Arc;
use std::time::SystemTime;

use log::warn;

use super::MessagesOptions;
use super::letterhead::About;
use super::message::{Composed, MessageFile};
use crate::file::without_byte_order_mark;
use crate::mqtt::{Mqtt, PublishError, PublishPermit, RefusalClass};
use crate::spool::Name;
use crate::spool::opened::HeldFile;
use crate::spool::opening::Dispatched;
use crate::spool::order::Priority;
use crate::spool::outcome::{self, Blame, Outcome, RefusalKind};
use crate::transient;

/// An attempt that has ended.
pub struct Attempt {
    pub name: Name,
    pub outcome: Outcome,
    /// What was published where, for the log.
    pub topic: String,
    /// Its file, kept open until it is disposed of, so that its identity stays unique.
    pub held: HeldFile,
}

/// What the contents of a message file say about its turn. Only those that mention a priority are
/// parsed for it.
pub fn priority(contents: &[u8]) -> (Option<Priority>, Option<String>) {
    let mentions = contents.iter().enumerate().any(|(at, byte)| match byte {
        b'p' => contents[at..].starts_with(b"priority"),
        // An escape may spell the word in another way.
        b'\\' => contents.get(at + 1) == Some(&b'u'),
        _ => false,
    });
    let message = mentions.then(|| parsed(contents).ok()).flatten();
    message.map_or((None, None), |message| (message.priority, message.slot))
}

fn parsed(contents: &[u8]) -> Result<MessageFile, String> {
    MessageFile::parse(without_byte_order_mark(contents))
}

/// One attempt, from the open file to the broker's answer.
pub async fn attempt(
    options: Arc<MessagesOptions>,
    mqtt: Mqtt,
    place: PublishPermit,
    taken: Dispatched,
) -> Attempt {
    let Dispatched {
        name,
        prioritised,
        refused_before,
        mut opening,
    } = taken;
    let (opened, contents) = match opening.opened().await {
        Ok(opened) => opened,
        Err((outcome, held)) => {
            return Attempt {
                name,
                outcome,
                topic: String::new(),
                held,
            };
        }
    };
    let about = (&name, opened.modified, prioritised);
    let (topic, outcome) = match compose(&options, about, contents).await {
        Err(outcome) => (String::new(), outcome),
        Ok(Composed { publish, warnings }) => {
            for warning in warnings {
                warn!("'{name}': {warning}");
            }
            let topic = publish.topic.clone();
            let answer = mqtt.publish(publish, place, refused_before).await;
            (topic, answered(answer))
        }
    };
    Attempt {
        name,
        outcome,
        topic,
        held: HeldFile::Open(opened),
    }
}

/// # Errors
/// What becomes of a message that cannot be composed.
async fn compose(
    options: &MessagesOptions,
    (name, modified, prioritised): (&Name, SystemTime, bool),
    contents: Vec<u8>,
) -> Result<Composed, Outcome> {
    let message = parsed(&contents).map_err(Outcome::Unusable)?;
    drop(contents);
    let letterhead = match &options.letterhead {
        None => None,
        Some(letterhead) => {
            let about = About {
                name,
                modified,
                message: &message,
                topic: message.topic().map(|topic| {
                    format!("{}{topic}{}", options.topic_prefix, options.topic_suffix)
                }),
                prioritised,
            };
            Some(letterhead.fetch(&about).await.map_err(|error| {
                let reason = format!("{error:#}");
                if transient::chain_is_transient(&error) {
                    Outcome::Postponed(reason)
                } else {
                    Outcome::Unusable(reason)
                }
            })?)
        }
    };
    message
        .compose(letterhead, &options.topic_prefix, &options.topic_suffix)
        .map_err(Outcome::Unusable)
}

fn answered(answer: Result<(), PublishError>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Delivered,
        Err(PublishError::Disconnected { blame }) => Outcome::Interrupted {
            blame: blame.map(|blame| Blame {
                alone: blame.alone,
                oldest: blame.oldest,
                accepted: blame.accepted,
            }),
        },
        Err(PublishError::Refused {
            reason,
            refusal,
            accepted,
        }) => {
            let kind = match refusal {
                RefusalClass::Permanent => RefusalKind::Permanent,
                RefusalClass::Passing => RefusalKind::Passing,
                RefusalClass::Quota => RefusalKind::Quota,
            };
            Outcome::Refused(outcome::Refusal {
                reason,
                kind,
                accepted,
            })
        }
    }
}
