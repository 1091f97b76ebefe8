//! Work that is done one piece at a time. What waits is bounded: the oldest goes when there is more,
//! because the newest says how things are.

use std::collections::VecDeque;

use tokio::task::JoinSet;

/// Runs work on `T`, one piece after the other.
pub struct BoundedRunner<T> {
    waiting: VecDeque<T>,
    most: usize,
    /// One at a time.
    running: JoinSet<Result<(), String>>,
}

impl<T> BoundedRunner<T> {
    /// So many may wait at most.
    pub fn new(most: usize) -> BoundedRunner<T> {
        BoundedRunner {
            waiting: VecDeque::new(),
            most,
            running: JoinSet::new(),
        }
    }

    /// One more waits. `false`: the oldest was dropped for it.
    pub fn add(&mut self, next: T) -> bool {
        let fits = self.waiting.len() < self.most;
        if !fits {
            self.waiting.pop_front();
        }
        self.waiting.push_back(next);
        fits
    }

    /// What may be begun now, to be taken from: nothing, while something runs.
    pub fn due(&mut self) -> Option<&mut VecDeque<T>> {
        let due = self.running.is_empty() && !self.waiting.is_empty();
        due.then_some(&mut self.waiting)
    }

    /// Begins a piece of work that was due.
    pub fn begin(&mut self, work: impl Future<Output = Result<(), String>> + Send + 'static) {
        self.running.spawn(work);
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Resolves when a piece of work has ended; never, while there is none. May be dropped while it
    /// waits.
    pub async fn ended(&mut self) -> Result<(), String> {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok(ended)) => ended,
            Some(Err(fault)) => Err(fault.to_string()),
        }
    }

    /// What waits, the oldest first.
    #[cfg(test)]
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter()
    }

    /// How many run: none or one.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.running.len()
    }
}
