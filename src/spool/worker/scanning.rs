//! Looks at the whole directory, a piece at a time, so that orders need not wait.

use log::{error, warn};

use super::state::{Scanning, Worker};
use crate::clock::now;

/// Names that are read before the next orders are carried out.
const NAMES: usize = 1024;
impl Worker {
    pub(super) fn begin_scan(&mut self) {
        // Another file under the same name is a request.
        let maildir = &self.maildir;
        self.stuck
            .retain(|name, stuck| maildir.still_holds(name, *stuck));
        let order = self.reporting.order;
        let scan = self.arrivals.intake.begin_scan(maildir, order);
        self.scanning = Scanning {
            ended: self.scanning.ended || scan.is_none(),
            scan,
            untold: true,
            arrivals: std::mem::take(&mut self.scanning.arrivals),
            ..Scanning::default()
        };
    }

    /// Reads some names.
    pub(super) fn scan_on(&mut self) {
        let Some(scan) = &mut self.scanning.scan else {
            return;
        };
        let begun = now();
        let (arrivals, stuck) = (&self.arrivals, &self.stuck);
        let step = scan.step(NAMES, |name| {
            !arrivals.has_told(name) && !stuck.contains_key(name)
        });
        self.scanning.took += now() - begun;
        match step {
            Ok(true) => {}
            Ok(false) => self.end_scan(),
            Err(problem) => {
                self.scanning.scan = None;
                self.scanning.ended = true;
                self.arrivals.intake.cannot_scan(&problem.into());
            }
        }
    }

    fn end_scan(&mut self) {
        let took = self.scanning.took;
        self.scanning.ended = true;
        if let Some(scan) = self.scanning.scan.take() {
            let found = self.arrivals.intake.scanned(scan.end(), took);
            self.names.replace(found);
            self.scanning.looks = self.names.count_seen();
        }
        for arrival in std::mem::take(&mut self.scanning.arrivals) {
            if !self.arrivals.has_told(arrival.name.as_os_str()) {
                self.names.insert(arrival);
            }
        }
        if self.maildir.is_elsewhere() {
            self.follow();
        }
    }

    /// The directory was moved away, or something was mounted over it, and another one stands there.
    fn follow(&mut self) {
        let new = self.maildir.new_dir();
        if !new.is_dir() {
            return;
        }
        warn!(
            "{} is another directory now, which is served from now on",
            new.display()
        );
        if let Err(problem) = self.maildir.follow() {
            error!("{problem:#}");
        }
    }

    /// Whether another look is needed at once: those that are held run out while others wait on disk, or
    /// some may have been skipped. Without any progress it would find the same.
    pub(super) fn wants_refill(&self) -> bool {
        let due = self.scanning.is_over() && self.scanning.progress && self.has_room();
        let skipped = self.scanning.disturbed && self.names.is_empty();
        due && (self.names.is_short() || skipped && self.arrivals.count_told() == 0)
    }
}
