//! Pure: waits and deadlines of which some may be missing.

use std::time::Instant;

/// The earliest of these deadlines. `None`: there is none.
pub fn earliest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

/// Resolves with what is waited for; never, when there is nothing.
pub async fn or_pending<F: Future>(wait: Option<F>) -> F::Output {
    match wait {
        Some(wait) => wait.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    #[test]
    fn the_earliest_deadline_is_found_among_those_that_are_there() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(earliest([Some(later), None, Some(now)]), Some(now));
        assert_eq!(earliest([None, None]), None);
    }

    #[test]
    fn a_wait_for_nothing_does_not_end() {
        let mut context = Context::from_waker(Waker::noop());
        let nothing = pin!(or_pending(None::<std::future::Ready<()>>));
        assert_eq!(nothing.poll(&mut context), Poll::Pending);
        let ready = pin!(or_pending(Some(std::future::ready(7))));
        assert_eq!(ready.poll(&mut context), Poll::Ready(7));
    }
}
