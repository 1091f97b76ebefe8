//! A child process with a deadline: its output is bounded, its whole process group is killed when
//! the time is over, and what it says goes to the log.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use log::info;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// So much of what a command says is logged.
const MOST_SAID: usize = 8 * 1024;
/// How long a command's output may stay open after its end: something that it started in the
/// background may hold it for ever.
const AFTERWARDS: Duration = Duration::from_millis(100);

const NULL: &str = "/dev/null";

/// What a supervisor says to its own child alone, and grandchildren must not answer.
pub const SUPERVISION: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A command to run in `/`, with nothing on its standard input unless [`ChildCommand::stdin`] says so.
#[derive(Debug)]
pub struct ChildCommand {
    /// What it is called in the log and in errors.
    label: String,
    command: Command,
    stdin: Vec<u8>,
    limit: Duration,
}

/// A program without a shell and without arguments.
pub fn program(path: &Path, limit: Duration) -> ChildCommand {
    task(path.display().to_string(), command(path), limit)
}

/// A line of a configuration file through `sh -c`. Nothing from the cloud may ever be in it.
pub fn shell(label: &str, line: &str, limit: Duration) -> ChildCommand {
    let mut command = command(Path::new("/bin/sh"));
    command.arg("-c").arg(line);
    task(label.to_owned(), command, limit)
}

/// What every child begins with: in `/`, without input, in a process group of its own, and without
/// the supervisor's variables.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in SUPERVISION {
        command.env_remove(name);
    }
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Starts a child of [`command`]. A machine without `/dev/null` is named: what the system says of it
/// sounds as if the program were missing.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    command
        .spawn()
        .map_err(|error| named(error, Path::new(NULL)))
}

fn named(error: io::Error, null: &Path) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound && !null.exists() {
        let why = format!(
            "there is no {}, which every command needs: make it with 'mknod -m 666 {} c 1 3', or mount devtmpfs on /dev",
            null.display(),
            null.display()
        );
        return io::Error::new(error.kind(), why);
    }
    error
}

/// Signals the process group of a child of [`command`]. Nobody, when the child has been waited for.
pub fn signal(child: &Child, signal: Signal) {
    if let Some(group) = group(child) {
        // An error means that no process of the group is left.
        let _ = killpg(group, signal);
    }
}

fn group(child: &Child) -> Option<Pid> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    id.map(Pid::from_raw)
}

fn task(label: String, mut command: Command, limit: Duration) -> ChildCommand {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ChildCommand {
        label,
        command,
        stdin: Vec::new(),
        limit,
    }
}

impl ChildCommand {
    /// Adds arguments, each as it is.
    pub fn arguments(mut self, arguments: &[String]) -> ChildCommand {
        self.command.args(arguments);
        self
    }

    /// Adds a variable to the environment.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> ChildCommand {
        self.command.env(name, value);
        self
    }

    /// What it may read. A command that does not read it is not to blame.
    pub fn stdin(mut self, contents: Vec<u8>) -> ChildCommand {
        self.stdin = contents;
        self.command.stdin(Stdio::piped());
        self
    }

    /// Runs it and returns what it wrote to stdout.
    ///
    /// # Errors
    /// It cannot be started, does not end within its limit, ends with a failure, or writes more
    /// than `most` bytes. However this ends, its process group is gone afterwards.
    pub async fn output(mut self, most: u64) -> Result<Vec<u8>> {
        self.command.kill_on_drop(true);
        let mut child = self.start()?;
        let group = Group::of(&child);
        let finished = timeout(self.limit, self.finish(&mut child, most)).await;
        drop(group);
        finished.unwrap_or_else(|_| Err(self.overdue()))
    }

    fn start(&mut self) -> Result<Child> {
        spawn(&mut self.command).with_context(|| format!("cannot start {}", self.label))
    }

    fn overdue(&self) -> anyhow::Error {
        anyhow!(
            "{} did not end within {} s and was killed",
            self.label,
            self.limit.as_secs_f64()
        )
    }

    async fn finish(&self, child: &mut Child, most: u64) -> Result<Vec<u8>> {
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut said = Vec::new();
        let (_, read, _) = tokio::join!(
            fed(stdin, &self.stdin),
            bounded(stdout, most),
            drained(stderr, &mut said)
        );
        self.log(&said);
        let (contents, cut) = read.with_context(|| format!("cannot read from {}", self.label))?;
        if cut {
            bail!("{} printed more than {most} bytes", self.label);
        }
        let status = self.wait(child).await?;
        if !status.success() {
            bail!("{} failed: {status}", self.label);
        }
        Ok(contents)
    }

    async fn wait(&self, child: &mut Child) -> Result<ExitStatus> {
        let status = child.wait().await;
        status.with_context(|| format!("cannot wait for {}", self.label))
    }

    /// Runs it and logs what it says. What it leaves running in the background is left alone, and
    /// so is the command itself when this is dropped: it ends then when it says more.
    ///
    /// # Errors
    /// It cannot be started, or did not end within its limit: its process group is killed then.
    pub async fn run(mut self) -> Result<ExitStatus> {
        let mut child = self.start()?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = timeout(self.limit, self.accompany(&mut child, &mut out, &mut err)).await;
        if ended.is_err() {
            drop(Group::of(&child));
            let _ = child.wait().await;
        }
        self.log(&out);
        self.log(&err);
        ended.unwrap_or_else(|_| Err(self.overdue()))
    }

    async fn accompany(
        &self,
        child: &mut Child,
        out: &mut Vec<u8>,
        err: &mut Vec<u8>,
    ) -> Result<ExitStatus> {
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let feed = fed(stdin, &self.stdin);
        let listen = async { tokio::join!(feed, drained(stdout, out), drained(stderr, err)) };
        tokio::pin!(listen);
        let status = tokio::select! {
            status = self.wait(child) => status,
            _ = &mut listen => return self.wait(child).await,
        };
        let _ = timeout(AFTERWARDS, listen).await;
        status
    }

    fn log(&self, said: &[u8]) {
        for line in String::from_utf8_lossy(said)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            let line = line.replace(|c: char| c.is_control(), " ");
            info!("{}: {line}", self.label);
        }
        if said.len() >= MOST_SAID {
            info!("{}: (output was cut off here)", self.label);
        }
    }
}

