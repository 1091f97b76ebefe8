//! A message into a FIFO, a device or a file. Blocks for a bounded time where the path lets it, and
//! for as long as a driver or a network file system pleases where it does not: for a thread of its
//! own.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::clock::now;
use crate::file;

/// How often a reader that is too slow is offered more. Not every device can be waited for.
const AGAIN: Duration = Duration::from_millis(10);

/// Writes the payload into what is there: nothing is ever made. A regular file gets it as its whole
/// contents, atomically, so that its readers see the old message or the new one.
///
/// # Errors
/// Nothing of it was written, or, as the error says, so many bytes of it.
pub fn write(path: &Path, payload: &[u8], limit: Duration) -> Result<()> {
    let context = || format!("cannot write to {}", path.display());
    if file::resolved(path).is_symlink() {
        return Err(anyhow!(file::NOT_FOLLOWED)).with_context(context);
    }
    let sink = open(path).with_context(context)?;
    if sink.metadata().with_context(context)?.is_file() {
        drop(sink);
        return replace(path, payload).with_context(context);
    }
    feed(sink, payload, now() + limit).with_context(context)
}

fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path);
    opened.map_err(|error| {
        let fifo = || fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENXIO) if fifo() => anyhow!("no process has the FIFO open for reading"),
            Some(Errno::ENOENT) => anyhow!("there is no such file; make it first"),
            _ => error.into(),
        }
    })
}

/// A symbolic link stays, and what it points to is replaced.
fn replace(path: &Path, payload: &[u8]) -> Result<()> {
    let real = fs::canonicalize(path)?;
    Ok(file::replace(&real, payload, 0o600)?)
}

fn feed(mut sink: File, payload: &[u8], deadline: Instant) -> Result<()> {
    let mut rest = payload;
    let part = |rest: &[u8]| {
        let written = payload.len() - rest.len();
        format!("{written} of {} bytes were written", payload.len())
    };
    while !rest.is_empty() {
        match sink.write(rest) {
            Ok(0) => bail!("it takes no more; {}", part(rest)),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Err(error).with_context(|| part(rest));
            }
            Err(_) if now() >= deadline => bail!("its reader is too slow; {}", part(rest)),
            Err(_) => sleep(AGAIN),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
