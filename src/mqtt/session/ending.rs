//! How a connection ends: what is settled then, and who is to blame.

use tokio::time::timeout;

use super::{Open, Session, WHY_CUT};
use crate::clock::{self, now};

use crate::mqtt::options::Version;
use crate::mqtt::publish_error::Link;
use crate::mqtt::relay::RelayEnd;
use crate::mqtt::wire::{self, Events, Seen};
use crate::net::{self, Class, Ending, closed};

impl Session {
    /// Settles what is known of a connection that has ended, and notifies everybody who waits.
    pub(super) async fn leave(
        &mut self,
        open: Open,
        mut events: Events,
        result: Result<(), Ending>,
    ) -> Result<(), (Ending, bool)> {
        let Open {
            mut connection,
            mut relay,
            ..
        } = open;
        connection.ended();
        for seen in events.leftover() {
            match seen {
                // Acknowledgements of the dead connection are real.
                Seen::Acknowledged(packet_id, ack) => {
                    self.progress();
                    connection.acknowledged(packet_id, ack, &mut self.gate, now());
                }
                Seen::Sent(packet_id) => connection.sent(packet_id),
                Seen::Received(message, _) => self.subscriptions.received_late(&message),
                Seen::Connected(_)
                | Seen::Written
                | Seen::SubscribeSent(_)
                | Seen::Subscribed(..)
                | Seen::AcknowledgementSent
                | Seen::PingSent
                | Seen::PingAnswered
                | Seen::DisconnectSent
                | Seen::Nothing => {}
            }
        }
        connection.flushed(relay.newly_flushed(), now());
        // The relay sees that the client has gone, and takes leave of the broker.
        drop(events);
        if let Some(until) = connection.leaves_by() {
            let left = until.saturating_duration_since(now());
            let _ = timeout(left, relay.ended()).await;
        }
        // Before the replies below: who learns that a message was not acknowledged must find the link down,
        // or it would send it again into nothing.
        self.link.send_replace(Link::Down);
        let was_up = connection.is_up();
        // Only what was on the way can be the reason.
        let flying = connection.is_flying();
        let result = result.map_err(|ending| Ending {
            blames_us: ending.blames_us && flying,
            ..ending
        });
        let blamed = matches!(&result, Err(ending) if ending.blames_us);
        let over_messages = connection.lost(blamed, &mut self.gate, now());
        self.birth_answered();
        let result = result.map_err(|ending| Ending {
            over_messages,
            ..ending
        });
        result.map_err(|ending| (self.blame_clock(ending), was_up))
    }

    /// Before the clock is set no certificate can be judged, whatever is said against it.
    pub(super) fn blame_clock(&self, ending: Ending) -> Ending {
        let unset = clock::wall() < self.options.clock_floor;
        if ending.class != Class::TlsCa || !unset {
            return ending;
        }
        Ending {
            class: Class::TlsClock,
            reason: format!("our clock is not set; {}", ending.reason),
            ..ending
        }
    }

    /// The client knows only that its socket was closed: the relay knows why.
    pub(super) async fn why_cut(&self, open: &mut Open) -> Ending {
        let connected = open.connection.is_up();
        let ending = match timeout(WHY_CUT, open.relay.ended()).await {
            Ok(RelayEnd::ByBroker | RelayEnd::ByClient) | Err(_) => closed(connected),
            Ok(RelayEnd::Failed(error)) => net::by_io(&error, connected, Class::Protocol),
            Ok(RelayEnd::Stalled) => wire::stalled(),
        };
        // MQTT 3.1.1 has no answer for a refused publish: the broker ends the connection. So every
        // end by the broker may be about a packet of ours.
        if self.options.version == Version::V311 && ending.class == Class::Server {
            ending.blaming_us()
        } else {
            ending
        }
    }
}
