//! Inboxes and the connections that bring their messages.

use anyhow::{Result, anyhow};
use log::warn;

use crate::inbox::{Inbox, InboxOptions};
use crate::mqtt::Sessions;
use crate::spool::disks::Disks;

/// Starts all of them. To be called before the sessions run.
pub async fn start(all: &[InboxOptions], sessions: &mut Sessions, disks: &Disks) -> Result<()> {
    for (index, options) in all.iter().enumerate() {
        warn_if_shared(options, &all[..index]);
    }
    for options in all {
        let filters: Vec<&str> = options.filters.iter().map(String::as_str).collect();
        let messages = sessions
            .durable(options.connection, &filters)
            .map_err(|why| anyhow!("--subscribe-spool to {}: {why}", options.dir.display()))?;
        Inbox::start(options, messages, disks).await?;
    }
    Ok(())
}

fn warn_if_shared(options: &InboxOptions, earlier: &[InboxOptions]) {
    let dir = options.dir.display();
    if options.connection == 0 {
        warn!(
            "{dir} shares the only connection: when it is full for long, other messages wait too; a --max-connections above 1 avoids it"
        );
    } else if let Some(other) = earlier
        .iter()
        .find(|it| it.connection == options.connection)
    {
        let other = other.dir.display();
        warn!(
            "{dir} and {other} share a connection: when one is full for long, the other waits too; a higher --max-connections avoids it"
        );
    }
}