/// Writes all of it, if the command wants it.
async fn fed(sink: Option<impl AsyncWrite + Unpin>, contents: &[u8]) {
    if let Some(mut sink) = sink {
        let _ = sink.write_all(contents).await;
    }
}

/// Reads up to `most` bytes, and whether there was more.
async fn bounded(source: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut contents = Vec::new();
    if let Some(source) = source {
        source.take(most + 1).read_to_end(&mut contents).await?;
    }
    let cut = contents.len() as u64 > most;
    contents.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((contents, cut))
}

/// Keeps the beginning of what must be read to its end, or its writer would be killed.
async fn drained(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    if let Some(mut source) = source {
        let _ = (&mut source).take(MOST_SAID as u64).read_to_end(kept).await;
        let _ = tokio::io::copy(&mut source, &mut tokio::io::sink()).await;
    }
}

/// A process group that is killed when this is dropped: nothing that a command leaves behind
/// outlives its run.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(group(child))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that no process of the group is left.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_dev_null_is_named() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let why = named(missing(), Path::new("/nowhere/null")).to_string();
        assert!(why.contains("there is no /nowhere/null"), "{why}");
        let why = named(missing(), Path::new("/dev/null")).to_string();
        assert_eq!(
            why,
            missing().to_string(),
            "it is the program that is missing"
        );
    }
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const LIMIT: Duration = Duration::from_secs(5);

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("command");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn run(text: &str, limit: Duration) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = script(dir.path(), text);
        program(&path, limit)
            .variable("GREETING", "a'b")
            .stdin(b"some input\n".to_vec())
            .output(1000)
            .await
            .map(|out| String::from_utf8(out).unwrap())
    }

    async fn error(text: &str, limit: Duration) -> String {
        format!("{:#}", run(text, limit).await.unwrap_err())
    }

    #[tokio::test]
    async fn a_command_sees_its_environment_and_its_output_comes_back() {
        assert_eq!(
            run("echo \"$GREETING\"; pwd", LIMIT).await.unwrap(),
            "a'b\n/\n"
        );
    }

    #[tokio::test]
    async fn a_failure_is_reported_with_its_status() {
        assert!(error("exit 3", LIMIT).await.contains("exit status: 3"));
        let missing = program(Path::new("/nonexistent/x"), LIMIT)
            .output(10)
            .await
            .unwrap_err();
        assert!(format!("{missing:#}").contains("cannot start /nonexistent/x"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let message = error(&text, Duration::from_millis(500)).await;
        assert!(message.contains("did not end within 0.5 s"), "{message}");
        assert_gone(&pid).await;
    }

    /// The process whose number is in this file has been killed.
    async fn assert_gone(pid: &Path) {
        let child = std::fs::read_to_string(pid).unwrap();
        let status = format!("/proc/{}/stat", child.trim());
        // Killed processes stay as zombies until their new parent reaps them.
        for _ in 0..500 {
            match std::fs::read_to_string(&status) {
                Ok(stat) if !stat.contains(") Z ") => {
                    tokio::time::sleep(Duration::from_millis(10)).await
                }
                _ => return,
            }
        }
        panic!("the child is still alive");
    }

    #[tokio::test]
    async fn a_talkative_command_is_not_killed_for_its_errors() {
        let text = "head -c 1000000 /dev/zero | tr '\\0' '\\n' >&2 && echo done";
        assert_eq!(run(text, LIMIT).await.unwrap(), "done\n");
    }

    #[tokio::test]
    async fn endless_output_is_cut_off() {
        assert!(
            error("exec yes", LIMIT)
                .await
                .contains("more than 1000 bytes")
        );
    }

    #[tokio::test]
    async fn a_command_may_read_its_input_or_not() {
        assert_eq!(run("cat", LIMIT).await.unwrap(), "some input\n");
        assert_eq!(run("exec 0<&-; echo done", LIMIT).await.unwrap(), "done\n");
    }

    #[tokio::test]
    async fn what_runs_on_in_the_background_holds_nothing_up_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {}", pid.display());
        let status = shell("a test", &line, LIMIT).run().await.unwrap();
        assert!(status.success());
        let child = std::fs::read_to_string(&pid).unwrap();
        let child = Pid::from_raw(child.trim().parse().unwrap());
        nix::sys::signal::kill(child, Signal::SIGKILL).expect("it still runs");
    }

    #[tokio::test]
    async fn a_shell_command_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let limit = Duration::from_millis(500);
        let error = shell("a test", &line, limit).run().await.unwrap_err();
        assert!(error.to_string().contains("a test did not end"), "{error}");
        assert_gone(&pid).await;
    }
}
