//! One daemon for one directory. The lock is on a part of the directory that is the daemon's own, so no
//! script comes across it, and it is given up by the kernel however the process ends.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use log::warn;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// A daemon that was just killed may still be on its way out.
const PATIENCE: usize = 20;
const STEP: Duration = Duration::from_millis(100);

/// Given up when dropped. Children do not inherit it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

/// Locks `part`, a directory, for the directory `whole`. Waits for a short time. `None`, with a
/// line about it, where the file system has no locks.
///
/// # Errors
/// Another process has it.
pub fn take(part: &Path, whole: &Path) -> Result<Option<Lock>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(part)
        .with_context(|| format!("cannot open {}", part.display()))?;
    let inode = file.metadata().map_or(0, |meta| meta.ino());
    for _ in 0..PATIENCE {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(Lock(lock))),
            Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) => file = again,
            Err((_, error)) => {
                let whole = whole.display();
                warn!("cannot lock {whole}, make sure that no other daemon serves it: {error}");
                return Ok(None);
            }
        }
        sleep(STEP);
    }
    bail!(
        "{} is served by {} already, one daemon for each directory",
        whole.display(),
        holder(inode)
    );
}

/// Who has the lock on this inode, as far as the kernel shows.
fn holder(inode: u64) -> String {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    match locks.lines().find_map(|line| holder_in(line, inode)) {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            match name.trim() {
                "" => format!("process {pid}"),
                name => format!("process {pid} ({})", name.escape_default()),
            }
        }
        None => "another process".to_owned(),
    }
}

/// `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`, see proc(5).
fn holder_in(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else {
        return None;
    };
    let (_, number) = file.rsplit_once(':')?;
    // 0 is a process outside of our namespace.
    let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
    (number.parse() == Ok(inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernel_s_list() {
        for (line, pid) in [
            ("1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF", Some(4711)),
            ("1: FLOCK  ADVISORY  WRITE 4711 08:01:132 0 EOF", None),
            ("1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF", None),
            ("1: FLOCK  ADVISORY  WRITE 0 08:01:131 0 EOF", None),
            ("1: -> FLOCK  ADVISORY  WRITE 7 08:01:131 0 EOF", None),
            ("", None),
        ] {
            assert_eq!(holder_in(line, 131), pid, "{line}");
        }
    }

    #[test]
    fn a_second_lock_waits_and_then_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Path::new("/d");
        let first = take(dir.path(), whole).unwrap();
        assert!(first.is_some());
        let error = take(dir.path(), whole).unwrap_err().to_string();
        assert!(error.contains("/d is served by"), "{error}");
        let own = format!("process {} ", std::process::id());
        assert!(error.contains(&own), "{error}");
        drop(first);
        assert!(take(dir.path(), whole).unwrap().is_some());
    }
}
