//! SHELL files under the shells themselves: dash, bash and BusyBox read back exactly what was
//! written and run none of it; and what this program reads is what they would have read.
//! What is not installed is skipped with a line about it.

mod reading;
mod shells;

use chariotd::format::{Format, Rendered};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use shells::Shell;

/// Everything random comes from here. A failure shows the value itself.
const SEED: u64 = 42;

const PIECES: [&str; 40] = [
    "'",
    "''",
    "'\\''",
    "\\'",
    "\\",
    "\\\\",
    "\"",
    "`",
    "`reboot`",
    "$(reboot)",
    "${PATH}",
    "$PATH",
    "$$",
    "$'\\n'",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    ";",
    ";reboot",
    "; reboot #",
    "&& reboot",
    "| reboot",
    "& reboot",
    "> canary",
    "<(reboot)",
    "(",
    ")",
    "{a,b}",
    "*",
    "~",
    "#",
    "!!",
    "-n",
    "é",
    "\u{81}\u{88}",
    "☃😀",
    "[0]=x",
];

const VALUES: [&str; 26] = [
    "",
    "x",
    "it's",
    "'",
    "'; reboot; '",
    "\\'; reboot; \\'",
    "'\\''; reboot; '\\''",
    "$(: > canary)",
    "`: > canary`",
    "\n: > canary\n",
    "'\n: > canary\n'",
    "a[$(: > canary)]",
    "-e",
    "--",
    "-n x",
    "%s\\n\\0",
    "\\n\\t\\0101",
    "~",
    "~root",
    "*",
    "/*",
    "a\nb\n",
    "\n",
    " ",
    "\u{1}\u{7f}\u{1b}[2J",
    "\u{81}\u{84}\u{a0}\u{fffd}\u{feff}",
];

/// Valid names that look as if they were not, or mean something to a shell or another language.
const NAMES: [&str; 20] = [
    "if",
    "then",
    "done",
    "in",
    "function",
    "time",
    "select",
    "export",
    "eval",
    "set",
    "exit",
    "__proto__",
    "constructor",
    "__",
    "_a",
    "a_",
    "A9",
    "path",
    "HOSTNAME",
    "LC_ALL",
];

/// What no shell could take as a name, or what would change what the shell runs.
const NEVER_SET: [&str; 22] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "PS1",
    "PS4",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "LD_PRELOAD",
    "UID",
    "RANDOM",
    "HISTCMD",
    "OPTIND",
    "HOME",
    "a;reboot",
    "a b",
    "a-b",
    "1a",
    "",
    "a\n: > canary\nb",
    "$(: > canary)",
    "é",
];

fn rendered(members: &Map<String, Value>) -> Rendered {
    Format::Shell
        .render(&Value::Object(members.clone()))
        .expect("renders")
}

fn lines(members: &Map<String, Value>) -> String {
    String::from_utf8(rendered(members).bytes).expect("UTF-8")
}

fn random(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.usize(0..12) {
        match rng.u8(0..4) {
            0 => text.push(rng.char('\u{1}'..'\u{80}')),
            1 => text.push(rng.char('\u{80}'..)),
            _ => text.push_str(PIECES[rng.usize(..PIECES.len())]),
        }
    }
    text
}

fn hostile_values() -> Vec<String> {
    let rng = &mut Rng::with_seed(SEED);
    let mut values: Vec<String> = VALUES.iter().map(|value| (*value).to_owned()).collect();
    values.push("'\\\n$`".repeat(20_000));
    values.extend((1..128).map(|byte| format!("{0}x{0}", char::from(byte))));
    values.extend((0..1000).map(|_| random(rng)));
    values
}

#[test]
fn every_shell_reads_back_every_value_exactly_and_runs_nothing() {
    let values = hostile_values().into_iter().enumerate();
    let members: Map<String, Value> = values
        .map(|(n, value)| (format!("v{n}"), value.into()))
        .collect();
    let values: Vec<&Value> = members.values().collect();
    for shell in Shell::all() {
        let read = shell.source(&members);
        assert_eq!(read.len(), values.len());
        for (read, value) in read.iter().zip(&values) {
            assert_eq!(read, *value, "{:?}", shell.command);
        }
    }
}

#[test]
fn bash_reads_back_every_array_exactly_and_runs_nothing() {
    let values = hostile_values();
    let arrays = [&[], &values[..1], &values[..2], &values[..]]
        .map(|items| json!(items))
        .into_iter();
    let arrays = arrays
        .chain(values.chunks(3).map(|items| json!(items)))
        .enumerate();
    let members: Map<String, Value> = arrays.map(|(n, items)| (format!("v{n}"), items)).collect();
    let expected: Vec<String> = members.values().flat_map(counted).collect();
    for shell in Shell::bash() {
        assert_eq!(shell.source_arrays(&members), expected);
    }
}

