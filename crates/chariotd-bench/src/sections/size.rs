//! The program's file, and what is in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Setup;
use crate::broker::Broker;
use crate::numbers::ratio;
use crate::report::{Count, Of, Section};

/// As many crates as are worth a line.
const CRATES: usize = 16;
const TARGET: &str = "x86_64-unknown-linux-musl";

pub fn run(setup: &Setup, _broker: &Broker) -> Result<Section> {
    let columns = ["what", "bytes", "of the binary"];
    let mut section = Section::new("size", "The static binary", "bytes", &columns);
    let all = bytes(&setup.program).context("the binary")?;
    let mut line = |what: String, of, bytes: u64| {
        section.row(&[&what, &bytes, &ratio(bytes as f64, all as f64)]);
        section.bar(of, what, bytes as f64);
    };
    line("with everything".into(), Of::Daemon, all);
    let smaller = bytes(&setup.smaller);
    if let Some(bytes) = smaller {
        line("without JavaScript and RSA".into(), Of::Daemon, bytes);
    }
    let crates = if setup.crates { crates() } else { None };
    for (name, bytes) in crates.iter().flatten().take(CRATES) {
        line(format!("code of {name}"), Of::Other, *bytes);
    }
    if smaller.is_none() {
        section.note(format!(
            "There is no {}, so the smaller build was left out.",
            setup.smaller.display()
        ));
    }
    section.note(match crates {
        Some(_) => "Code of each crate by cargo-bloat, which counts generic code for the crate that uses it.",
        None => "The share of each crate was left out: it takes `--crates`, cargo-bloat and some minutes.",
    });
    section.count = Some(Count::Bytes(all));
    Ok(section)
}

fn bytes(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.len())
}

/// By size, the largest first; `None` where cargo-bloat is not installed.
fn crates() -> Option<Vec<(String, u64)>> {
    let output = Command::new("cargo")
        .args([
            "bloat",
            "--release",
            "--crates",
            "-n",
            "0",
            "--message-format",
            "json",
        ])
        .args([
            "--bin",
            "chariotd",
            "--target",
            TARGET,
            "--target-dir",
            "target/bloat",
        ])
        // It needs the symbols that a release has no more.
        .env("CARGO_PROFILE_RELEASE_STRIP", "false")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    listed(&serde_json::from_slice(&output.stdout).ok()?)
}

fn listed(report: &Value) -> Option<Vec<(String, u64)>> {
    let crates = report.get("crates")?.as_array()?.iter();
    let mut crates: Vec<_> = crates
        .filter_map(|one| Some((one["name"].as_str()?.to_owned(), one["size"].as_u64()?)))
        .collect();
    crates.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    Some(crates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn crates_are_listed_by_their_size() {
        let report = json!({"crates": [{"name": "a", "size": 1}, {"name": "b", "size": 2}]});
        let expected = vec![("b".to_owned(), 2), ("a".to_owned(), 1)];
        assert_eq!(listed(&report), Some(expected));
        assert_eq!(listed(&json!({})), None);
    }
}
