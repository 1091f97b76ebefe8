//! Pure: the fault script. It is asked at each stage of a connection and answers what goes wrong.

use std::time::Duration;

use crate::topic;

/// One thing that goes wrong. Of several matching faults, the first one in the script fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub when: When,
    pub what: What,
    /// How often it fires; `None` for always.
    pub times: Option<u32>,
}

impl Fault {
    /// Fires each time.
    pub fn always(when: When, what: What) -> Fault {
        Fault {
            when,
            what,
            times: None,
        }
    }

    /// Fires the first time only.
    pub fn once(when: When, what: What) -> Fault {
        Fault {
            when,
            what,
            times: Some(1),
        }
    }
}

/// When a fault fires. Connections and publishes are counted from 1 since the start of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// On the n-th connection.
    Connection(u64),
    /// At the n-th PUBLISH of all.
    Publish(u64),
    /// At the n-th PUBLISH of a connection.
    PublishOnConnection(u64),
    /// At a PUBLISH whose topic, or a SUBSCRIBE with a filter, that this filter covers.
    Topic(String),
    /// On the connections of a client.
    Client(String),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The connection is closed as soon as it is accepted.
    RefuseConnection,
    /// The connection is accepted, and nothing is ever sent on it.
    StallTls,
    /// The request to upgrade to WebSocket is never answered.
    StallUpgrade,
    /// The request to upgrade is answered with this status.
    RefuseUpgrade(u16),
    /// The upgrade is answered with a wrong `Sec-WebSocket-Accept`.
    WrongAccept,
    /// The upgrade is answered without `Sec-WebSocket-Protocol`.
    OmitProtocol,
    /// The CONNECT is never answered, nor anything after it.
    StallConnack,
    /// The CONNACK carries this code, and the connection is closed.
    RefuseConnack(u8),
    /// The publish is accepted, and its PUBACK is never sent.
    SwallowPuback,
    /// The PUBACK is sent later; others may overtake it.
    DelayPuback(Duration),
    /// The PUBACK is sent twice.
    DuplicatePuback,
    /// The PUBACKs of this publish and the following ones, this many together, are held and sent in reverse order.
    ReorderPubacks(usize),
    /// The publish is not accepted; MQTT 5 gets this code in the PUBACK, 3.1.1 gets no PUBACK.
    PubackReason(u8),
    /// The connection is closed when the publish arrives, which is not accepted, as if it had been lost.
    CloseBeforeAccepting,
    /// The publish is accepted, and the connection closed before the cloud's services answer it. Their answers
    /// go to all other clients, and into a persistent session.
    CloseBeforeAnswer,
    /// The publish is accepted and answered by the cloud's services, and the connection closed instead of the PUBACK; a
    /// publish of QoS 0 has none.
    CloseBeforePuback,
    /// The connection is closed right after the PUBACK; after the answer, if the publish is one of QoS 0.
    CloseAfterPuback,
    /// The PUBACK is followed by one for a packet id that the client has not used.
    UnsolicitedPuback,
    /// The subscriptions are made, and the SUBACK is never sent.
    SwallowSuback,
    /// The SUBACK carries this code for the filter (3.1.1: always 0x80).
    RefuseFilter(u8),
    /// The PINGREQ is not answered.
    SwallowPingresp,
    /// After n packets of the client, CONNECT included, the connection stays open, is read, and never answered again.
    SilentAfterPackets(u64),
    /// The connection is closed after the n-th packet of the client was handled.
    CloseAfterPackets(u64),
    /// The same, with a TCP reset.
    ResetAfterPackets(u64),
    /// The connection ends as if another one had come with the same client id.
    TakeOver,
}

/// How far a connection has come, and so which faults may fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    /// A request to upgrade to WebSocket was accepted.
    Upgrade,
    Connect,
    Publish,
    Filter,
    Suback,
    Ping,
    /// This many packets of the client have been handled.
    Handled(u64),
}

/// The facts that a `When` depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts<'a> {
    pub connection: u64,
    pub client: Option<&'a str>,
    pub topic: Option<&'a str>,
    /// Which PUBLISH it is: of all, and of its connection.
    pub publish: Option<(u64, u64)>,
}

/// The faults that have not fired yet.
#[derive(Default)]
pub(crate) struct FaultScript(Vec<Fault>);

