//! Service definitions and shadows for tests.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Device, LONG, wait_for};

/// A thing with services, beside the device's messages directory.
pub const THING: &str = "pump-7";

impl Device {
    /// The directory of definitions of the thing, or of `THING/SHADOW`.
    pub fn services(&mut self, id: &str) -> PathBuf {
        let dir = self.path(&format!("services-{}", id.replace('/', "~")));
        if !dir.exists() {
            fs::create_dir(&dir).expect("a directory of definitions");
            self.option("--services", format!("{id}:{}", dir.display()));
        }
        dir
    }

    /// Defines a service in JSON: `KEY.json` with an outfile `KEY.conf`, whose notify command adds
    /// the outfile's contents to `KEY.notified`, one line for each run. `more` adds or replaces keys.
    pub fn service(&mut self, key: &str, more: Value) -> &mut Device {
        let dir = self.services(THING);
        self.service_in(dir, key, more)
    }

    pub fn service_in(&mut self, dir: PathBuf, key: &str, more: Value) -> &mut Device {
        let outfile = self.outfile(key);
        let mut definition = json!({
            "key": key,
            "outfile": outfile,
            "outformat": "JSON",
            "notifycmd": format!(
                "cat {} | tr -d '\\n' >> {log}; echo >> {log}",
                outfile.display(),
                log = self.path(&format!("{key}.notified")).display()
            ),
        });
        for (name, value) in more.as_object().expect("an object") {
            definition[name] = value.clone();
        }
        let definition = definition.as_object_mut().expect("an object");
        definition.retain(|_, value| !value.is_null());
        let text = serde_json::to_string_pretty(definition).expect("JSON");
        fs::write(dir.join(format!("{key}.json")), text).expect("a definition");
        self
    }

    pub fn outfile(&self, key: &str) -> PathBuf {
        self.path(&format!("{key}.conf"))
    }

    /// The outfile's contents without the newline at its end; empty while there is none.
    pub fn config(&self, key: &str) -> String {
        let text = fs::read_to_string(self.outfile(key)).unwrap_or_default();
        text.trim_end_matches('\n').to_owned()
    }

    /// What each run of the notify command has seen.
    pub fn notified(&self, key: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path(&format!("{key}.notified"))).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn wait_for_config(&self, key: &str, text: &str) {
        let what = format!("{key}.conf says {text}");
        wait_for(&what, LONG, || self.config(key) == text);
    }

    #[track_caller]
    pub fn wait_for_notifications(&self, key: &str, count: usize) {
        let what = format!("{key} was notified {count} times");
        wait_for(&what, LONG, || self.notified(key).len() >= count);
    }

    /// The updates directory of the thing, or of `THING/SHADOW`.
    pub fn updates(&mut self, id: &str) -> PathBuf {
        let dir = self.path(&format!("updates-{}", id.replace('/', "~")));
        if !dir.exists() {
            fs::create_dir(&dir).expect("an updates directory");
            self.option("--updates", format!("{id}:{}", dir.display()));
        }
        dir
    }
}
