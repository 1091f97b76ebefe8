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

use super::files;
use super::handle::Shadow;
use super::mirror::{self, Mirror};
use super::name::ShadowName;
use super::service::{Bell, Shadows};
use crate::net::Hub;
use crate::record::Event;

/// How often the files are looked at.
const PACE: Duration = Duration::from_millis(200);

/// Keeps shadows and files together until it is dropped, when the files are as the shadows are.
pub(crate) struct Disk {
    over: Arc<AtomicBool>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Makes shadows of the files that are there, before it returns.
    pub(crate) fn start(dir: &Path, hub: Arc<Hub>, shadows: Shadows) -> anyhow::Result<Disk> {
        let cannot = || format!("cannot keep shadows in {}", dir.display());
        std::fs::create_dir_all(dir).with_context(cannot)?;
        // One ring is enough, however much has changed.
        let (bell, rung) = sync_channel(1);
        shadows.ring(bell.clone());
        let mut desk = Cabinet {
            dir: dir.to_owned(),
            hub,
            shadows,
            drawers: BTreeMap::new(),
        };
        desk.open().with_context(cannot)?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("shadow files".to_owned());
        let thread = thread.spawn(move || desk.keep(&rung, &ended))?;
        Ok(Disk {
            over,
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // If the bell has been rung already, the thread will look as well.
        let _ = self.bell.try_send(());
        // A panic of that thread has been printed already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread works on.
struct Cabinet {
    dir: PathBuf,
    hub: Arc<Hub>,
    shadows: Shadows,
    drawers: BTreeMap<ShadowName, Drawer>,
}

/// The two files of one shadow.
#[derive(Default)]
struct Drawer {
    desired: Mirror,
    /// What was reported when its file was written.
    reported: Option<Map<String, Value>>,
    /// What has been told about its files last, so that it is told once.
    told: Option<String>,
}

impl Cabinet {
    fn keep(mut self, rung: &Receiver<()>, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            self.read(Instant::now());
            self.write();
            // Rung or not, it is time to look again.
            let _ = rung.recv_timeout(PACE);
        }
        self.write();
    }

    /// Makes shadows of what an earlier run has left.
    fn open(&mut self) -> io::Result<()> {
        for name in files::names(&self.dir, "")? {
            let mut state = Map::new();
            if let Some(text) = files::read(&self.desired_file(&name)) {
                let wish = self.drawer(&name).desired.read(text);
                self.take(&name, "desired", wish, &mut state);
            }
            if let Some(text) = files::read(&self.reported_file(&name)) {
                self.take(&name, "reported", mirror::parse(&text), &mut state);
            }
            if !state.is_empty() {
                self.restore(&name, json!({ "state": state }));
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        name: &ShadowName,
        section: &str,
        wish: mirror::Wish,
        state: &mut Map<String, Value>,
    ) {
        match wish {
            Ok(members) => drop(state.insert(section.to_owned(), members.into())),
            Err(why) => self.tell(name, files::path(&self.dir, name, section), &why),
        }
    }

    fn restore(&mut self, name: &ShadowName, request: Value) {
        let shadow = self.shadow(name);
        match shadow.update(request) {
            Ok(_) => {
                let desired = self.shadows.desk().desired(name).unwrap_or_default();
                self.drawer(name).desired.granted(desired);
            }
            Err(rejection) => {
                self.drawer(name).desired.refuse();
                self.tell(name, self.desired_file(name), &rejection.to_string());
            }
        }
    }

    /// Does what persons have written into files of what is desired.
    fn read(&mut self, now: Instant) {
        // A directory that cannot be read just now has no edits either.
        let names = files::names(&self.dir, "desired").unwrap_or_default();
        let known: Vec<ShadowName> = self.drawers.keys().cloned().collect();
        for name in names.into_iter().chain(known) {
            let file = self.desired_file(&name);
            let wish = self.drawer(&name).desired.looked(files::read(&file), now);
            match wish {
                Some(Ok(wish)) => self.grant(&name, &wish),
                Some(Err(why)) => self.tell(&name, file, &why),
                None => {}
            }
        }
    }

    fn grant(&mut self, name: &ShadowName, wish: &Map<String, Value>) {
        let granted = self.shadow(name).desire_exactly(wish);
        let drawer = self.drawer(name);
        match granted {
            Ok(desired) => {
                drawer.desired.granted(desired);
                drawer.told = None;
            }
            Err(rejection) => {
                drawer.desired.refuse();
                self.tell(name, self.desired_file(name), &rejection.to_string());
            }
        }
    }

    /// Writes the files that are out of date, and removes those of shadows that are no more.
    fn write(&mut self) {
        let shadows = self.shadows.sections();
        for (name, (desired, reported)) in &shadows {
            let outcome = self.write_desired(name, desired);
            let outcome = outcome.and(self.write_reported(name, reported));
            if let Err(error) = outcome {
                self.tell(
                    name,
                    self.desired_file(name),
                    &format!("cannot be written: {error}"),
                );
            }
        }
        let known: Vec<ShadowName> = self.drawers.keys().cloned().collect();
        for name in known.into_iter().filter(|name| !shadows.contains_key(name)) {
            self.remove(&name);
        }
    }

    fn write_desired(&mut self, name: &ShadowName, desired: &Map<String, Value>) -> io::Result<()> {
        let file = self.desired_file(name);
        let mirror = &mut self.drawer(name).desired;
        if !mirror.outdated(desired) || !mirror.may_replace(files::read(&file).as_ref()) {
            return Ok(());
        }
        let text = files::replace(&file, desired)?;
        mirror.written(text, desired.clone());
        Ok(())
    }

    fn write_reported(
        &mut self,
        name: &ShadowName,
        reported: &Map<String, Value>,
    ) -> io::Result<()> {
        let file = self.reported_file(name);
        let drawer = self.drawer(name);
        if drawer.reported.as_ref() != Some(reported) {
            files::replace(&file, reported)?;
            drawer.reported = Some(reported.clone());
        }
        Ok(())
    }

    /// A shadow is gone, unless its file has an edit that will bring it back.
    fn remove(&mut self, name: &ShadowName) {
        let desired = self.desired_file(name);
        let mirror = &self.drawer(name).desired;
        if !mirror.may_go() || !mirror.may_replace(files::read(&desired).as_ref()) {
            return;
        }
        // Whoever has removed them already meant the same.
        let _ = std::fs::remove_file(desired);
        let _ = std::fs::remove_file(self.reported_file(name));
        self.drawers.remove(name);
    }

    /// Records what is wrong with a file, unless that was the last thing recorded about this shadow's files.
    fn tell(&mut self, name: &ShadowName, file: PathBuf, why: &str) {
        let told = format!("{}: {why}", file.display());
        if self.drawer(name).told.replace(told.clone()) != Some(told) {
            let why = why.to_owned();
            self.hub.journal.note(Event::ShadowFile { file, why });
        }
    }

    fn shadow(&self, name: &ShadowName) -> Shadow {
        Shadow::of(Arc::clone(&self.hub), self.shadows.clone(), name.clone())
    }

    fn drawer(&mut self, name: &ShadowName) -> &mut Drawer {
        self.drawers.entry(name.clone()).or_default()
    }

    fn desired_file(&self, name: &ShadowName) -> PathBuf {
        files::path(&self.dir, name, "desired")
    }

    fn reported_file(&self, name: &ShadowName) -> PathBuf {
        files::path(&self.dir, name, "reported")
    }
}
