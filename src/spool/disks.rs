//! Threads for the file calls of action directories, one for each: a disk that hangs holds up the
//! requests of its own directory, and nobody else.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::prefetch::PrefetchBudget;

/// Enough for a message that is nested as deeply as the parser allows.
const STACK: usize = 512 * 1024;

/// Starts threads.
#[derive(Clone)]
pub struct Disks {
    alive: mpsc::Sender<Infallible>,
    /// What all of them share.
    pub prefetch: PrefetchBudget,
}

/// All threads that were started.
pub struct Working(mpsc::Receiver<Infallible>);

impl Disks {
    pub fn new() -> (Disks, Working) {
        // Nothing is ever sent: that all senders are gone is the signal.
        let (alive, working) = mpsc::channel(1);
        let prefetch = PrefetchBudget::default();
        (Disks { alive, prefetch }, Working(working))
    }

    /// Starts a thread for `dir`, which calls `open` and then runs `work` to its end. Resolves when
    /// `open` has come to its end; neither the process nor anybody else waits for the thread.
    ///
    /// # Errors
    /// Those of `open`, and that no thread can be made, which is a shortage.
    pub async fn start<T, Work>(
        &self,
        dir: &Path,
        open: impl FnOnce() -> Result<T> + Send + 'static,
        work: impl FnOnce(T) -> Work + Send + 'static,
    ) -> Result<()>
    where
        Work: Future<Output = ()>,
    {
        let alive = self.alive.clone();
        let (tell, told) = oneshot::channel();
        let body = move || {
            match begin(open) {
                Ok((runtime, opened)) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(work(opened));
                }
                Err(problem) => drop(tell.send(Err(problem))),
            }
            drop(alive);
        };
        thread::Builder::new()
            .stack_size(STACK)
            .spawn(body)
            .with_context(|| format!("cannot make a thread for {}", dir.display()))?;
        let died = || Err(anyhow!("the thread for {} has failed", dir.display()));
        told.await.unwrap_or_else(|_| died())
    }
}

impl Working {
    /// Waits until all threads have carried out their last orders, but not longer than this.
    pub async fn ended(mut self, limit: Duration) {
        let _ = timeout(limit, self.0.recv()).await;
    }
}

fn begin<T>(open: impl FnOnce() -> Result<T>) -> Result<(Runtime, T)> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error: io::Error| anyhow::Error::new(error).context("cannot start a runtime"))?;
    let entered = runtime.enter();
    let opened = open()?;
    drop(entered);
    Ok((runtime, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_hangs_holds_up_nobody_but_the_one_who_waits_for_it() {
        let (disks, working) = Disks::new();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let dir = Path::new("/d");
        let hang = move |()| async move {
            let _ = wait.recv();
        };
        disks.start(dir, || Ok(()), hang).await.unwrap();
        drop(disks);
        working.ended(Duration::from_millis(10)).await;
        drop(end);
    }

    #[tokio::test]
    async fn who_waits_for_all_threads_waits_until_the_last_has_ended() {
        let (disks, working) = Disks::new();
        let (done, result) = std::sync::mpsc::channel();
        let work = move |number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = done.send(number);
        };
        disks.start(Path::new("/d"), || Ok(7), work).await.unwrap();
        drop(disks);
        working.ended(Duration::from_secs(60)).await;
        assert_eq!(result.try_recv(), Ok(7));
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_reported() {
        let (disks, _working) = Disks::new();
        let open = || Err::<(), _>(anyhow!("no such thing"));
        let started = disks.start(Path::new("/d"), open, |()| async {}).await;
        assert_eq!(started.unwrap_err().to_string(), "no such thing");
    }
}
