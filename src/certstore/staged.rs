//! A certificate on its way into the store. It is put together in `.provisioning/`, whole before it
//! is seen, and becomes the directory `ID/` by one rename; `state.json` in it says what is still to
//! be done, so that the next start continues after a power cut at any step.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Certstore;
use crate::file;

const STAGED: &str = ".provisioning";
const STATE: &str = "state.json";
const LARGEST_STATE: u64 = 64 * 1024;
/// Room for a certificate, a key and the state, taken before the cloud is asked for any.
const ROOM: usize = 16 * 1024;

/// A certificate as the cloud gave it.
#[derive(Clone)]
pub struct Fresh {
    /// Chosen by the cloud: letters and digits only.
    pub id: String,
    pub certificate: String,
    /// Secret.
    pub private_key: String,
    /// Proves to the cloud that it is ours. Secret.
    pub token: String,
}

/// What the cloud said about the device itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    pub thing: String,
    pub configuration: Map<String, Value>,
}

/// A certificate that is whole on disk, and what is left to be done with it, as `state.json` has it.
#[derive(Clone, Serialize)]
pub struct Staged {
    #[serde(skip)]
    dir: PathBuf,
    pub id: String,
    /// Secret.
    pub token: String,
    /// In milliseconds since 1970.
    created: u64,
    /// `preferred` has pointed at it.
    promoted: bool,
    /// How often the notify command was started.
    notified: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
    #[serde(skip)]
    unfinished: bool,
}

impl Certstore {
    /// Makes sure that there is room for a certificate. What an earlier run left half-made is removed.
    ///
    /// # Errors
    /// The store is full or read-only.
    pub fn make_room(&self) -> Result<()> {
        let dir = self.half_made();
        let context = || {
            format!(
                "cannot make room for a certificate in {}",
                self.dir().display()
            )
        };
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(context)?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(context)?;
        write(&dir.join("room"), &vec![b' '; ROOM]).with_context(context)
    }

    fn half_made(&self) -> PathBuf {
        self.dir().join(".provisioning.new")
    }

    /// Stores a certificate durably, to be registered. Takes the place of one that was staged before.
    ///
    /// # Errors
    /// Nothing is staged then.
    pub fn stage(&self, fresh: &Fresh, now: SystemTime) -> Result<Staged> {
        if !is_id(&fresh.id) {
            bail!("the cloud's certificate id is not valid: letters and digits were expected");
        }
        let half = self.half_made();
        let context = || format!("cannot store the certificate in {}", self.dir().display());
        if !half.exists() {
            self.make_room()?;
        }
        fs::remove_file(half.join("room")).with_context(context)?;
        let staged = Staged {
            dir: self.dir().join(STAGED),
            id: fresh.id.clone(),
            token: fresh.token.clone(),
            created: now
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis() as u64,
            promoted: false,
            notified: 0,
            registered: None,
            unfinished: false,
        };
        let (certificate, key) = super::file_names(staged.id.as_ref());
        write(&half.join(key), fresh.private_key.as_bytes()).with_context(context)?;
        write(&half.join(certificate), fresh.certificate.as_bytes()).with_context(context)?;
        write(&half.join(STATE), staged.state().as_bytes()).with_context(context)?;
        file::sync_directory(&half.join(STATE)).with_context(context)?;
        self.discard_staged().with_context(context)?;
        fs::rename(&half, &staged.dir).with_context(context)?;
        file::sync_directory(&staged.dir).with_context(context)?;
        Ok(staged)
    }

    /// Removes what is staged, if anything.
    pub fn discard_staged(&self) -> Result<()> {
        let dir = self.dir().join(STAGED);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        Ok(())
    }

    /// The certificate that an earlier run has staged and not brought in. One that is damaged counts
    /// as none.
    pub fn staged(&self) -> Option<Staged> {
        Staged::read(self.dir().join(STAGED), None)
    }

