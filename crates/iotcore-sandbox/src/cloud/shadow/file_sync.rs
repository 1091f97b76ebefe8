//! The shadows as files of a directory: `THING.desired.json`, which a person may edit, and `THING.reported.json`; of named
//! shadows `THING~NAME.desired.json` and so on. A thread of its own reads and writes them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::desired_file::{self, DesiredFile, FileContent};
use super::files;
use super::handle::Shadow;
use super::name::ShadowName;
use super::service::{ChangeSignal, Shadows};
use crate::net::Hub;
use crate::record::Event;

/// How often the files are read.
const INTERVAL: Duration = Duration::from_millis(200);

/// Keeps shadows and files equal until it is dropped. When the drop is complete, the files are as the shadows are.
pub(crate) struct FileSync {
    stopped: Arc<AtomicBool>,
    change_signal: ChangeSignal,
    thread: Option<JoinHandle<()>>,
}

impl FileSync {
    /// Makes shadows of the existing files before it returns.
    pub(crate) fn start(dir: &Path, hub: Arc<Hub>, shadows: Shadows) -> anyhow::Result<FileSync> {
        let cannot = || format!("cannot keep shadows in {}", dir.display());
        std::fs::create_dir_all(dir).with_context(cannot)?;
        // One signal is enough, however much has changed.
        let (change_signal, changed) = sync_channel(1);
        shadows.signal_changes(change_signal.clone());
        let mut worker = Worker {
            dir: dir.to_owned(),
            hub,
            shadows,
            files: BTreeMap::new(),
        };
        worker.restore_all().with_context(cannot)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stopped);
        let thread = std::thread::Builder::new().name("shadow files".to_owned());
        let thread = thread.spawn(move || worker.run(&changed, &ended))?;
        Ok(FileSync {
            stopped,
            change_signal,
            thread: Some(thread),
        })
    }
}

impl Drop for FileSync {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // If a signal is waiting already, the thread wakes up because of that one.
        let _ = self.change_signal.try_send(());
        // A panic of that thread has been printed already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread works on.
struct Worker {
    dir: PathBuf,
    hub: Arc<Hub>,
    shadows: Shadows,
    files: BTreeMap<ShadowName, ShadowFiles>,
}

/// The two files of one shadow.
#[derive(Default)]
struct ShadowFiles {
    desired: DesiredFile,
    /// What was reported when its file was written.
    reported: Option<Map<String, Value>>,
    /// The last problem that was recorded, so that it is recorded once.
    problem: Option<String>,
}

impl Worker {
    fn run(mut self, changed: &Receiver<()>, stopped: &AtomicBool) {
        while !stopped.load(Ordering::Acquire) {
            self.read(Instant::now());
            self.write();
            // Whether there was a signal or not: it is time to read again.
            let _ = changed.recv_timeout(INTERVAL);
        }
        self.write();
    }

    /// Makes shadows of the files that an earlier run has left.
    fn restore_all(&mut self) -> io::Result<()> {
        for name in files::names(&self.dir, "")? {
            let mut state = Map::new();
            if let Some(text) = files::read(&self.desired_path(&name)) {
                let content = self.files_of(&name).desired.read(text);
                self.add_section(&name, "desired", content, &mut state);
            }
            if let Some(text) = files::read(&self.reported_path(&name)) {
                let content = desired_file::parse(&text);
                self.add_section(&name, "reported", content, &mut state);
            }
            if !state.is_empty() {
                self.restore(&name, json!({ "state": state }));
            }
        }
        Ok(())
    }

    fn add_section(
        &mut self,
        name: &ShadowName,
        section: &str,
        content: FileContent,
        state: &mut Map<String, Value>,
    ) {
        match content {
            Ok(members) => drop(state.insert(section.to_owned(), members.into())),
            Err(why) => self.record(name, files::path(&self.dir, name, section), &why),
        }
    }

    fn restore(&mut self, name: &ShadowName, request: Value) {
        let shadow = self.shadow(name);
        match shadow.update(request) {
            Ok(_) => {
                let desired = self.shadows.handler().desired(name).unwrap_or_default();
                self.files_of(name).desired.applied(desired);
            }
            Err(rejection) => {
                self.files_of(name).desired.rejected();
                self.record(name, self.desired_path(name), &rejection.to_string());
            }
        }
    }

