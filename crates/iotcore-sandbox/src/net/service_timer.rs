//! The task that lets the services of the cloud publish what is due.

use std::sync::Arc;
use std::time::Instant;

use super::Hub;

/// Runs as long as the thread.
pub(super) async fn serve(hub: Arc<Hub>) {
    let changed = hub.broker().service_deadline_changed();
    loop {
        let deadline = hub.broker().services_deadline();
        tokio::select! {
            // A service may have an earlier deadline now.
            () = changed.notified() => {}
            () = super::until(deadline) => hub.broker().services_due(Instant::now()),
        }
    }
}