    /// The certificates that were brought in, but not to the end.
    pub fn unfinished(&self) -> Vec<Staged> {
        let entries = fs::read_dir(self.dir()).into_iter().flatten().flatten();
        entries
            .filter(|entry| is_id(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| Staged::read(entry.path(), Some(&entry.file_name())))
            .collect()
    }
}

impl Staged {
    fn read(dir: PathBuf, id: Option<&OsStr>) -> Option<Staged> {
        let contents = file::read_own(&dir.join(STATE), LARGEST_STATE).ok()?;
        // Member by member: to derive this too takes 20 kB, and one bad member must not cost the rest.
        let state: Value = serde_json::from_slice(&contents).ok()?;
        let text = |key: &str| Some(state.get(key)?.as_str()?.to_owned());
        let registered = state.get("registered").and_then(|registered| {
            Some(Registered {
                thing: registered.get("thing")?.as_str()?.to_owned(),
                configuration: registered.get("configuration")?.as_object()?.clone(),
            })
        });
        let staged = Staged {
            dir,
            id: text("id")?,
            token: text("token")?,
            created: state.get("created")?.as_u64()?,
            promoted: state.get("promoted")?.as_bool()?,
            notified: state.get("notified").and_then(Value::as_u64).unwrap_or(0),
            registered,
            unfinished: false,
        };
        // Before any path is made of it.
        if !is_id(&staged.id) || id.is_some_and(|id| *id != *staged.id) {
            return None;
        }
        let whole = staged.certificate_file().is_file() && staged.key_file().is_file();
        whole.then_some(staged)
    }

    fn state(&self) -> String {
        json!(self).to_string()
    }

    pub fn certificate_file(&self) -> PathBuf {
        self.dir.join(super::file_names(self.id.as_ref()).0)
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.join(super::file_names(self.id.as_ref()).1)
    }

    /// When the cloud made it, by our clock.
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.created)
    }

    /// How long ago it was made. `None`: the clock cannot say.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.created()).ok()
    }

    /// The cloud has registered the device with this certificate.
    pub fn registered(&mut self, registered: Registered) -> Result<()> {
        self.registered = Some(registered);
        self.save()
    }

    fn save(&self) -> Result<()> {
        let path = self.dir.join(STATE);
        file::replace(&path, self.state().as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Brings it into the store, where it is a certificate like any other.
    pub fn bring_in(&mut self, store: &Certstore) -> Result<()> {
        let target = store.dir().join(&self.id);
        if self.dir == target {
            return Ok(());
        }
        let context = || {
            format!(
                "cannot install the certificate in {}",
                store.dir().display()
            )
        };
        if target.exists() && !super::is_complete(&target, self.id.as_ref()) {
            // Half a certificate of the same name cannot be used by anybody.
            fs::remove_dir_all(&target).with_context(context)?;
        }
        fs::rename(&self.dir, &target).with_context(context)?;
        file::sync_directory(&target).with_context(context)?;
        self.dir = target;
        Ok(())
    }

    /// Points `preferred` at it, once: what happens to the link later is not undone.
    pub fn promote(&mut self, store: &Certstore) -> Result<()> {
        if self.promoted {
            return Ok(());
        }
        store.prefer(self.id.as_ref())?;
        self.promoted = true;
        self.save()
    }

    /// The notify command is about to be started. Gives how often it was started before: one that
    /// never lives to its end must not be started for ever.
    pub fn notifying(&mut self) -> Result<u64> {
        let before = self.notified;
        self.notified = before.saturating_add(1);
        self.save().map(|()| before)
    }

    /// Something could not be done yet: [`Staged::finish`] leaves it to the next start.
    pub fn leave_unfinished(&mut self) {
        self.unfinished = true;
    }

    /// Everything is done: nothing is left to be continued.
    pub fn finish(&self) -> Result<()> {
        if self.unfinished {
            return Ok(());
        }
        let path = self.dir.join(STATE);
        fs::remove_file(&path)
            .and_then(|()| file::sync_directory(&path))
            .with_context(|| format!("cannot remove {}", path.display()))
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Staged({})", self.id)
    }
}

/// What the cloud chooses must never lead out of the store.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A new file that nobody else can read at any moment, durably.
fn write(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}