    /// Applies the edits of people to what is desired.
    fn read(&mut self, now: Instant) {
        // While the directory cannot be read, it has no edits.
        let names = files::names(&self.dir, "desired").unwrap_or_default();
        let known: Vec<ShadowName> = self.files.keys().cloned().collect();
        for name in names.into_iter().chain(known) {
            let path = self.desired_path(&name);
            let edit = self
                .files_of(&name)
                .desired
                .observed(files::read(&path), now);
            match edit {
                Some(Ok(desired)) => self.apply(&name, &desired),
                Some(Err(why)) => self.record(&name, path, &why),
                None => {}
            }
        }
    }

    fn apply(&mut self, name: &ShadowName, edited: &Map<String, Value>) {
        let outcome = self.shadow(name).desire_exactly(edited);
        let files = self.files_of(name);
        match outcome {
            Ok(desired) => {
                files.desired.applied(desired);
                files.problem = None;
            }
            Err(rejection) => {
                files.desired.rejected();
                self.record(name, self.desired_path(name), &rejection.to_string());
            }
        }
    }

    /// Writes the files that are out of date, and removes those of deleted shadows.
    fn write(&mut self) {
        let shadows = self.shadows.sections();
        for (name, (desired, reported)) in &shadows {
            let outcome = self.write_desired(name, desired);
            let outcome = outcome.and(self.write_reported(name, reported));
            if let Err(error) = outcome {
                self.record(
                    name,
                    self.desired_path(name),
                    &format!("cannot be written: {error}"),
                );
            }
        }
        let known: Vec<ShadowName> = self.files.keys().cloned().collect();
        for name in known.into_iter().filter(|name| !shadows.contains_key(name)) {
            self.remove(&name);
        }
    }

    fn write_desired(&mut self, name: &ShadowName, desired: &Map<String, Value>) -> io::Result<()> {
        let path = self.desired_path(name);
        let file = &mut self.files_of(name).desired;
        if !file.outdated(desired) || !file.may_replace(files::read(&path).as_ref()) {
            return Ok(());
        }
        let text = files::replace(&path, desired)?;
        file.written(text, desired.clone());
        Ok(())
    }

    fn write_reported(
        &mut self,
        name: &ShadowName,
        reported: &Map<String, Value>,
    ) -> io::Result<()> {
        let path = self.reported_path(name);
        let files = self.files_of(name);
        if files.reported.as_ref() != Some(reported) {
            files::replace(&path, reported)?;
            files.reported = Some(reported.clone());
        }
        Ok(())
    }

    /// Removes the files of a deleted shadow, unless an edit is about to create it again.
    fn remove(&mut self, name: &ShadowName) {
        let path = self.desired_path(name);
        let file = &self.files_of(name).desired;
        if !file.may_remove() || !file.may_replace(files::read(&path).as_ref()) {
            return;
        }
        // They may have been removed by hand already, which is as good.
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_file(self.reported_path(name));
        self.files.remove(name);
    }

    /// Records what is wrong with a file, unless that was the last thing recorded about this shadow's files.
    fn record(&mut self, name: &ShadowName, file: PathBuf, why: &str) {
        let problem = format!("{}: {why}", file.display());
        if self.files_of(name).problem.replace(problem.clone()) != Some(problem) {
            let why = why.to_owned();
            self.hub.journal.note(Event::ShadowFile { file, why });
        }
    }

    fn shadow(&self, name: &ShadowName) -> Shadow {
        Shadow::of(Arc::clone(&self.hub), self.shadows.clone(), name.clone())
    }

    fn files_of(&mut self, name: &ShadowName) -> &mut ShadowFiles {
        self.files.entry(name.clone()).or_default()
    }

    fn desired_path(&self, name: &ShadowName) -> PathBuf {
        files::path(&self.dir, name, "desired")
    }

    fn reported_path(&self, name: &ShadowName) -> PathBuf {
        files::path(&self.dir, name, "reported")
    }
}
