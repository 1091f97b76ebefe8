//! The task that lets the cloud's services publish of their own accord.

use std::sync::Arc;
use std::time::Instant;

use super::Hub;

/// Serves for as long as the thread does.
pub(super) async fn serve(hub: Arc<Hub>) {
    let changed = hub.broker().service_deadline_changed();
    loop {
        let deadline = hub.broker().services_deadline();
        tokio::select! {
            // A service may have got an earlier deadline.
            () = changed.notified() => {}
            () = super::until(deadline) => hub.broker().services_due(Instant::now()),
        }
    }
}
