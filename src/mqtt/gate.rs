//! The breaker at work: what it decides is passed to the publishers, and logged once.

use std::time::Instant;

use log::{info, warn};
use tokio::sync::watch;

use super::breaker::{Breaker, BreakerChange, Flow};
use super::publish_error::RefusalClass;
use super::session_request::Origin;

/// The breaker of one link, with those who want to know.
pub struct Gate {
    breaker: Breaker,
    flow: watch::Sender<Flow>,
}

impl Gate {
    pub fn new(flow: watch::Sender<Flow>) -> Self {
        Gate {
            breaker: Breaker::default(),
            flow,
        }
    }

    /// The broker acknowledged this publish.
    pub fn accepted(&mut self, origin: Origin, now: Instant) {
        if origin.is_message() {
            let change = self.breaker.accepted(now);
            self.tell(change, "");
        }
    }

    /// The broker refused this publish. How many messages it has accepted until now.
    pub fn refused(
        &mut self,
        origin: Origin,
        refusal: RefusalClass,
        reason: &str,
        now: Instant,
    ) -> u64 {
        let change = match origin {
            Origin::Message => self.breaker.refused(refusal, now),
            Origin::RefusedMessage => self.breaker.refused_again(refusal, now),
            Origin::Other => None,
        };
        self.tell(change, reason);
        self.breaker.accepted_so_far()
    }

    /// The broker ended the connection while messages were on their way. How many it has accepted
    /// until now.
    pub fn ended(&mut self, now: Instant) -> u64 {
        let change = self.breaker.ended(now);
        self.tell(change, "it ends the connection");
        self.breaker.accepted_so_far()
    }

    /// A pause may be over.
    pub fn resume(&mut self, now: Instant) {
        self.breaker.resume(now);
        self.tell(None, "");
    }

    /// When [`Gate::resume`] changes something.
    pub fn deadline(&self) -> Option<Instant> {
        self.breaker.deadline()
    }

    fn tell(&mut self, change: Option<BreakerChange>, reason: &str) {
        match change {
            None => {}
            Some(BreakerChange::Held { refusals, endings }) => warn!(
                "the broker accepts no message ({}; last: {reason}): all are kept, and one at a time is tried until it does",
                counts(refusals, endings)
            ),
            Some(BreakerChange::Quota { pause }) => warn!(
                "the broker takes less than is sent to it ({reason}): messages pause for {} s",
                pause.as_secs()
            ),
            Some(BreakerChange::Freed {
                refusals,
                endings,
                after,
            }) => info!(
                "the broker accepts messages again, after {} and {} s",
                counts(refusals, endings),
                after.as_secs()
            ),
        }
        let flow = self.breaker.flow();
        self.flow
            .send_if_modified(|told| std::mem::replace(told, flow) != flow);
    }
}

fn counts(refusals: u32, endings: u32) -> String {
    match (refusals, endings) {
        (refusals, 0) => format!("{refusals} refused in a row"),
        (0, endings) => format!("{endings} connections ended over them in a row"),
        (refusals, endings) => {
            format!("{refusals} refused and {endings} connections ended over them in a row")
        }
    }
}
