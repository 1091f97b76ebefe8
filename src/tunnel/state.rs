//! Pure: one thing has one tunnel. A new request waits until the proxy of the old one is gone, and of
//! several that wait the newest counts. No access token is used twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::request::Token;

/// A proxy that was asked to end has this long, and is killed then.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many tokens are remembered: the broker may deliver a notification again.
const REMEMBERED: usize = 16;

/// Something to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyAction<R> {
    /// Start a proxy for this, and say [`Slot::started`] or [`Slot::not_started`].
    Start(R),
    /// Ask the proxy to end, and say [`Slot::ended`] when it has.
    Terminate,
    /// It did not: kill it.
    Kill,
}

#[derive(Debug, PartialEq, Eq)]
enum ProxyState {
    Closed,
    Starting,
    Open,
    /// Asked to end. `None`: killed.
    Ending(Option<Instant>),
}

/// The tunnel of one thing. `R` is what is kept of a request.
#[derive(Debug)]
pub struct TunnelState<R> {
    state: ProxyState,
    closing: bool,
    waiting: Option<(Token, R)>,
    used: VecDeque<Token>,
}

impl<R> Default for TunnelState<R> {
    fn default() -> Self {
        TunnelState {
            state: ProxyState::Closed,
            closing: false,
            waiting: None,
            used: VecDeque::new(),
        }
    }
}

impl<R> TunnelState<R> {
    /// Whether a proxy was started with this token, or will be.
    pub fn knows(&self, token: &Token) -> bool {
        let waiting = self.waiting.as_ref().map(|(token, _)| token);
        waiting == Some(token) || self.used.contains(token)
    }

    /// A tunnel is asked for. Hands back the request that waited, which comes to nothing.
    pub fn asked(&mut self, token: Token, request: R) -> Option<R> {
        self.closing = self.state == ProxyState::Open;
        let replaced = self.waiting.replace((token, request));
        replaced.map(|(_, request)| request)
    }

    /// The tunnel is to be closed, and none opened. `None`: there is none. Else the request that
    /// waited, if one did.
    pub fn close_asked(&mut self) -> Option<Option<R>> {
        let open = self.state == ProxyState::Open;
        if !open && self.waiting.is_none() {
            return None;
        }
        self.closing = open;
        Some(self.waiting.take().map(|(_, request)| request))
    }

    /// The proxy runs.
    pub fn started(&mut self) {
        self.state = ProxyState::Open;
    }

    /// There is no proxy. The token may be used again.
    pub fn not_started(&mut self) {
        self.state = ProxyState::Closed;
        self.used.pop_back();
    }

    /// The proxy has ended. Whether it was asked to.
    pub fn ended(&mut self) -> bool {
        let told = matches!(self.state, ProxyState::Ending(_));
        self.state = ProxyState::Closed;
        self.closing = false;
        told
    }

    pub fn next(&mut self, now: Instant) -> Option<ProxyAction<R>> {
        match &mut self.state {
            ProxyState::Closed => {
                let (token, request) = self.waiting.take()?;
                self.used.push_back(token);
                if self.used.len() > REMEMBERED {
                    self.used.pop_front();
                }
                self.state = ProxyState::Starting;
                Some(ProxyAction::Start(request))
            }
            ProxyState::Open if self.closing => {
                self.state = ProxyState::Ending(Some(now + PATIENCE));
                self.closing = false;
                Some(ProxyAction::Terminate)
            }
            ProxyState::Ending(due) if due.is_some_and(|due| due <= now) => {
                *due = None;
                Some(ProxyAction::Kill)
            }
            ProxyState::Starting | ProxyState::Open | ProxyState::Ending(_) => None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            ProxyState::Ending(due) => due,
            ProxyState::Closed | ProxyState::Starting | ProxyState::Open => None,
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
