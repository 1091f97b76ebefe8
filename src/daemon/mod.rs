//! The composition root. A start has two steps: establish who the device is, then serve.

mod access;
mod certificates;
mod check;
mod establish;
mod first_certificate;
mod hangups;
mod inboxes;
mod names;
mod reaper;
mod renew;
mod renewal;
mod route;
mod serve;
mod signals;
mod tasks;

use tokio::runtime;

use crate::config::Config;
use crate::exit::Exit;
use crate::supervision::Supervisor;

pub use check::check;
pub use names::resolve as resolve_names;
use signals::Signals;

/// Runs until a signal or until a task ends.
pub fn run(config: Config) -> Exit {
    // Before anything is opened that could have the number of its descriptor.
    let supervisor = match Supervisor::adopt(config.supervision.notify_fd) {
        Ok(supervisor) => supervisor,
        Err(error) => return Exit::Config(error),
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Exit::Broken(anyhow::Error::new(error).context("cannot start the runtime"));
        }
    };
    let exit = match runtime.block_on(supervise(&config, &supervisor)) {
        Ok(exit) | Err(exit) => exit,
    };
    // A name look-up may hang in a thread of its own: do not wait for it.
    runtime.shutdown_background();
    exit
}

async fn supervise(config: &Config, supervisor: &Supervisor) -> Result<Exit, Exit> {
    let mut signals = Signals::new().map_err(Exit::Broken)?;
    tokio::spawn(reaper::run());
    let established = establish::establish(config, &mut signals).await?;
    serve::serve(config, established, &mut signals, supervisor).await
}
