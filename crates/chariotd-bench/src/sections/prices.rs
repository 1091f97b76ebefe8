//! What each step of a promise costs on this disk: the parts that durable things are made of.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::files;
use crate::numbers::{Spread, short};
use crate::report::{Of, Section};

/// A step, done once in a directory with a number for the name of its file.
type Step = fn(&Path, usize) -> Result<()>;

const STEPS: [(&str, Step); 7] = [
    ("open and read a message file", |dir, number| {
        fs::read(dir.join("full").join(files::name(number)))?;
        Ok(())
    }),
    ("remove a message file", |dir, number| {
        Ok(fs::remove_file(dir.join("full").join(files::name(number)))?)
    }),
    ("replace a file, nothing synced", |dir, _| {
        files::replace(&dir.join("a"), &files::payload(), false, false)
    }),
    ("replace a file, synced", |dir, _| {
        files::replace(&dir.join("a"), &files::payload(), true, false)
    }),
    ("replace a file, synced with its directory", |dir, _| {
        files::replace(&dir.join("a"), &files::payload(), true, true)
    }),
    ("append a line to a file, synced", |dir, _| {
        let mut options = File::options();
        let mut file = options.create(true).append(true).open(dir.join("b"))?;
        file.write_all(b"a line\n")?;
        Ok(file.sync_all()?)
    }),
    ("sh -c true", |_, _| {
        Command::new("sh").args(["-c", "true"]).status()?;
        Ok(())
    }),
];

pub fn run(setup: &Setup, _broker: &Broker) -> Result<Section> {
    let columns = ["what", "p50 ms", "p99 ms"];
    let mut section = Section::new("prices", "The prices of single steps", "ms, p50", &columns);
    let dir = setup.directory()?;
    let count = setup.size(500, 20);
    for number in 0..count {
        fs::create_dir_all(dir.path().join("full"))?;
        fs::write(
            dir.path().join("full").join(files::name(number)),
            files::message("bench"),
        )?;
    }
    for (what, step) in STEPS {
        let mut times = Vec::new();
        for number in 0..count {
            let start = Instant::now();
            step(dir.path(), number)?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        let spread = Spread::of(times);
        section.row(&[&what, &short(spread.p50), &short(spread.p99)]);
        section.bar(Of::Other, what, spread.p50);
    }
    section.note(format!("{count} times each, one after the other."));
    Ok(section)
}
