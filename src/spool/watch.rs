//! Reports when files arrive in a directory, or when they leave one. Arrivals may be reported
//! twice, never half-written.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::unix::AsyncFd;

use super::Name;

/// Each read brings many events.
const MOST_READS: usize = 256;

const LEFT: AddWatchFlags = AddWatchFlags::IN_DELETE.union(AddWatchFlags::IN_MOVED_FROM);

/// What happened in the directory.
#[derive(Debug, PartialEq, Eq)]
pub enum DirEvent {
    /// Renamed into the directory, or closed by its writer: complete.
    Complete(Name),
    /// A directory entry appeared: a hard link, which is complete, or a file that is about to be
    /// written.
    Created(Name),
    /// Deleted, or renamed to elsewhere.
    Gone(Name),
    /// Events were lost, or the directory itself went away: only a scan shows what is there.
    Lost,
}

/// A watch on one directory.
pub struct Watch {
    dir: PathBuf,
    events: AddWatchFlags,
    inotify: AsyncFd<Descriptor>,
    armed: Option<WatchDescriptor>,
}

/// What tokio needs to wait for an inotify instance.
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    /// Prepares a watch on `dir`, which [`Watch::arm`] starts, for files that arrive or leave.
    ///
    /// # Errors
    /// The system has no inotify, or no more instances for this user.
    pub fn arrivals(dir: &Path) -> io::Result<Watch> {
        let arrivals =
            AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_CREATE;
        Watch::new(dir, arrivals | LEFT)
    }

    /// The same for files that leave alone.
    ///
    /// # Errors
    /// As [`Watch::arrivals`].
    pub fn departures(dir: &Path) -> io::Result<Watch> {
        Watch::new(dir, LEFT)
    }

    // The replacement of `AsyncFd::new` is an unsafe fn. What it asks for holds here: the descriptor
    // is open and stays the same one until the `AsyncFd` is dropped.
    #[expect(
        deprecated,
        reason = "its replacement needs unsafe code, which is forbidden here"
    )]
    fn new(dir: &Path, events: AddWatchFlags) -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Watch {
            dir: dir.to_owned(),
            events,
            inotify: AsyncFd::new(Descriptor(inotify))?,
            armed: None,
        })
    }

    /// Starts watching, and again after the directory was replaced. Repetition is harmless.
    pub fn arm(&mut self) -> io::Result<()> {
        let events = self.events
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let inotify = &self.inotify.get_ref().0;
        let descriptor = inotify.add_watch(&self.dir, events)?;
        if let Some(old) = self
            .armed
            .replace(descriptor)
            .filter(|old| *old != descriptor)
        {
            // The old directory may live on elsewhere; if it does not, this fails and is right.
            let _ = inotify.rm_watch(old);
        }
        Ok(())
    }

    /// Waits for events. May be dropped while it waits: nothing is lost by it.
    pub async fn next(&mut self) -> io::Result<Vec<DirEvent>> {
        loop {
            let mut ready = self.inotify.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    return Ok(events.iter().filter_map(|event| self.told(event)).collect());
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The events that have come until now, without waiting. Where they come faster than they can be
    /// read, some are left.
    pub fn pending(&self) -> io::Result<Vec<DirEvent>> {
        let mut all = Vec::new();
        for _ in 0..MOST_READS {
            match self.inotify.get_ref().0.read_events() {
                Ok(events) => all.extend(events.iter().filter_map(|event| self.told(event))),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    fn told(&self, event: &InotifyEvent) -> Option<DirEvent> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return Some(DirEvent::Lost);
        }
        if Some(event.wd) != self.armed {
            return None;
        }
        let gone =
            AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        if event.mask.intersects(gone | AddWatchFlags::IN_UNMOUNT) {
            return Some(DirEvent::Lost);
        }
        let name = Name::new(event.name.as_deref()?);
        if name.is_hidden() || event.mask.contains(AddWatchFlags::IN_ISDIR) {
            return None;
        }
        Some(if event.mask.intersects(LEFT) {
            DirEvent::Gone(name)
        } else if event.mask.contains(AddWatchFlags::IN_CREATE) {
            DirEvent::Created(name)
        } else {
            DirEvent::Complete(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn watched() -> (tempfile::TempDir, PathBuf, Watch) {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new");
        fs::create_dir(&new).unwrap();
        let mut watch = Watch::arrivals(&new).unwrap();
        watch.arm().unwrap();
        (dir, new, watch)
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_ref())
    }

    #[tokio::test]
    async fn a_rename_is_complete_at_once() {
        let (dir, new, mut watch) = watched();
        fs::write(dir.path().join("a"), "x").unwrap();
        fs::rename(dir.path().join("a"), new.join("a")).unwrap();
        assert_eq!(watch.next().await.unwrap(), [DirEvent::Complete(name("a"))]);
    }

    #[tokio::test]
    async fn a_file_written_in_place_is_complete_when_its_writer_closes_it() {
        let (_dir, new, mut watch) = watched();
        let file = fs::File::create(new.join("a")).unwrap();
        assert_eq!(watch.next().await.unwrap(), [DirEvent::Created(name("a"))]);
        drop(file);
        assert_eq!(watch.next().await.unwrap(), [DirEvent::Complete(name("a"))]);
    }

    #[tokio::test]
    async fn hidden_names_and_directories_are_not_reported() {
        let (dir, new, mut watch) = watched();
        fs::create_dir(new.join("sub")).unwrap();
        fs::write(new.join(".hidden"), "x").unwrap();
        fs::hard_link(new.join(".hidden"), new.join("b")).unwrap();
        let mut events = Vec::new();
        while events.is_empty() {
            events = watch.next().await.unwrap();
        }
        assert_eq!(events, [DirEvent::Created(name("b"))]);
        drop(dir);
    }

    #[tokio::test]
    async fn files_that_leave_are_reported_to_who_asks_for_them() {
        let (dir, new, _arrivals) = watched();
        let mut watch = Watch::departures(&new).unwrap();
        watch.arm().unwrap();
        for name in ["a", "b", ".hidden"] {
            fs::write(new.join(name), "x").unwrap();
        }
        fs::remove_file(new.join(".hidden")).unwrap();
        fs::remove_file(new.join("a")).unwrap();
        fs::rename(new.join("b"), dir.path().join("b")).unwrap();
        let mut events = Vec::new();
        while events.len() < 2 {
            events.extend(watch.next().await.unwrap());
        }
        assert_eq!(
            events,
            [DirEvent::Gone(name("a")), DirEvent::Gone(name("b"))]
        );
    }

    #[tokio::test]
    async fn a_directory_that_went_away_is_reported_as_lost_and_can_be_watched_again() {
        let (_dir, new, mut watch) = watched();
        fs::remove_dir(&new).unwrap();
        assert!(watch.next().await.unwrap().contains(&DirEvent::Lost));
        fs::create_dir(&new).unwrap();
        watch.arm().unwrap();
        fs::write(new.join("a"), "x").unwrap();
        let mut events = Vec::new();
        while !events.contains(&DirEvent::Complete(name("a"))) {
            events.extend(watch.next().await.unwrap());
        }
    }
}
