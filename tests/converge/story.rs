//! One story: what an operator, writers of files, people, the network and the cloud do, and what
//! must hold in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use iotcore_sandbox::{Cut, Garbage, Sandbox, Shadow, ShadowFault, ShadowTrouble};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::common::services::THING;
use crate::common::{Device, drop_file, names, sandbox};
use crate::model::{Model, Shared, member, merge, shell, tricky};

/// A story ends well within this, or not at all.
const QUIET: Duration = Duration::from_secs(90);
/// For things that only happen when all is quiet, and are left out when it is not.
const A_MOMENT: Duration = Duration::from_millis(700);
const STEPS: u32 = 70;
/// What the default shadow makes.
const SEED: &str = r#"{"seeded":{"by":"default"}}"#;

pub struct Story {
    seed: u64,
    rng: fastrand::Rng,
    sandbox: Sandbox,
    shadow: Shadow,
    device: Device,
    updates: PathBuf,
    /// Desired by the operator alone.
    net: Model,
    /// The same, for a service whose outfile is `/dev/null`.
    null: Model,
    null_is_known: bool,
    /// Updated by files alone, through a service with validation.
    app: Model,
    /// Updated by files alone, without a service.
    led: Model,
    /// Desired, and beyond `outkeys` updated by files.
    out: Model,
    /// Desired, and edited by hand.
    hand: Model,
    /// `m` of this key is desired and updated by files; the other members are desired.
    mix: Model,
    shared: Shared,
    /// Commands for an ephemeral service, each with a number of its own: desired, and as files.
    commands: Vec<u32>,
    command_files: Vec<u32>,
    /// What may lose a command has happened.
    loses_commands: bool,
    count: u32,
    starts: usize,
    rejected: Vec<String>,
    log: Vec<String>,
}

impl Story {
    pub fn new(seed: u64) -> Story {
        let sandbox = sandbox();
        let shadow = sandbox.shadow(THING);
        let mut device = Device::new(&sandbox);
        device.option("--connect-attempts", 0);
        device.option("--defaultshadow", format!("{THING}:echo '{SEED}'"));
        device.service("net", json!({"outformat": "SHELL"}));
        device.service(
            "app",
            json!({"validatecmd": "c=$(cat); case $c in *bad*) exit 1;; esac; printf %s \"$c\" | sed 's/\"cap\":[0-9]*/\"cap\":5/'"}),
        );
        device.service("out", json!({"outkeys": ["a", "b"]}));
        device.service("hand", json!({}));
        device.service("mix", json!({}));
        device.service("null", json!({"outfile": "/dev/null", "notifycmd": "true"}));
        let todo = device.path("todo.notified").display().to_string();
        device.service(
            "todo",
            json!({"ephemeraldata": true, "outfile": null, "outformat": null,
                "notifycmd": format!("cat >> {todo}; echo >> {todo}")}),
        );
        let updates = device.updates(THING);
        Story {
            seed,
            rng: fastrand::Rng::with_seed(seed),
            sandbox,
            shadow,
            device,
            updates,
            net: Model::new(),
            null: Model::new(),
            null_is_known: true,
            app: Model::new(),
            led: Model::new(),
            out: Model::new(),
            hand: Model::new(),
            mix: Model::new(),
            shared: Shared::default(),
            commands: Vec::new(),
            command_files: Vec::new(),
            loses_commands: false,
            count: 0,
            starts: 1,
            rejected: Vec::new(),
            log: Vec::new(),
        }
    }

