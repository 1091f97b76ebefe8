//! Requests to the cloud's provisioning service and their answers (AWS IoT developer guide, Fleet
//! provisioning MQTT API): one request at a time, because answers carry nothing to distinguish
//! them.

use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::{self, Created};
use super::failed::ProvisioningError;
use crate::certstore::Registered;
use crate::mqtt::request::ReplyTopics;
use crate::mqtt::{
    Link, Mqtt, PublishError, QoS, SessionEnd, Subscription, SubscriptionState, Version,
};

/// The cloud's answers and the broker's acknowledgements take this long at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// The cloud pings no faster than every 30 s, whatever we ask for.
const PING_PATIENCE: Duration = Duration::from_secs(50);
const CREATE: &str = "$aws/certificates/create/json";
const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/json";

/// A connection to the service.
pub struct Exchange {
    version: Version,
    mqtt: Mqtt,
    session: JoinHandle<SessionEnd>,
}

impl Exchange {
    /// Waits for the connection. A clock that is not set makes it wait for as long as that lasts.
    pub async fn connect(
        version: Version,
        mqtt: Mqtt,
        mut session: JoinHandle<SessionEnd>,
    ) -> Result<Exchange, ProvisioningError> {
        let mut link = mqtt.link();
        let up = link.wait_for(|link| *link != Link::Down);
        let ended = tokio::select! {
            Ok(_) = up => None,
            end = &mut session => Some(end),
        };
        match ended {
            None => Ok(Exchange {
                version,
                mqtt,
                session,
            }),
            Some(Ok(SessionEnd::GivenUp { failures, rotate })) => {
                Err(ProvisioningError::Connection { failures, rotate })
            }
            Some(_) => Err(ProvisioningError::Other(anyhow!(
                "the session ended by itself"
            ))),
        }
    }

    /// A certificate and a key, both made by the cloud.
    pub async fn create(&self) -> Result<Created, ProvisioningError> {
        answer::created(&self.ask(CREATE, json!({})).await?, true)
    }

    /// A certificate for the key of this request.
    pub async fn create_from_csr(&self, request: &str) -> Result<Created, ProvisioningError> {
        let body = json!({ "certificateSigningRequest": request });
        let answer = self.ask(CREATE_FROM_CSR, body).await.map_err(|failed| match failed {
            ProvisioningError::Denied(why) => ProvisioningError::Denied(format!(
                "{why}; the policy of the claim certificate must allow {CREATE_FROM_CSR} and its answers, which {CREATE} does not include, or set \"csr\": false"
            )),
            failed => failed,
        })?;
        answer::created(&answer, false)
    }

    /// Activates the certificate that the token belongs to.
    pub async fn register(
        &self,
        template: &str,
        token: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Registered, ProvisioningError> {
        let topic = format!("$aws/provisioning-templates/{template}/provision/json");
        let body = json!({ "certificateOwnershipToken": token, "parameters": parameters });
        let answer = self.ask(&topic, body).await?;
        answer::registered(&answer)
    }

    async fn ask(&self, topic: &str, body: Value) -> Result<Map<String, Value>, ProvisioningError> {
        let replies = ReplyTopics::of(topic);
        let filters = replies.filters();
        let subscription = self.mqtt.subscribe_all(&filters, QoS::AtLeastOnce, 4).await;
        let mut answers =
            subscription.map_err(|why| ProvisioningError::Other(anyhow!("{topic}: {why}")))?;
        let mut link = self.mqtt.link();
        link.mark_unchanged();
        tokio::select! {
            answer = self.exchanged(topic, body, &mut answers) => {
                let (on, payload) = answer?;
                if on == replies.rejected { Err(answer::refused(&payload)) } else { answer::object(&payload) }
            }
            Ok(_) = link.wait_for(|link| *link == Link::Down) => Err(match self.version {
                Version::V5 => ProvisioningError::Silent(format!("{topic}: the connection was lost")),
                Version::V311 => ProvisioningError::Denied(format!(
                    "the connection was lost while {topic} was asked; a broker that speaks MQTT 3.1.1 ends it when the policy forbids the request"
                )),
            }),
        }
    }

    async fn exchanged(
        &self,
        topic: &str,
        body: Value,
        answers: &mut Subscription,
    ) -> Result<(String, Vec<u8>), ProvisioningError> {
        let silent = |what: &str| {
            ProvisioningError::Silent(format!("{topic}: {what} within {} s", PATIENCE.as_secs()))
        };
        let settled = answers
            .state
            .wait_for(|state| *state != SubscriptionState::Pending);
        match timeout(PATIENCE, settled)
            .await
            .map(|state| state.map(|state| state.clone()))
        {
            Ok(Ok(SubscriptionState::Active)) => {}
            Ok(Ok(SubscriptionState::Refused(why))) => {
                return Err(ProvisioningError::Denied(format!(
                    "subscription to the answers of {topic}: {why}"
                )));
            }
            Ok(_) => {
                return Err(ProvisioningError::Other(anyhow!(
                    "the session ended by itself"
                )));
            }
            Err(_) => return Err(silent("no SUBACK")),
        }
        match self.mqtt.request(topic, body.to_string().into()).await {
            Ok(()) => {}
            Err(PublishError::Refused { reason, .. }) => {
                return Err(ProvisioningError::Denied(format!("{topic}: {reason}")));
            }
            // What the cloud did with it is not known.
            Err(PublishError::Disconnected { .. }) => {
                return Err(ProvisioningError::Silent(format!(
                    "{topic}: the connection was lost"
                )));
            }
        }
        match timeout(PATIENCE, answers.messages.recv()).await {
            Ok(Some(message)) => Ok((message.topic, message.payload.to_vec())),
            Ok(None) => Err(ProvisioningError::Other(anyhow!(
                "the session ended by itself"
            ))),
            Err(_) => Err(silent("no answer")),
        }
    }

    /// Waits until the broker has answered something: a CONNACK alone proves nothing. MQTT 5 answers a
    /// subscription, whether the policy allows it or not; MQTT 3.1.1 may end the connection instead,
    /// and is waited for until it answers a ping.
    pub async fn answered_once(&self) -> Result<(), ProvisioningError> {
        let mut link = self.mqtt.link();
        let limit = match self.version {
            Version::V5 => PATIENCE,
            Version::V311 => PING_PATIENCE,
        };
        tokio::select! {
            proved = timeout(limit, self.answered()) => proved.map_err(|_| {
                ProvisioningError::Silent(format!("the broker answered nothing within {} s", limit.as_secs()))
            }),
            Ok(_) = link.wait_for(|link| *link == Link::Down) => {
                Err(ProvisioningError::Denied("the broker closed the connection".to_owned()))
            }
        }
    }

    async fn answered(&self) {
        let filter = format!("{CREATE}/rejected");
        let subscription = match self.version {
            Version::V5 => self.mqtt.subscribe(&filter, QoS::AtLeastOnce, 1).await.ok(),
            Version::V311 => None,
        };
        match subscription {
            Some(mut it) => {
                let answered = it
                    .state
                    .wait_for(|state| *state != SubscriptionState::Pending);
                if answered.await.is_err() {
                    std::future::pending().await
                }
            }
            None => self.mqtt.answered_once().await,
        }
    }

    /// Sends DISCONNECT.
    pub async fn leave(self) {
        self.mqtt.disconnect().await;
        self.session.abort();
    }
}
