//! The disk side of an inbox: puts messages into `new/`, each with a header beside it, so that a
//! message that was put there outlives a crash or a power cut. What leaves `new/` is the consumer's
//! business.
//!
//! Both files are written and synced in `tmp/` and renamed, the header first: whoever sees the
//! message sees its header, too, and both are whole.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use nix::unistd::Uid;

use super::Name;
use super::layout;
use super::lock::{self, Lock};
use super::stamps::{Stamps, is_stamp};

/// One inbox on disk.
#[derive(Debug)]
pub struct Deposit {
    dir: PathBuf,
    /// Of the files: those may read them who may read the directory.
    mode: u32,
    owner: (u32, u32),
    lock: Option<Lock>,
    /// Which directory `new/` was.
    place: Option<(u64, u64)>,
}

/// A message and its header.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub header: Vec<u8>,
    pub payload: Bytes,
}

impl Item {
    /// What it takes of the inbox's room.
    pub fn size(&self) -> u64 {
        (self.header.len() + self.payload.len()) as u64
    }
}

/// What stands in `new/`.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The messages, each with the bytes that it and its header have.
    pub messages: HashMap<Name, u64>,
    /// The newest message, if it has left and its header is there.
    pub left: Option<Name>,
}

impl Deposit {
    /// Makes what is missing, with the mode and owner of `dir`, takes the inbox for this process alone,
    /// and removes what a killed run left in `tmp/`.
    pub fn open(dir: &Path) -> Result<Deposit> {
        let like = layout::make_inbox(dir)?;
        let lock = lock::take(&dir.join("tmp"), dir)?;
        let deposit = Deposit {
            dir: dir.to_owned(),
            mode: like.permissions().mode() & 0o666 | 0o600,
            owner: (like.uid(), like.gid()),
            lock,
            place: layout::place(&dir.join("new")),
        };
        deposit
            .clear_tmp()
            .with_context(|| format!("cannot clear {}", dir.join("tmp").display()))?;
        Ok(deposit)
    }

    /// Whether another directory stands where `new/` was, or none.
    pub fn is_elsewhere(&self) -> bool {
        layout::place(&self.new_dir()) != self.place
    }

    /// Opens what stands there now. That is not tried again when it fails.
    pub fn follow(&mut self) -> Result<()> {
        self.place = layout::place(&self.new_dir());
        // It may be on a directory that is still the same.
        self.lock = None;
        *self = Deposit::open(&self.dir)?;
        Ok(())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn new_dir(&self) -> PathBuf {
        self.dir.join("new")
    }

    /// Makes missing sub-directories again.
    pub fn repair(&self) -> Result<()> {
        layout::make_inbox(&self.dir).map(drop)
    }

    /// The messages in `new/`. `stamps` learns of all names there, so that none is given out twice;
    /// headers without a message are removed, but for the newest: it shows the next run where to go
    /// on.
    pub fn inventory(&self, stamps: &mut Stamps) -> io::Result<Inventory> {
        let mut inventory = Inventory::default();
        let mut headers = Vec::new();
        for entry in fs::read_dir(self.new_dir())? {
            let entry = entry?;
            let name = Name::new(&entry.file_name());
            let text = name.as_os_str().to_string_lossy();
            let size = entry.metadata().map_or(0, |meta| meta.len());
            if let Some(message) = message_of(&text) {
                stamps.used(message);
                headers.push((message.to_owned(), size));
            } else if !name.is_hidden() && !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                stamps.used(&text);
                *inventory.messages.entry(name).or_default() += size;
            }
        }
        for (header, size) in headers {
            let name = Name::new(header.as_ref());
            match inventory.messages.get_mut(&name) {
                Some(whole) => *whole += size,
                None if stamps.is_newest(&header) => inventory.left = Some(name),
                None => self.remove_header(&header, stamps),
            }
        }
        Ok(inventory)
    }

    /// A message has left `new/`: its header goes too, unless it is the newest.
    pub fn left(&self, name: &Name, stamps: &Stamps) {
        if let Some(message) = name.as_os_str().to_str().filter(|name| is_stamp(name)) {
            self.remove_header(message, stamps);
        }
    }

    fn remove_header(&self, message: &str, stamps: &Stamps) {
        if !stamps.is_newest(message) {
            // One that stays is found by the next scan.
            let _ = fs::remove_file(self.new_dir().join(header_of(message)));
        }
    }

    /// Puts messages into `new/`, durably. How many of them, from the first one on, and why not more:
    /// those have left nothing behind.
    pub fn put(&self, items: &[Item]) -> (usize, io::Result<()>) {
        let mut problem = Ok(());
        let mut put = 0;
        for item in items {
            problem = self.prepare(item).and_then(|()| self.show(item));
            if problem.is_err() {
                self.withdraw(item);
                break;
            }
            put += 1;
        }
        if put > 0
            && let Err(error) = File::open(self.new_dir()).and_then(|new| new.sync_all())
        {
            items[..put].iter().for_each(|item| self.withdraw(item));
            return (0, Err(error));
        }
        (put, problem)
    }

    fn prepare(&self, item: &Item) -> io::Result<()> {
        self.write(&self.in_tmp(&header_of(&item.name)), &item.header)?;
        self.write(&self.in_tmp(&item.name), &item.payload)
    }

    fn show(&self, item: &Item) -> io::Result<()> {
        for name in [header_of(&item.name), item.name.clone()] {
            fs::rename(self.in_tmp(&name), self.new_dir().join(name))?;
        }
        Ok(())
    }

    /// The message first: none without its header is ever seen.
    fn withdraw(&self, item: &Item) {
        for name in [item.name.clone(), header_of(&item.name)] {
            let _ = fs::remove_file(self.new_dir().join(&name));
            let _ = fs::remove_file(self.in_tmp(&name));
        }
    }

    fn write(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // Only root may give a file away. Another user's consumer needs to be of the same group.
        if Uid::effective().is_root() {
            fchown(&file, Some(self.owner.0), Some(self.owner.1))?;
        }
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.write_all(contents)?;
        file.sync_all()
    }

    fn in_tmp(&self, name: &str) -> PathBuf {
        self.dir.join("tmp").join(name)
    }

    /// Nothing of what stands there was acknowledged: the broker has it still.
    fn clear_tmp(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join("tmp"))? {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if is_stamp(&text) || message_of(&text).is_some() {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// Hidden, so that `new/*` in a shell is the messages.
fn header_of(message: &str) -> String {
    format!(".{message}.json")
}

/// The message that a header of this name belongs to.
fn message_of(header: &str) -> Option<&str> {
    let message = header.strip_prefix('.')?.strip_suffix(".json")?;
    is_stamp(message).then_some(message)
}

#[cfg(test)]
#[path = "deposit_tests.rs"]
mod tests;