impl FaultScript {
    pub(crate) fn replace(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// What goes wrong now. A fault that has fired as often as it should is removed.
    pub(crate) fn at(&mut self, stage: Stage, facts: &Facts) -> Option<What> {
        let at = self
            .0
            .iter()
            .position(|fault| fault.what.belongs_to(stage, facts) && fault.when.fits(facts))?;
        let what = self.0[at].what.clone();
        if let Some(times) = &mut self.0[at].times {
            *times = times.saturating_sub(1);
        }
        self.0.retain(|fault| fault.times != Some(0));
        Some(what)
    }
}

impl When {
    fn fits(&self, facts: &Facts) -> bool {
        match self {
            When::Always => true,
            When::Connection(n) => facts.connection == *n,
            When::Publish(n) => facts.publish.is_some_and(|(overall, _)| overall == *n),
            When::PublishOnConnection(n) => facts
                .publish
                .is_some_and(|(_, on_connection)| on_connection == *n),
            When::Topic(filter) => facts
                .topic
                .is_some_and(|topic| filter == topic || topic::covers(filter, topic)),
            When::Client(id) => facts.client == Some(id.as_str()),
        }
    }
}

impl What {
    fn belongs_to(&self, stage: Stage, facts: &Facts) -> bool {
        match self {
            What::RefuseConnection | What::StallTls => stage == Stage::Accepted,
            What::StallUpgrade
            | What::RefuseUpgrade(_)
            | What::WrongAccept
            | What::OmitProtocol => stage == Stage::Upgrade,
            What::StallConnack | What::RefuseConnack(_) => stage == Stage::Connect,
            What::SwallowPuback
            | What::DelayPuback(_)
            | What::DuplicatePuback
            | What::ReorderPubacks(_)
            | What::PubackReason(_)
            | What::CloseBeforeAccepting
            | What::CloseBeforeAnswer
            | What::CloseBeforePuback
            | What::CloseAfterPuback
            | What::UnsolicitedPuback => stage == Stage::Publish,
            What::SwallowSuback => stage == Stage::Suback,
            What::RefuseFilter(_) => stage == Stage::Filter,
            What::SwallowPingresp => stage == Stage::Ping,
            What::SilentAfterPackets(n)
            | What::CloseAfterPackets(n)
            | What::ResetAfterPackets(n) => {
                matches!(stage, Stage::Handled(packets) if packets >= *n)
            }
            What::TakeOver => matches!(stage, Stage::Handled(_)) && facts.client.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(faults: Vec<Fault>) -> FaultScript {
        FaultScript(faults)
    }

    fn publish(connection: u64, overall: u64, on_connection: u64, topic: &str) -> Facts<'_> {
        Facts {
            connection,
            client: Some("pump"),
            topic: Some(topic),
            publish: Some((overall, on_connection)),
        }
    }

    #[test]
    fn a_fault_fires_where_it_fits() {
        let check = |when: When, facts: &Facts, fires: bool| {
            let what = script(vec![Fault::always(when.clone(), What::SwallowPuback)])
                .at(Stage::Publish, facts);
            assert_eq!(what.is_some(), fires, "{when:?} {facts:?}");
        };
        let facts = publish(2, 7, 3, "a/b");
        check(When::Always, &facts, true);
        check(When::Connection(2), &facts, true);
        check(When::Connection(1), &facts, false);
        check(When::Publish(7), &facts, true);
        check(When::Publish(3), &facts, false);
        check(When::PublishOnConnection(3), &facts, true);
        check(When::PublishOnConnection(7), &facts, false);
        check(When::Topic("a/+".to_owned()), &facts, true);
        check(When::Topic("b".to_owned()), &facts, false);
        check(When::Client("pump".to_owned()), &facts, true);
        check(When::Client("valve".to_owned()), &facts, false);
    }

    #[test]
    fn a_fault_fires_as_often_as_it_says() {
        let mut script = script(vec![Fault {
            when: When::Always,
            what: What::SwallowPuback,
            times: Some(2),
        }]);
        let mut fires = || script.at(Stage::Publish, &publish(1, 1, 1, "a")).is_some();
        assert_eq!([fires(), fires(), fires()], [true, true, false]);
    }

    #[test]
    fn the_first_fault_that_fits_fires() {
        let mut script = script(vec![
            Fault::once(When::Topic("b".to_owned()), What::SwallowPuback),
            Fault::once(When::Always, What::DuplicatePuback),
            Fault::once(When::Always, What::CloseAfterPuback),
        ]);
        let mut fires = || script.at(Stage::Publish, &publish(1, 1, 1, "a"));
        assert_eq!(
            [fires(), fires(), fires()],
            [
                Some(What::DuplicatePuback),
                Some(What::CloseAfterPuback),
                None
            ]
        );
    }

    #[test]
    fn a_fault_waits_for_its_stage() {
        let mut script = script(vec![Fault::once(When::Always, What::SwallowPingresp)]);
        assert_eq!(script.at(Stage::Publish, &Facts::default()), None);
        assert_eq!(
            script.at(Stage::Ping, &Facts::default()),
            Some(What::SwallowPingresp)
        );
    }

    #[test]
    fn packets_are_counted_to_the_end() {
        let mut script = script(vec![Fault::once(When::Always, What::CloseAfterPackets(2))]);
        assert_eq!(script.at(Stage::Handled(1), &Facts::default()), None);
        assert_eq!(
            script.at(Stage::Handled(2), &Facts::default()),
            Some(What::CloseAfterPackets(2))
        );
    }

    #[test]
    fn no_connection_is_taken_over_before_its_client_id_is_known() {
        let mut script = script(vec![Fault::once(When::Always, What::TakeOver)]);
        assert_eq!(script.at(Stage::Handled(0), &Facts::default()), None);
        let named = Facts {
            client: Some("pump"),
            ..Facts::default()
        };
        assert_eq!(script.at(Stage::Handled(1), &named), Some(What::TakeOver));
    }
}
