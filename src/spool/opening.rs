//! Requests that are being opened on their directory's thread: few at a time, so that a disk that
//! hangs holds few places in the window.

use tokio::sync::{oneshot, watch};

use super::Name;
use super::opened::{HeldFile, OpenError, Opened};
use super::outcome::Outcome;

/// Requests of one directory that are opened at one time.
const MOST: usize = 16;

/// A request that was handed out: settle it, whatever becomes of it.
#[derive(Debug)]
pub struct Dispatched {
    pub name: Name,
    /// It was its priority's turn.
    pub prioritised: bool,
    /// Somebody has refused it before.
    pub refused_before: bool,
    /// Its file, as soon as the disk has it.
    pub opening: Opening,
}

/// A file that is being opened.
#[derive(Debug)]
pub enum Opening {
    /// It was read before. `None`: it was handed out.
    Read(Option<(Opened, Vec<u8>)>),
    Waits {
        result: oneshot::Receiver<Result<(Opened, Vec<u8>), OpenError>>,
        place: Option<OpenPermit>,
    },
}

impl Opening {
    /// Waits for the file and its contents. The file is to be kept until the request is settled, so
    /// that its identity stays unique. The wait may be dropped and begun again until it has ended.
    ///
    /// # Errors
    /// How the request ends, and what is to be handed back with that.
    pub async fn opened(&mut self) -> Result<(Opened, Vec<u8>), (Outcome, HeldFile)> {
        match self {
            Opening::Read(file) => file.take().ok_or_else(unopened),
            Opening::Waits { result, place } => {
                let result = result.await;
                *place = None;
                match result {
                    Ok(Ok(opened)) => Ok(opened),
                    Ok(Err(trouble)) => Err(ended(trouble)),
                    // The thread ends only with the process.
                    Err(_) => Err(unopened()),
                }
            }
        }
    }
}

fn unopened() -> (Outcome, HeldFile) {
    (
        Outcome::Postponed("not opened".into()),
        HeldFile::Closed(None),
    )
}

fn ended(trouble: OpenError) -> (Outcome, HeldFile) {
    match trouble {
        OpenError::Vanished | OpenError::Directory => (Outcome::Vanished, HeldFile::Closed(None)),
        OpenError::Postponed(error) => (
            Outcome::Postponed(error.to_string()),
            HeldFile::Closed(None),
        ),
        OpenError::Refused { reason, identity } => {
            (Outcome::Unusable(reason), HeldFile::Closed(identity))
        }
    }
}

/// Counts what is being opened.
#[derive(Debug)]
pub struct OpenPermits {
    taken: watch::Sender<usize>,
    changes: watch::Receiver<usize>,
}

/// One place. Given back when dropped.
#[derive(Debug)]
pub struct OpenPermit(watch::Sender<usize>);

impl Drop for OpenPermit {
    fn drop(&mut self) {
        self.0.send_modify(|taken| *taken = taken.saturating_sub(1));
    }
}

impl Default for OpenPermits {
    fn default() -> OpenPermits {
        let (taken, changes) = watch::channel(0);
        OpenPermits { taken, changes }
    }
}

impl OpenPermits {
    /// A place for a file that is being opened, whose result comes from there.
    pub fn take(
        &mut self,
        result: oneshot::Receiver<Result<(Opened, Vec<u8>), OpenError>>,
    ) -> Opening {
        self.taken.send_modify(|taken| *taken += 1);
        self.changes.mark_unchanged();
        Opening::Waits {
            result,
            place: Some(OpenPermit(self.taken.clone())),
        }
    }

    pub fn are_taken(&self) -> bool {
        *self.taken.borrow() >= MOST
    }

    pub fn any_is_taken(&self) -> bool {
        *self.taken.borrow() > 0
    }

    /// Waits until one is given back. May be dropped while it waits.
    pub async fn given_back(&mut self) {
        // The sender is ours.
        let _ = self.changes.changed().await;
    }
}
