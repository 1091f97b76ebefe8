//! Pure: requests handed to the MQTT client, matched with the packet id that each was given and
//! with the answer to that packet id. Knows when an answer is overdue.
//!
//! The client announces packet ids in the order in which it was handed the requests, so the n-th
//! announcement belongs to the n-th request. That holds within one connection only: after a lost
//! one everything here is handed back with [`InFlight::lost`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Why an answer is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Requests sent later were answered, this one was not.
    Overtaken,
    /// Nothing at all was answered.
    Silence,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request while later ones are answered.
    pub overtaken: Duration,
    /// For any answer at all. Longer, because a slow link needs that long for what is queued on it.
    pub silence: Duration,
}

/// Requests of one kind on one connection, each with the one that waits for its answer.
#[derive(Debug)]
pub struct InFlight<W> {
    patience: Patience,
    queued: VecDeque<Unanswered<W>>,
    /// By their numbers: the oldest first. Those that were overtaken are before all others.
    sent: BTreeMap<u64, Unanswered<W>>,
    numbers: HashMap<u16, u64>,
    count: u64,
    last_answer: Option<Instant>,
}

#[derive(Debug)]
struct Unanswered<W> {
    waiter: W,
    number: u64,
    since: Instant,
    /// When a later one was answered first.
    overtaken: Option<Instant>,
}

impl<W> InFlight<W> {
    pub fn new(patience: Patience) -> Self {
        InFlight {
            patience,
            queued: VecDeque::new(),
            sent: BTreeMap::new(),
            numbers: HashMap::new(),
            count: 0,
            last_answer: None,
        }
    }

    /// Requests without an answer, with or without a packet id.
    pub fn len(&self) -> usize {
        self.queued.len() + self.sent.len()
    }

    /// The request was handed to the client.
    pub fn queued(&mut self, waiter: W, now: Instant) {
        self.count += 1;
        self.queued.push_back(Unanswered {
            waiter,
            number: self.count,
            since: now,
            overtaken: None,
        });
    }

    /// The oldest queued request was given this packet id. An announcement that belongs to no
    /// request is ignored.
    pub fn sent(&mut self, packet_id: u16) {
        if let Some(request) = self.queued.pop_front() {
            // A broker that has not answered cannot have given the packet id back.
            if let Some(number) = self.numbers.insert(packet_id, request.number) {
                self.sent.remove(&number);
            }
            self.sent.insert(request.number, request);
        }
    }

    /// The oldest queued request, of a kind that has no packet ids, is written.
    pub fn written(&mut self, now: Instant) -> Option<W> {
        let request = self.queued.pop_front()?;
        self.last_answer = Some(now);
        Some(request.waiter)
    }

    /// The answer for this packet id came: hands back the one that waits for it. `None` for an
    /// answer that nobody waits for, a repeated one for instance.
    pub fn answered(&mut self, packet_id: u16, now: Instant) -> Option<W> {
        let number = self.numbers.remove(&packet_id)?;
        let request = self.sent.remove(&number)?;
        for (_, older) in self.sent.range_mut(..number) {
            older.overtaken.get_or_insert(now);
        }
        self.last_answer = Some(now);
        Some(request.waiter)
    }

    /// How many requests were handed over since the oldest one that got its packet id and no answer.
    pub fn span(&self) -> u64 {
        let oldest = self.sent.keys().next();
        oldest.map_or(0, |number| self.count - number)
    }

    /// The connection is gone: hands back all that is unanswered, oldest first, each with whether it
    /// had got its packet id.
    pub fn lost(&mut self) -> Vec<(W, bool)> {
        self.numbers.clear();
        let sent = std::mem::take(&mut self.sent).into_values();
        let queued = self.queued.drain(..);
        let sent = sent.map(|request| (request.waiter, true));
        sent.chain(queued.map(|request| (request.waiter, false)))
            .collect()
    }

    /// When the first answer becomes overdue, unless one comes before.
    pub fn deadline(&self) -> Option<Instant> {
        self.first_due().map(|(due, _)| due)
    }

    /// Whether an answer is overdue: the connection is stuck and must be replaced.
    pub fn overdue(&self, now: Instant) -> Option<Overdue> {
        let first = self.first_due();
        first.filter(|(due, _)| *due <= now).map(|(_, why)| why)
    }

