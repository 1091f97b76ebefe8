//! Convergence: whatever happens to the connection, the answers and the process, in the end the
//! cloud and the device hold the same, and it is what was asked for last. One seed tells one story:
//! `CONVERGE_SEED=7` tells a single one again, `CONVERGE_SEEDS=500` tells more of them.

mod common;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use common::services::THING;
use common::{Device, drop_file, names, sandbox};
use iotcore_sandbox::{Cut, Garbage, Sandbox, Shadow, ShadowFault, ShadowTrouble};
use serde_json::{Map, Value, json};

/// A story ends well within this, or not at all.
const QUIET: Duration = Duration::from_secs(90);
const STORIES_AT_A_TIME: usize = 8;

#[test]
fn both_sides_agree_in_the_end_whatever_happened() {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("CONVERGE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CONVERGE_SEEDS").unwrap_or(24)).collect(),
    };
    for some in seeds.chunks(STORIES_AT_A_TIME) {
        thread::scope(|scope| {
            for seed in some {
                scope.spawn(move || {
                    let told = thread::Builder::new().name(format!("seed {seed}"));
                    let story = told.spawn_scoped(scope, || Story::new(*seed).tell());
                    story.expect("a thread");
                });
            }
        });
    }
}

/// What the last word about each member of a key is.
type Model = Map<String, Value>;

struct Story {
    seed: u64,
    rng: fastrand::Rng,
    sandbox: Sandbox,
    shadow: Shadow,
    device: Device,
    updates: PathBuf,
    /// Wished by the operator alone.
    net: Model,
    /// Updated by files alone, through a service with validation.
    app: Model,
    /// Updated by files alone, without a service.
    led: Model,
    files: u32,
    rejected: Vec<String>,
    log: Vec<String>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let sandbox = sandbox();
        let shadow = sandbox.shadow(THING);
        let mut device = Device::new(&sandbox);
        device.option("--connect-attempts", 0);
        device.service("net", json!({"outformat": "SHELL"}));
        device.service(
            "app",
            json!({"validatecmd": "c=$(cat); case $c in *bad*) exit 1;; esac; printf %s \"$c\" | sed 's/\"cap\":[0-9]*/\"cap\":5/'"}),
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
            app: Model::new(),
            led: Model::new(),
            files: 0,
            rejected: Vec::new(),
            log: Vec::new(),
        }
    }

    fn tell(mut self) {
        self.device.start();
        for _ in 0..60 {
            match self.rng.u32(0..20) {
                0..=6 => self.wish(),
                7..=10 => self.update_app(),
                11..=13 => self.update_led(),
                14 => self.kill(),
                15..=16 => self.cut(),
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

    fn wish(&mut self) {
        let mut wish = Map::new();
        for _ in 0..self.rng.usize(1..4) {
            let member = ["mode", "address", "list", "port_a", "port_b"][self.rng.usize(0..5)];
            let value = tricky(&mut self.rng);
            wish.insert(member.to_owned(), value);
        }
        merge(&mut self.net, &wish);
        let wish = json!({ "net": wish, "others": { "count": self.files } });
        self.say(format!("wish {wish}"));
        self.shadow.desire(wish);
    }

    fn update_app(&mut self) {
        let mut change = Map::new();
        match self.rng.u32(0..6) {
            0 => change.insert("name".into(), json!("bad")),
            1 => change.insert("cap".into(), json!(self.rng.u8(0..9))),
            2 => change.insert("level".into(), Value::Null),
            _ => change.insert("level".into(), json!(self.rng.u8(..))),
        };
        change.insert("last".into(), json!(self.files));
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
        change.insert("last".into(), json!(self.files));
        self.file("led", &change.clone().into());
        merge(&mut self.led, &change);
    }

    /// Numbers are written with all digits, so that names sort by them.
    fn file(&mut self, key: &str, change: &Value) -> String {
        self.files += 1;
        let name = format!("{key}.{:05}", self.files);
        self.say(format!("file {name}: {change}"));
        drop_file(&self.updates, &name, change.to_string());
        name
    }

    fn kill(&mut self) {
        self.say("kill -9");
        self.device.kill();
        self.device.start();
    }

    fn cut(&mut self) {
        let how = [Cut::Close, Cut::Reset][self.rng.usize(0..2)];
        self.say(format!("cut {how:?}"));
        self.sandbox.cut("device-1", how);
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
        for (key, model) in [("net", &self.net), ("app", &self.app), ("led", &self.led)] {
            let found = of(key);
            expect(
                "the last word about every member is reported",
                found == kept(model),
                format!("{key}: {found} instead of {}", kept(model)),
            );
            expect(
                "no wish of ours is left",
                desired.get(key).is_none(),
                desired.to_string(),
            );
        }
        let app = serde_json::from_str(&self.device.config("app")).unwrap_or_else(|_| json!({}));
        expect(
            "app.conf is what is reported",
            app == of("app"),
            self.device.config("app"),
        );
        let net = shell(&of("net"));
        expect(
            "net.conf is what is reported",
            self.device.config("net") == net,
            format!("{} instead of {net}", self.device.config("net")),
        );
        for key in ["net", "app"] {
            let seen = self.device.notified(key).pop().unwrap_or_default();
            let config = self.device.config(key).replace('\n', "");
            expect(
                "the last notification came after the last change",
                seen == config,
                seen,
            );
        }
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

    fn check(&mut self) {
        let until = Instant::now() + QUIET;
        while !self.wrong().is_empty() {
            assert!(
                Instant::now() < until,
                "seed {}: {:#?}\nthe story:\n{}",
                self.seed,
                self.wrong(),
                self.log.join("\n")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn merge(model: &mut Model, change: &Map<String, Value>) {
    for (member, value) in change {
        if value.is_null() || value == "DELETE" {
            model.remove(member);
        } else {
            model.insert(member.clone(), value.clone());
        }
    }
}

/// What the cloud keeps.
fn kept(model: &Model) -> Value {
    model.clone().into()
}

/// Values that are easily mistaken for others.
fn tricky(rng: &mut fastrand::Rng) -> Value {
    match rng.u32(0..10) {
        0 => json!("007"),
        1 => json!("true"),
        2 => json!(true),
        3 => json!("1e3"),
        4 => json!("it's $(reboot) `reboot` ;"),
        5 => json!([1, "two", false]),
        6 => json!([]),
        7 => json!("DELETE"),
        8 => json!(""),
        _ => json!(rng.u32(..1000)),
    }
}

/// A second reading of the SHELL format, for the values above.
fn shell(config: &Value) -> String {
    let quoted = |value: &Value| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("'{}'", text.replace('\'', "'\\''"))
    };
    let members = config.as_object().expect("an object").iter();
    let mut lines: Vec<String> = members
        .map(|(name, value)| match value.as_array() {
            Some(items) => {
                let items: Vec<String> = items.iter().map(quoted).collect();
                format!("{name}=({})", items.join(" "))
            }
            None => format!("{name}={}", quoted(value)),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}
