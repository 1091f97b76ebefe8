//! The shells, in a directory of their own, where nothing can be run unnoticed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::rendered;

/// A shell and how it is started.
pub struct Shell {
    /// The program and its arguments.
    pub command: Vec<PathBuf>,
    /// Whether it knows arrays.
    pub arrays: bool,
    locale: &'static str,
}

impl Shell {
    /// Those that are installed. `bash` also as `sh`, and in two locales.
    pub fn all() -> Vec<Shell> {
        let wanted = [
            ("dash", "", "C"),
            ("bash", "", "C"),
            ("bash", "", "C.UTF-8"),
            ("bash", "--posix", "C.UTF-8"),
            ("busybox", "sh", "C.UTF-8"),
        ];
        wanted
            .iter()
            .filter_map(|(name, argument, locale)| Shell::new(name, argument, locale))
            .collect()
    }

    pub fn bash() -> Vec<Shell> {
        Shell::all()
            .into_iter()
            .filter(|shell| shell.arrays)
            .collect()
    }

    fn new(name: &str, argument: &str, locale: &'static str) -> Option<Shell> {
        let Some(program) = program(name) else {
            eprintln!("skipped: {name} is not installed (apt install {name})");
            return None;
        };
        let mut command = vec![program];
        command.extend((!argument.is_empty()).then(|| argument.into()));
        Some(Shell {
            command,
            arrays: name == "bash",
            locale,
        })
    }

    /// Runs `script` beside `files`, where every program that it could find leaves a trace.
    /// Nothing of it may, and nothing may be said on standard error.
    pub fn run(&self, files: &[(&str, &[u8])], script: &str) -> Vec<u8> {
        let dir = TempDir::new().expect("a directory");
        for (name, contents) in files {
            fs::write(dir.path().join(name), contents).expect("a file");
        }
        let output = self.output(dir.path(), script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{:?}: {said}",
            self.command
        );
        let left = fs::read_dir(dir.path()).expect("the directory").count();
        assert_eq!(left, files.len(), "{:?} ran something", self.command);
        output.stdout
    }

    fn output(&self, dir: &Path, script: &str) -> Output {
        let traps = traps(dir);
        let scripts = TempDir::new().expect("a directory");
        let file = scripts.path().join("script");
        fs::write(&file, script).expect("the script");
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(file).current_dir(dir);
        command
            .env_clear()
            .env("PATH", traps.path())
            .env("LC_ALL", self.locale);
        command.output().expect("the shell")
    }

    /// The variables after the file that holds them was sourced.
    pub fn source(&self, members: &Map<String, Value>) -> Vec<String> {
        let values: String = members.keys().map(|name| format!(" \"${name}\"")).collect();
        let before = "before=$PATH$IFS; . ./file; [ \"$before\" = \"$PATH$IFS\" ] || exit 1\n";
        let script = format!("set -eu; {before}printf '%s\\000' {values}\n");
        strings(&self.run(&[("file", &rendered(members).bytes)], &script))
    }

    /// The arrays after the file that holds them was sourced, as `show` prints them.
    pub fn source_arrays(&self, members: &Map<String, Value>) -> Vec<String> {
        let show: String = members.keys().map(|name| self.show(name)).collect();
        let file = rendered(members).bytes;
        strings(&self.run(&[("file", &file)], &format!(". ./file; {show}")))
    }

    /// Prints how many values a variable has, and they.
    pub fn show(&self, name: &str) -> String {
        if self.arrays {
            return format!("printf '%s\\000' \"${{#{name}[@]}}\" \"${{{name}[@]}}\";\n");
        }
        let (set, unset) = (format!("printf '%s\\000' 1 \"${name}\""), "printf '0\\000'");
        format!("if [ \"${{{name}+set}}\" ]; then {set}; else {unset}; fi;\n")
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/busybox/bin");
    let mut places = std::env::split_paths(&path).chain([built]);
    places.find_map(|dir| Some(dir.join(name)).filter(|program| program.is_file()))
}

/// Programs that leave a trace in `dir`.
fn traps(dir: &Path) -> TempDir {
    let traps = TempDir::new().expect("a directory");
    let trap = format!("#!/bin/sh\n: > '{}/canary'\n", dir.display());
    for name in ["reboot", "x", "a", "b", "ls", "touch", "sh", "-n", "-e"] {
        let program = traps.path().join(name);
        fs::write(&program, &trap).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    traps
}

/// What ends with a NUL each.
pub fn strings(output: &[u8]) -> Vec<String> {
    let ended = output.split_inclusive(|byte| *byte == 0);
    ended
        .map(|text| String::from_utf8_lossy(&text[..text.len() - 1]).into_owned())
        .collect()
}
