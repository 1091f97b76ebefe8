//! How connections end: by their client, by the broker, or by a test. In each case the will is published and the session
//! suspended at once; the task of the connection closes the socket afterwards.

use std::time::Instant;

use super::Broker;
use crate::packet::Outgoing;
use crate::record::Event;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Cleanly: everything that was sent before arrives.
    Close,
    /// With a TCP reset.
    Reset,
}

/// How a test ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With a TCP reset.
    Reset,
    /// Closed without a DISCONNECT.
    Close,
    /// With a DISCONNECT of this reason code, then closed. MQTT 3.1.1 has no such packet for servers: closed only.
    Disconnect(u8),
}

impl Broker {
    /// The task of a connection has ended, for this reason if the broker has not given one.
    pub(crate) fn closed(&mut self, number: u64, why: &str, now: Instant) {
        self.end(number, why, now);
        let ended = self
            .connections
            .remove(&number)
            .and_then(|connection| connection.ended);
        self.journal.write(
            number,
            Event::Closed {
                why: ended.unwrap_or_else(|| why.to_owned()),
            },
        );
    }

    /// Ends the connection of this client, if it has one.
    pub(crate) fn cut(&mut self, client_id: &str, how: Cut, now: Instant) {
        let Some(&number) = self.online.get(client_id) else {
            return;
        };
        self.cut_one(number, how, now);
    }

    /// Ends every connection, of clients that have not sent their CONNECT too.
    pub(crate) fn cut_each(&mut self, how: Cut, now: Instant) {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        numbers
            .into_iter()
            .for_each(|number| self.cut_one(number, how, now));
    }

    fn cut_one(&mut self, number: u64, how: Cut, now: Instant) {
        match how {
            Cut::Reset => self.kill(number, Ending::Reset, now),
            Cut::Close => self.kill(number, Ending::Close, now),
            Cut::Disconnect(code) => self.reject(number, code, "cut", now),
        }
    }

    /// Ends every connection at once.
    pub(crate) fn cut_all(&mut self, now: Instant) {
        self.cut_each(Cut::Close, now);
    }

    /// Ends a connection because of an error of its client: MQTT 5 gets a DISCONNECT with the code, 3.1.1 is just closed.
    pub(super) fn reject(&mut self, number: u64, code: u8, why: &str, now: Instant) {
        self.send(number, Outgoing::Disconnect { reason: code });
        self.end(number, why, now);
    }

    pub(super) fn end(&mut self, number: u64, why: &str, now: Instant) {
        self.end_with(number, why, Ending::Close, now);
    }

    /// The connection counts as ended from now on; its task closes the socket when everything is written.
    pub(super) fn end_with(&mut self, number: u64, why: &str, how: Ending, now: Instant) {
        let Some(connection) = self
            .connections
            .get_mut(&number)
            .filter(|c| c.ended.is_none())
        else {
            return;
        };
        connection.end(why, how);
        let (client, will) = (connection.client_id.clone(), connection.will.take());
        if let Some(client) = client.filter(|client| self.online.get(&**client) == Some(&number)) {
            self.online.remove(&*client);
            self.suspend(&client, now);
            self.tell_services_of_the_end(&client);
        }
        if let Some(will) = will {
            let (topic, payload) = (will.topic.clone(), will.payload.clone());
            self.journal
                .write(number, Event::WillPublished { topic, payload });
            self.keep_retained(&will);
            self.route(&will, now);
        }
    }

    fn suspend(&mut self, client: &str, now: Instant) {
        let Some(session) = self.sessions.get_mut(client) else {
            return;
        };
        session.suspend(now);
        if session.expiry.is_zero() {
            self.sessions.remove(client);
        }
    }

    fn kill(&mut self, number: u64, how: Ending, now: Instant) {
        let kill = self
            .connections
            .get_mut(&number)
            .and_then(|connection| connection.kill.take());
        // The task may have ended already: then there is nothing to end.
        let _ = kill.map(|kill| kill.send(how));
        // The outbox gets the same ending: the task may read either of them first.
        self.end_with(number, "cut", how, now);
    }
}