    /// Which becomes overdue first: one that was overtaken, or the oldest of the others.
    fn first_due(&self) -> Option<(Instant, Overdue)> {
        let mut first = None;
        for request in self.sent.values() {
            first = first
                .into_iter()
                .chain([self.due(request)])
                .min_by_key(|(due, _)| *due);
            if request.overtaken.is_none() {
                return first;
            }
        }
        let queued = self.queued.front().map(|request| self.due(request));
        first.into_iter().chain(queued).min_by_key(|(due, _)| *due)
    }

    fn due(&self, request: &Unanswered<W>) -> (Instant, Overdue) {
        if let Some(overtaken) = request.overtaken {
            return (overtaken + self.patience.overtaken, Overdue::Overtaken);
        }
        let heard = self
            .last_answer
            .map_or(request.since, |answer| answer.max(request.since));
        (heard + self.patience.silence, Overdue::Silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        overtaken: Duration::from_secs(60),
        silence: Duration::from_secs(120),
    };

    fn with_sent(count: u16, start: Instant) -> InFlight<u16> {
        let mut flights = InFlight::new(PATIENCE);
        for id in 1..=count {
            flights.queued(id * 100, start);
            flights.sent(id);
        }
        flights
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn answers_reach_the_one_that_waits_in_any_order() {
        let now = Instant::now();
        let mut flights = with_sent(3, now);
        assert_eq!(flights.answered(2, now), Some(200));
        assert_eq!(
            flights.answered(2, now),
            None,
            "a repeated answer is nobody's"
        );
        assert_eq!(flights.answered(9, now), None);
        assert_eq!(flights.answered(3, now), Some(300));
        assert_eq!(flights.answered(1, now), Some(100));
        assert_eq!((flights.len(), flights.deadline()), (0, None));
    }

    #[test]
    fn a_packet_id_may_be_used_again() {
        let now = Instant::now();
        let mut flights = with_sent(1, now);
        assert_eq!(flights.answered(1, now), Some(100));
        flights.queued(7, now);
        flights.sent(1);
        assert_eq!(flights.answered(1, now), Some(7));
    }

    #[test]
    fn a_lost_connection_hands_everything_back_oldest_first() {
        let now = Instant::now();
        let mut flights = with_sent(3, now);
        flights.queued(400, now);
        flights.answered(2, now);
        assert_eq!(flights.lost(), [(100, true), (300, true), (400, false)]);
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn an_overtaken_answer_is_overdue_after_a_minute() {
        let start = Instant::now();
        let mut flights = with_sent(2, start);
        flights.answered(2, start + seconds(1));
        assert_eq!(flights.deadline(), Some(start + seconds(61)));
        assert_eq!(flights.overdue(start + seconds(60)), None);
        assert_eq!(
            flights.overdue(start + seconds(61)),
            Some(Overdue::Overtaken)
        );
    }

    #[test]
    fn the_span_reaches_from_the_oldest_unanswered_to_the_newest() {
        let now = Instant::now();
        let mut flights = with_sent(5, now);
        flights.answered(3, now);
        assert_eq!(flights.span(), 4);
        flights.answered(1, now);
        flights.answered(2, now);
        assert_eq!(flights.span(), 1);
    }

    #[test]
    fn a_slow_link_that_answers_in_order_is_not_stuck() {
        let start = Instant::now();
        let mut flights = with_sent(3, start);
        flights.answered(1, start + seconds(100));
        flights.answered(2, start + seconds(200));
        assert_eq!(flights.overdue(start + seconds(319)), None);
        assert_eq!(
            flights.overdue(start + seconds(320)),
            Some(Overdue::Silence)
        );
    }

    #[test]
    fn a_request_that_never_gets_a_packet_id_is_overdue_too() {
        let start = Instant::now();
        let mut flights = InFlight::new(PATIENCE);
        flights.queued(1, start);
        assert_eq!(
            flights.overdue(start + seconds(120)),
            Some(Overdue::Silence)
        );
    }

    #[test]
    fn what_is_written_without_packet_id_leaves_in_order() {
        let now = Instant::now();
        let mut flights = InFlight::new(PATIENCE);
        flights.queued("a", now);
        flights.queued("b", now);
        assert_eq!(
            (
                flights.written(now),
                flights.written(now),
                flights.written(now)
            ),
            (Some("a"), Some("b"), None)
        );
    }
}
