//! Pure: which requests of devices are unanswered, and how many they were at most.

use std::collections::BTreeMap;
use std::time::Duration;

/// The unanswered requests of all things.
#[derive(Default)]
pub(super) struct InFlight {
    last: Ticket,
    open: BTreeMap<Ticket, Open>,
    peaks: BTreeMap<String, usize>,
}

/// The number of a request.
pub(super) type Ticket = u64;

struct Open {
    thing: String,
    client: String,
    since: Duration,
}

impl InFlight {
    /// A client has sent a request to a thing, at this time of the cloud.
    pub(super) fn begin(&mut self, thing: &str, client: &str, since: Duration) -> Ticket {
        self.last += 1;
        let (thing, client) = (thing.to_owned(), client.to_owned());
        let count = self.count(&thing) + 1;
        let peak = self.peaks.entry(thing.clone()).or_default();
        *peak = count.max(*peak);
        let open = Open {
            thing,
            client,
            since,
        };
        self.open.insert(self.last, open);
        self.last
    }

    pub(super) fn end(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    /// Ends the requests of a client that has disconnected.
    pub(super) fn disconnected(&mut self, client: &str) {
        self.open.retain(|_, open| open.client != client);
    }

    /// Ends the requests that were made before this time of the cloud.
    pub(super) fn give_up(&mut self, before: Duration) {
        self.open.retain(|_, open| open.since >= before);
    }

    pub(super) fn count(&self, thing: &str) -> usize {
        self.open
            .values()
            .filter(|open| open.thing == thing)
            .count()
    }

    /// The most that there were of this thing at the same time.
    pub(super) fn peak(&self, thing: &str) -> usize {
        self.peaks.get(thing).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_thing_until_they_are_answered() {
        let mut requests = InFlight::default();
        let first = requests.begin("t", "pump", Duration::ZERO);
        requests.begin("t", "pump", Duration::ZERO);
        requests.begin("u", "pump", Duration::ZERO);
        assert_eq!((requests.count("t"), requests.count("u")), (2, 1));
        requests.end(first);
        assert_eq!((requests.count("t"), requests.peak("t")), (1, 2));
    }

    #[test]
    fn a_request_ends_with_its_client_or_its_time() {
        let mut requests = InFlight::default();
        requests.begin("t", "pump", Duration::from_secs(1));
        requests.begin("t", "valve", Duration::from_secs(2));
        requests.begin("t", "valve", Duration::from_secs(3));
        requests.disconnected("pump");
        assert_eq!(requests.count("t"), 2);
        requests.give_up(Duration::from_secs(3));
        assert_eq!(requests.count("t"), 1);
    }
}
