//! Pure: which shadow, and the topics of the conversation about it (AWS IoT developer guide, Device
//! Shadow MQTT topics).

use std::fmt;
use std::str::FromStr;

use crate::mqtt::request::ReplyTopics;

/// `THING` or `THING/SHADOW`, with the names that AWS allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShadowId {
    pub thing: String,
    /// `None` is the classic shadow.
    pub shadow: Option<String>,
}

/// What arrives about a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    GetAccepted,
    GetRejected,
    UpdateAccepted,
    UpdateRejected,
    Delta,
    DeleteAccepted,
}

impl Channel {
    pub const ALL: [Channel; 6] = [
        Channel::GetAccepted,
        Channel::GetRejected,
        Channel::UpdateAccepted,
        Channel::UpdateRejected,
        Channel::Delta,
        Channel::DeleteAccepted,
    ];
    /// Without these there is no conversation.
    pub const TALK: [Channel; 5] = [
        Channel::GetAccepted,
        Channel::GetRejected,
        Channel::UpdateAccepted,
        Channel::UpdateRejected,
        Channel::Delta,
    ];
    /// Those of who never fetches.
    pub const UPDATE: [Channel; 2] = [Channel::UpdateAccepted, Channel::UpdateRejected];
}

impl ShadowId {
    fn prefix(&self) -> String {
        match &self.shadow {
            None => format!("$aws/things/{}/shadow", self.thing),
            Some(shadow) => format!("$aws/things/{}/shadow/name/{shadow}", self.thing),
        }
    }

    /// Where to ask for the document.
    pub fn get(&self) -> String {
        self.prefix() + "/get"
    }

    /// Where to send an update.
    pub fn update(&self) -> String {
        self.prefix() + "/update"
    }

    pub fn topic(&self, channel: Channel) -> String {
        let (get, update) = (
            ReplyTopics::of(&self.get()),
            ReplyTopics::of(&self.update()),
        );
        match channel {
            Channel::GetAccepted => get.accepted,
            Channel::GetRejected => get.rejected,
            Channel::UpdateAccepted => update.accepted,
            Channel::UpdateRejected => update.rejected,
            Channel::Delta => self.update() + "/delta",
            Channel::DeleteAccepted => ReplyTopics::of(&(self.prefix() + "/delete")).accepted,
        }
    }
}

impl fmt::Display for ShadowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shadow {
            None => f.write_str(&self.thing),
            Some(shadow) => write!(f, "{}/{shadow}", self.thing),
        }
    }
}

impl FromStr for ShadowId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (thing, shadow) = match text.split_once('/') {
            Some((thing, shadow)) => (thing, Some(shadow)),
            None => (text, None),
        };
        check_name("thing", thing, 128, ":_-")?;
        if let Some(shadow) = shadow {
            // AWS's own are called so: `$package`.
            check_name("shadow", shadow, 64, "$:_-")?;
        }
        Ok(ShadowId {
            thing: thing.to_owned(),
            shadow: shadow.map(str::to_owned),
        })
    }
}

fn check_name(what: &str, name: &str, longest: usize, others: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > longest {
        return Err(format!(
            "{what} name '{name}' must have 1 to {longest} characters"
        ));
    }
    match name
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || others.contains(*c)))
    {
        Some(bad) => {
            let others: Vec<String> = others.chars().map(String::from).collect();
            let others = others.join(" ");
            Err(format!(
                "{what} name '{name}' contains '{bad}', use letters, digits and {others}"
            ))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_shadow_has_topics_of_its_own() {
        for (id, channel, expect) in [
            (
                "pump",
                Channel::Delta,
                "$aws/things/pump/shadow/update/delta",
            ),
            (
                "pump:7/net",
                Channel::GetAccepted,
                "$aws/things/pump:7/shadow/name/net/get/accepted",
            ),
        ] {
            let parsed: ShadowId = id.parse().unwrap();
            assert_eq!(parsed.topic(channel), expect);
            assert_eq!(parsed.to_string(), id);
        }
    }
}