    pub fn tell(mut self) {
        self.device.start();
        for _ in 0..STEPS {
            match self.rng.u32(0..40) {
                0..=7 => self.desire_net(),
                8..=11 => self.update_app(),
                12..=14 => self.update_led(),
                15..=16 => self.desire_null(),
                17..=19 => self.change_mix(),
                20..=21 => self.change_out(),
                22..=24 => self.command(),
                25 => self.edit_by_hand(),
                26..=27 => self.kill(),
                28..=30 => self.cut(),
                31 => self.delete_sometimes(),
                _ => self.trouble(),
            }
            let pause = self.rng.u64(0..60) * u64::from(self.rng.bool());
            thread::sleep(Duration::from_millis(pause));
        }
        self.say("quiet");
        self.sandbox.clear_shadow_faults();
        self.check();
    }

    fn say(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    fn desire(&mut self, key: &str, desired: Map<String, Value>) {
        let desired = json!({ key: desired, "others": { "count": self.count } });
        self.say(format!("desire {desired}"));
        self.shadow.desire(desired);
    }

    fn desire_net(&mut self) {
        let mut desired = Map::new();
        for _ in 0..self.rng.usize(1..4) {
            let member = ["mode", "address", "list", "port_a", "port_b"][self.rng.usize(0..5)];
            desired.insert(member.to_owned(), tricky(&mut self.rng));
        }
        merge(&mut self.net, &desired);
        self.desire("net", desired);
    }

    fn desire_null(&mut self) {
        let name = ["a", "b", "c"][self.rng.usize(0..3)];
        let desired = member(name, self.next());
        merge(&mut self.null, &desired);
        self.desire("null", desired);
    }

    /// A desired value and a file for one member. One that comes when the other is done with is the
    /// last value.
    fn change_mix(&mut self) {
        let value = self.next();
        let config: Value = serde_json::from_str(&self.device.config("mix")).unwrap_or_default();
        let files = names(&self.updates.join("new"));
        match self.rng.u32(0..3) {
            0 => {
                let desired = member("w", value);
                merge(&mut self.mix, &desired);
                self.desire("mix", desired);
            }
            1 => {
                if !files.iter().any(|name| name.starts_with("mix.")) {
                    self.shared.filed = None;
                }
                self.shared.desired = Some(value);
                self.desire("mix", member("m", value));
            }
            _ => {
                if self
                    .shared
                    .desired
                    .is_some_and(|desired| config["m"] == desired)
                {
                    self.shared.desired = None;
                }
                self.shared.filed = Some(value);
                self.file("mix", &member("m", value).into());
            }
        }
    }

    /// What is desired beyond `outkeys` has no effect.
    fn change_out(&mut self) {
        let value = self.next();
        if self.rng.bool() {
            let mut desired = member(["a", "b"][self.rng.usize(0..2)], value);
            merge(&mut self.out, &desired);
            desired.extend(member("rssi", "no effect"));
            self.desire("out", desired);
        } else {
            let change = member("rssi", value);
            merge(&mut self.out, &change);
            self.file("out", &change.into());
        }
    }

    /// A desired value is often added to another one that is not cleared yet.
    fn command(&mut self) {
        let number = self.next();
        if self.rng.u32(0..4) == 0 {
            self.command_files.push(number);
            self.file("todo", &member(&format!("n{number}"), number).into());
        } else {
            self.commands.push(number);
            self.desire("todo", member(&format!("n{number}"), number));
        }
    }

    fn update_app(&mut self) {
        let mut change = Map::new();
        match self.rng.u32(0..6) {
            0 => change.insert("name".into(), json!("bad")),
            1 => change.insert("cap".into(), json!(self.rng.u8(0..9))),
            2 => change.insert("level".into(), Value::Null),
            _ => change.insert("level".into(), json!(self.rng.u8(..))),
        };
        change.insert("last".into(), json!(self.count));
        let name = self.file("app", &change.clone().into());
        if change.get("name").is_some() {
            self.rejected.push(name);
            return;
        }
        if change.contains_key("cap") {
            change.insert("cap".into(), json!(5));
        }
        merge(&mut self.app, &change);
    }

    fn update_led(&mut self) {
        let color = ["red", "green", "DELETE"][self.rng.usize(0..3)];
        let mut change = Map::new();
        change.insert(format!("{}", self.rng.u8(0..4)), json!(color));
        change.insert("last".into(), json!(self.count));
        self.file("led", &change.clone().into());
        merge(&mut self.led, &change);
    }

    /// Numbers are written with all digits, so that names sort by them.
    fn file(&mut self, key: &str, change: &Value) -> String {
        let name = format!("{key}.{:05}", self.next());
        self.say(format!("file {name}: {change}"));
        drop_file(&self.updates, &name, change.to_string());
        name
    }

    /// A person edits when nothing is going on, and orders a fetch.
    fn edit_by_hand(&mut self) {
        // Before that, SIGHUP ends it.
        let log = self.device.log();
        let runs: Vec<&str> = log.split("using certificate").skip(1).collect();
        let has_begun = |run: &&str| run.contains("connected to");
        let is_up = runs.len() == self.starts && runs.last().is_some_and(has_begun);
        if !is_up || self.wrong_after(A_MOMENT).is_some() {
            return;
        }
        let change = member("h", self.next());
        merge(&mut self.hand, &change);
        let path = self.device.outfile("hand");
        fs::write(&path, Value::from(self.hand.clone()).to_string()).expect("the outfile");
        self.say(format!("edit {change:?}"));
        self.device.signal(Signal::SIGHUP);
        let desired = member("w", self.count);
        merge(&mut self.hand, &desired);
        self.desire("hand", desired);
    }

    fn kill(&mut self) {
        self.say("kill -9");
        self.loses_commands = true;
        self.device.kill();
        self.device.start();
        self.starts += 1;
    }

    fn cut(&mut self) {
        let how = [Cut::Close, Cut::Reset][self.rng.usize(0..2)];
        self.say(format!("cut {how:?}"));
        self.sandbox.cut("device-1", how);
    }

    /// What the cloud alone remembers is lost then.
    fn delete_sometimes(&mut self) {
        let is_there = self.shadow.version().is_some();
        if self.rng.bool() || !is_there || self.wrong_after(A_MOMENT).is_some() {
            return;
        }
        self.say("delete");
        self.shadow.delete().expect("a shadow");
        self.led.clear();
        self.out.remove("rssi");
        // Of a service without an outfile the report remembers what was settled before the start.
        self.null_is_known = false;
        self.sandbox.clear_shadow_faults();
        self.check();
        self.null_is_known = true;
        let null = self.shadow.reported().unwrap_or_default()["null"].clone();
        self.null = null.as_object().cloned().unwrap_or_default();
    }

    fn trouble(&mut self) {
        let seed = self.rng.u64(..);
        let what = match self.rng.u32(0..12) {
            0..=2 => ShadowTrouble::Shuffle(seed),
            3..=4 => ShadowTrouble::StaleDelta(seed),
            5 => ShadowTrouble::Reject([409, 429, 500][self.rng.usize(0..3)]),
            6 => ShadowTrouble::Reject(409),
            7..=8 => ShadowTrouble::Delay(Duration::from_millis(self.rng.u64(1..400))),
            9 => ShadowTrouble::Garble(
                [
                    Garbage::NotJson,
                    Garbage::MembersMissing,
                    Garbage::WrongTypes,
                    Garbage::OtherToken,
                    Garbage::NoToken,
                ][self.rng.usize(0..5)],
            ),
            10 => ShadowTrouble::Withhold,
            _ => ShadowTrouble::Ignore,
        };
        self.say(format!("{what:?}"));
        let times = self.rng.u32(1..4);
        let times = match &what {
            ShadowTrouble::Shuffle(_) => 3 * times,
            ShadowTrouble::Withhold | ShadowTrouble::Ignore | ShadowTrouble::Garble(_) => 1,
            _ => times,
        };
        self.sandbox
            .shadow_fault(ShadowFault::once(what).times(times));
    }

    /// What must hold in the end, by name.
    fn wrong(&self) -> BTreeMap<&'static str, String> {
        let mut wrong = BTreeMap::new();
        let mut expect = |what, holds: bool, found: String| {
            if !holds {
                wrong.insert(what, found);
            }
        };
        let document = self.shadow.document().unwrap_or_default();
        let (reported, desired) = (
            &document["state"]["reported"],
            &document["state"]["desired"],
        );
        let of = |key: &str| reported.get(key).cloned().unwrap_or_else(|| json!({}));
        let mut mix = self.mix.clone();
        let shared = of("mix")["m"].clone();
        if !shared.is_null() {
            mix.insert("m".to_owned(), shared.clone());
        }
        for (key, model) in [
            ("net", &self.net),
            ("null", &self.null),
            ("app", &self.app),
            ("led", &self.led),
            ("out", &self.out),
            ("hand", &self.hand),
            ("mix", &mix),
            ("todo", &Model::new()),
        ] {
            let (found, model) = (of(key), Value::from(model.clone()));
            let found = match key {
                "null" if !self.null_is_known => model.clone(),
                _ => found,
            };
            expect(
                "the last word about every member is reported",
                found == model,
                format!("{key}: {found} instead of {model}"),
            );
            expect(
                "no desired value of ours is left",
                desired.get(key).is_none(),
                desired.to_string(),
            );
        }
        expect(
            "a desired value and a file: the later one, or one of both",
            self.shared.allows(&shared),
            format!(
                "{shared} of {:?} {:?}",
                self.shared.desired, self.shared.filed
            ),
        );
        for key in ["app", "hand", "mix"] {
            let text = self.device.config(key);
            let config = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
            expect("the outfile is what is reported", config == of(key), text);
        }
        let net = shell(&of("net"));
        expect(
            "net.conf is what is reported",
            self.device.config("net") == net,
            format!("{} instead of {net}", self.device.config("net")),
        );
        for key in ["net", "app", "mix", "out"] {
            let seen = self.device.notified(key).pop().unwrap_or_default();
            let config = self.device.config(key).replace('\n', "");
            expect(
                "the last notification came after the last change",
                seen == config,
                format!("{key}: {seen}"),
            );
        }
        let carried_out = self.device.notified("todo").concat();
        let times = |number: &u32| carried_out.matches(&format!("\"n{number}\":")).count();
        expect(
            "no desired command is carried out twice",
            self.commands.iter().all(|number| times(number) < 2),
            carried_out.clone(),
        );
        let least = if self.loses_commands { 0 } else { 1 };
        expect(
            "no desired command is lost without a kill",
            self.commands.iter().all(|number| times(number) >= least),
            format!("{:?}: {carried_out}", self.commands),
        );
        expect(
            "no command of a file is lost",
            self.command_files.iter().all(|number| times(number) >= 1),
            carried_out.clone(),
        );
        let waiting = names(&self.updates.join("new"));
        expect("new/ is empty", waiting.is_empty(), format!("{waiting:?}"));
        let failed = names(&self.updates.join("failed"));
        let kept = self.rejected.len().min(10);
        let last: Vec<_> = self.rejected[self.rejected.len() - kept..].to_vec();
        expect(
            "failed/ holds what was rejected",
            failed == last,
            format!("{failed:?} {last:?}"),
        );
        wrong
    }

    /// What is still wrong after that time, if it has not come right before.
    fn wrong_after(&self, limit: Duration) -> Option<BTreeMap<&'static str, String>> {
        let until = Instant::now() + limit;
        loop {
            let wrong = self.wrong();
            if wrong.is_empty() {
                return None;
            }
            if Instant::now() > until {
                return Some(wrong);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn check(&self) {
        if let Some(wrong) = self.wrong_after(QUIET) {
            panic!(
                "seed {}: {wrong:#?}\nthe story:\n{}",
                self.seed,
                self.log.join("\n")
            );
        }
    }
}
