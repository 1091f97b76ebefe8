//! A small file system that can be full or read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until it is dropped.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None`, with a line about it, where this user may not mount anything.
    pub fn mount(dir: &Path, size: &str) -> Option<Tmpfs> {
        fs::create_dir_all(dir).expect("a mount point");
        let options = format!("size={size}");
        let mounted = run(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], dir);
        if !mounted {
            eprintln!("skipped: only root can mount a file system");
        }
        mounted.then(|| Tmpfs(dir.to_owned()))
    }

    /// The same with a single file over another one, as containers do it.
    pub fn bind(file: &Path, over: &Path) -> Option<Tmpfs> {
        let file = file.to_str().expect("a path");
        let mounted = run(&["mount", "--bind", file], over);
        if !mounted {
            eprintln!("skipped: only root can mount a file");
        }
        mounted.then(|| Tmpfs(over.to_owned()))
    }

    /// Leaves no room for anything.
    pub fn fill(&self) {
        let _ = fs::write(self.0.join("ballast"), vec![0; 16 << 20]);
    }

    pub fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }

    pub fn read_only(&self, read_only: bool) {
        let options = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        assert!(run(&["mount", "-o", options], &self.0), "{options}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run(&["umount", "-l"], &self.0);
    }
}

fn run(command: &[&str], dir: &Path) -> bool {
    let mut words = command.iter();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).arg(dir).output();
    output.is_ok_and(|output| output.status.success())
}
