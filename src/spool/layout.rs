//! The parts of an action directory, or of an inbox, on disk: which there are, who owns them, and that
//! none of them leads elsewhere.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result, bail};
use log::warn;
use nix::fcntl::OFlag;
use nix::unistd::Uid;

const SUBDIRECTORIES: [&str; 3] = ["tmp", "new", "failed"];
/// An inbox, whose files go the other way round.
const OF_INBOX: [&str; 2] = ["tmp", "new"];
/// Where a file is looked at before it is removed. Hidden, for it is nobody else's business.
pub const REMOVING: &str = ".removing";

/// What would make [`make_directories`] fail, without changing anything.
pub fn check(dir: &Path) -> Result<()> {
    check_parts(dir, &SUBDIRECTORIES)
}

/// What would make [`make_inbox`] fail, without changing anything.
pub fn check_inbox(dir: &Path) -> Result<()> {
    check_parts(dir, &OF_INBOX)
}

/// Which directory this is: device and inode. `None` when there is none.
pub fn place(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn check_parts(dir: &Path, parts: &[&str]) -> Result<()> {
    whole(dir)?;
    for name in parts {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            part(&path)?;
        }
    }
    Ok(())
}

/// The action directory itself, which may be a link.
fn whole(dir: &Path) -> Result<fs::Metadata> {
    let meta = fs::metadata(dir)
        .with_context(|| format!("cannot use {}, create it first", dir.display()))?;
    if !meta.is_dir() {
        bail!("{} is not a directory", dir.display());
    }
    Ok(meta)
}

/// A part of it, which may not: what is moved and removed there is not to be somebody else's.
fn part(path: &Path) -> Result<fs::Metadata> {
    let meta =
        fs::symlink_metadata(path).with_context(|| format!("cannot use {}", path.display()))?;
    if meta.is_symlink() {
        bail!(
            "{} is a symbolic link, which is not followed; make it a directory",
            path.display()
        );
    }
    if !meta.is_dir() {
        bail!("{} is not a directory", path.display());
    }
    Ok(meta)
}

/// Makes what is missing. Whether there is a place of our own.
pub fn make_directories(dir: &Path) -> Result<bool> {
    let meta = whole(dir)?;
    for name in SUBDIRECTORIES {
        make_part(&dir.join(name), &meta)?;
    }
    // Without it files are removed in place, as on a file system that is full or read-only.
    let removing = make_removing(&dir.join(REMOVING));
    if let Err(problem) = &removing {
        warn!("{problem:#}");
    }
    Ok(removing.is_ok())
}

/// `tmp/` and `new/`. Returns what the whole looks like, for its files.
pub fn make_inbox(dir: &Path) -> Result<fs::Metadata> {
    let meta = whole(dir)?;
    for name in OF_INBOX {
        make_part(&dir.join(name), &meta)?;
    }
    Ok(meta)
}

/// With the mode and owner of the whole.
fn make_part(path: &Path, like: &fs::Metadata) -> Result<()> {
    let mode = like.permissions().mode() & 0o7777;
    if let Err(error) = fs::DirBuilder::new().mode(mode).create(path) {
        // It was there, or a writer has made it at this moment.
        return match fs::symlink_metadata(path) {
            Ok(_) => part(path).map(drop),
            Err(_) => Err(error).with_context(|| format!("cannot create {}", path.display())),
        };
    }
    // Through a descriptor, so that nobody can put a link in its place meanwhile.
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .and_then(|made| {
            made.set_permissions(fs::Permissions::from_mode(mode))
                .map(|()| made)
        })
        .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    let meta = made
        .metadata()
        .with_context(|| format!("cannot use {}", path.display()))?;
    if (meta.uid(), meta.gid()) != (like.uid(), like.gid()) {
        // Only root may give a directory away; a writer that cannot use it will say so.
        let _ = fchown(&made, Some(like.uid()), Some(like.gid()));
    }
    Ok(())
}

/// For the daemon alone: what stands in it is on its way out.
pub fn make_removing(path: &Path) -> Result<()> {
    let meta = match part(path) {
        Ok(meta) => meta,
        Err(error) => match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => part(path)?,
            Err(made) if made.kind() == ErrorKind::AlreadyExists => return Err(error),
            Err(made) => {
                return Err(made).with_context(|| format!("cannot create {}", path.display()));
            }
        },
    };
    if meta.uid() != Uid::effective().as_raw() {
        bail!("{} belongs to another user, remove it", path.display());
    }
    Ok(())
}
