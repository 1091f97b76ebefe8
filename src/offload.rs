//! Work that may block, on a thread of its own: the runtime's one thread never waits for a disk or an
//! interpreter. Unlike the runtime's own pool it does not panic where no thread can be made, and its
//! threads do not hold up the end of the process.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Why there is no result.
#[derive(Debug)]
pub enum Lost {
    /// Nothing was begun, because no thread can be made: a shortage, which passes.
    NoThread(io::Error),
    /// It has not come to an end in this time. It goes on, perhaps for ever, and its result is dropped.
    Overdue(Duration),
    /// It has panicked.
    Died,
}

/// Waits for the result of `work`, however long it takes. When this is dropped, the work goes on to
/// its end and its result is dropped.
///
/// # Errors
/// [`Lost::NoThread`] or [`Lost::Died`].
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    start(work)?.await.map_err(|_| Lost::Died)
}

/// The same with a deadline, after which the thread is left to itself. The caller bounds how many
/// threads it leaves behind.
///
/// # Errors
/// Any [`Lost`].
pub async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    match timeout(limit, start(work)?).await {
        Ok(result) => result.map_err(|_| Lost::Died),
        Err(_) => Err(Lost::Overdue(limit)),
    }
}

/// The same as [`within`], for one who may block: on a thread that was made here, or before there is a
/// runtime.
///
/// # Errors
/// Any [`Lost`].
pub fn wait_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let (done, result) = sync_channel(1);
    spawn(move || drop(done.send(work())))?;
    result.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Lost::Overdue(limit),
        RecvTimeoutError::Disconnected => Lost::Died,
    })
}

fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, Lost> {
    let (done, result) = oneshot::channel();
    spawn(move || drop(done.send(work())))?;
    Ok(result)
}

fn spawn(body: impl FnOnce() + Send + 'static) -> Result<(), Lost> {
    let made = thread::Builder::new().spawn(body);
    made.map(drop).map_err(Lost::NoThread)
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::NoThread(_) => f.write_str("cannot make a thread"),
            Lost::Overdue(limit) => write!(f, "did not end within {} s", limit.as_secs_f64()),
            Lost::Died => f.write_str("a thread failed"),
        }
    }
}

impl Error for Lost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Lost::NoThread(error) => Some(error),
            Lost::Overdue(_) | Lost::Died => None,
        }
    }
}

/// A shortage of threads stays one.
impl From<Lost> for io::Error {
    fn from(lost: Lost) -> io::Error {
        match lost {
            Lost::NoThread(error) => error,
            Lost::Overdue(_) => io::Error::new(io::ErrorKind::TimedOut, lost),
            Lost::Died => io::Error::other(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transient;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_that_is_overdue_is_left_to_itself() {
        let (end, wait) = mpsc::channel::<()>();
        let limit = Duration::from_millis(10);
        let lost = within(limit, move || wait.recv().is_ok()).await;
        assert!(matches!(lost, Err(Lost::Overdue(_))), "{lost:?}");
        drop(end);
        let (_end, wait) = mpsc::channel::<()>();
        let lost = wait_within(limit, move || wait.recv().is_ok());
        assert!(matches!(lost, Err(Lost::Overdue(_))), "{lost:?}");
        assert_eq!(wait_within(Duration::from_secs(60), || 7).unwrap(), 7);
        assert_eq!(within(Duration::from_secs(60), || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_result_only() {
        let lost = run(|| -> () { std::panic::resume_unwind(Box::new("on purpose")) }).await;
        assert!(matches!(lost, Err(Lost::Died)), "{lost:?}");
        assert_eq!(run(|| 7).await.unwrap(), 7);
    }

    #[test]
    fn that_no_thread_can_be_made_passes() {
        let lost = || Lost::NoThread(nix::errno::Errno::EAGAIN.into());
        assert!(transient::chain_is_transient(
            &anyhow::Error::new(lost()).context("cannot write x")
        ));
        assert!(transient::is_transient(&lost().into()));
    }

    #[test]
    fn a_process_ends_although_work_hangs() {
        let (_end, wait) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let limit = Duration::from_millis(10);
        let lost = runtime.block_on(within(limit, move || wait.recv().is_ok()));
        assert!(lost.is_err());
        // Would wait for a thread of its pool, for ever.
        drop(runtime);
    }
}
