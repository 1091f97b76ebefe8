//! Pure: which variables a file may set.

/// What these say is run, or decides what is run and how: the programs and directories that names
/// mean, the files that are read or written without being asked for, the code that prompts and mail
/// notices expand, how words are split, when `read` and functions give up.
const DECIDE_WHAT_RUNS: [&str; 29] = [
    "CDPATH",
    "EDITOR",
    "ENV",
    "EXECIGNORE",
    "EXECSHELL",
    "FCEDIT",
    "FPATH",
    "FUNCNEST",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HISTFILE",
    "HOME",
    "IFS",
    "INPUTRC",
    "MAILPATH",
    "OLDPWD",
    "PATH",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PWD",
    "SHELL",
    "TMOUT",
    "VISUAL",
];

/// Shells refuse these, end the script that sources them, or do not give back what was set. `bash`
/// reads some of them as arithmetic, which runs `a[$(reboot)]`.
const BELONG_TO_SHELLS: [&str; 19] = [
    "BASHOPTS",
    "BASHPID",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "_",
];

/// All of `bash`'s own, some as bad as `BASH_ENV`, and all of the dynamic linker's.
const PREFIXES: [&str; 2] = ["BASH_", "LD_"];

/// Why no file sets this variable, or `None` when it may.
pub fn unusable(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        return Some("not a valid name of a shell variable");
    }
    if BELONG_TO_SHELLS.contains(&name) {
        return Some("shells keep this variable for themselves");
    }
    let decides =
        DECIDE_WHAT_RUNS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    decides.then_some("this variable decides what a shell runs")
}

/// Whether it is what POSIX calls a name.
pub fn is_name(text: &str) -> bool {
    text.bytes().all(in_name)
        && text
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

/// Whether a name can hold this byte, though perhaps not begin with it.
pub fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
