//! Where and when was measured, for a report that others can compare with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::Setup;

/// One line for each fact, in Markdown. What cannot be found out is left out.
pub fn facts(setup: &Setup) -> String {
    let facts = [
        ("Date", command("date", &["-u", "+%F"])),
        ("chariotd", command(&setup.program, &["--version"])),
        ("Broker", command("mosquitto", &["-h"])),
        ("Processor", processor()),
        ("Memory", memory()),
        ("Kernel", kernel()),
        ("File system", file_system(&setup.place)),
    ];
    let lines = facts
        .into_iter()
        .filter_map(|(name, fact)| Some(format!("- {name}: {}\n", fact?)));
    lines.collect()
}

/// The first line that it prints.
fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.env("PATH", crate::broker::PATH).args(arguments);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = thread::available_parallelism().map_or(0, usize::from);
    Some(format!("{}, {cores} cores", model.unwrap_or_default()))
}

fn memory() -> Option<String> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.split_whitespace().nth(1)?.parse::<f64>().ok()?;
    Some(format!("{:.0} GiB", kib / 1024.0 / 1024.0))
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!(
        "Linux {}, {}",
        release.trim(),
        std::env::consts::ARCH
    ))
}

/// Of the mount that the directory is on.
fn file_system(place: &Path) -> Option<String> {
    mount(&fs::read_to_string("/proc/mounts").ok()?, place)
}

/// The longest of the mount points above the path.
fn mount(mounts: &str, place: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?, words.next()?, words.next()?))
    });
    let (_, kind, options) = mounts
        .filter(|(point, ..)| place.starts_with(point))
        .max_by_key(|(point, ..)| point.len())?;
    Some(format!("{kind} ({options})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_innermost_mount() {
        let mounts = "/dev/vda / ext4 rw,relatime 0 0\ntmpfs /var/tmp tmpfs rw 0 0\ntmpfs /var/tm tmpfs ro 0 0\n";
        let on = |path| mount(mounts, Path::new(path));
        assert_eq!(on("/home/a").as_deref(), Some("ext4 (rw,relatime)"));
        assert_eq!(on("/var/tmp/a").as_deref(), Some("tmpfs (rw)"));
    }
}