/// An array as a shell prints it: the number of its elements, and they.
fn counted(items: &Value) -> Vec<String> {
    let items = items.as_array().expect("an array");
    let texts = items.iter().map(text);
    [items.len().to_string()].into_iter().chain(texts).collect()
}

#[test]
fn a_name_is_set_exactly_or_left_out_with_a_warning() {
    let member = |name: &&str| ((*name).to_owned(), json!("C"));
    let good: Map<String, Value> = NAMES.iter().map(member).collect();
    let bad = NEVER_SET.iter().map(member);
    let all: Map<String, Value> = bad.chain(good.clone()).collect();
    assert_eq!(lines(&all), lines(&good));
    assert_eq!(rendered(&all).warnings.len(), 21);
    for shell in Shell::all() {
        let read = shell.source(&good);
        assert!(
            read.len() == good.len() && read.iter().all(|value| value == "C"),
            "{read:?}"
        );
    }
}

#[test]
fn every_variable_that_a_shell_has_of_its_own_is_left_out_or_read_back_exactly() {
    let shells = Shell::all();
    for value in ["a[$(: > canary)]", "17", "x y"] {
        let own = shells
            .iter()
            .flat_map(own_variables)
            .map(|name| (name, json!(value)));
        let members = read_back(&own.collect());
        assert!(!members.is_empty());
        for shell in &shells {
            let read = shell.source(&members);
            assert!(
                read.iter().all(|read| read == value),
                "{:?} {read:?} {members:?}",
                shell.command
            );
        }
        let arrays: Map<String, Value> = members
            .keys()
            .map(|name| (name.clone(), json!([value])))
            .collect();
        let expected: Vec<String> = arrays.values().flat_map(counted).collect();
        for shell in shells.iter().filter(|shell| shell.arrays) {
            assert_eq!(shell.source_arrays(&arrays), expected);
        }
    }
}

/// What a shell has set when it starts, and what its manual says it would obey.
fn own_variables(shell: &Shell) -> Vec<String> {
    const OBEYED: &str = "BASH_COMPAT BASH_XTRACEFD CHILD_MAX COLUMNS COMPREPLY COPROC ENV FCEDIT FIGNORE \
        FUNCNEST HISTCONTROL HISTFILE HISTFILESIZE HISTIGNORE HISTSIZE HISTTIMEFORMAT HOSTFILE IGNOREEOF INPUTRC \
        LINES MAIL MAILCHECK MAILPATH MAPFILE NLSPATH OPTARG PIPESTATUS POSIXLY_CORRECT PS0 READLINE_LINE REPLY \
        SECONDS SRANDOM TIMEFORMAT TMOUT TMPDIR TZ auto_resume histchars";
    let output = shell.run(&[], "compgen -v 2> /dev/null || set");
    let set = String::from_utf8_lossy(&output).into_owned();
    let set = set.lines().filter_map(|line| line.split('=').next());
    let names = set.chain(OBEYED.split_whitespace());
    // bash says on standard error that there is no such locale, and reads back what was set.
    names
        .filter(|name| !name.starts_with("LC_"))
        .map(str::to_owned)
        .collect()
}

/// Those that are not left out.
fn read_back(members: &Map<String, Value>) -> Map<String, Value> {
    let kept = members.iter().filter(|(name, value)| {
        let alone = [((*name).clone(), (*value).clone())].into_iter().collect();
        rendered(&alone).warnings.is_empty()
    });
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[test]
fn a_script_that_is_traced_and_exports_everything_runs_nothing_either() {
    let names = NEVER_SET
        .iter()
        .chain(&NAMES)
        .filter(|name| !name.starts_with("LC_"));
    let members: Map<String, Value> = names
        .map(|name| ((*name).to_owned(), json!("$(: > canary)`: > canary`")))
        .collect();
    let file = rendered(&members).bytes;
    for shell in Shell::all() {
        let again = shell
            .command
            .iter()
            .map(|word| word.display().to_string())
            .collect::<Vec<_>>()
            .join(" ");
        let script = format!(
            "exec 2> /dev/null\nset -a\n. ./file\nset -x\n: traced\n{again} -c ': traced'\n"
        );
        shell.run(&[("file", &file)], &script);
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
