//! A child process with a deadline: its output is bounded, its whole process group is killed when
//! the time is over, and what it says on stderr goes to the log.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use log::info;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// So much of a command's stderr is logged.
const MOST_STDERR: u64 = 8 * 1024;

/// Runs `program` without a shell and without arguments, in `/`, with `environment` added, and
/// returns what it wrote to stdout.
///
/// # Errors
/// It cannot be started, does not end within `limit`, ends with a failure, or writes more than
/// `most` bytes. In each of these cases its process group is gone afterwards.
pub async fn output(
    program: &Path,
    environment: &[(&str, OsString)],
    limit: Duration,
    most: u64,
) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let group = Group::of(&child);
    let finished = timeout(limit, finish(&mut child, program, most)).await;
    drop(group);
    match finished {
        Ok(result) => result,
        Err(_) => bail!(
            "{} did not end within {} s and was killed",
            program.display(),
            limit.as_secs_f64()
        ),
    }
}

async fn finish(child: &mut Child, program: &Path, most: u64) -> Result<Vec<u8>> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (read, said) = tokio::join!(bounded(stdout, most), drained(stderr, MOST_STDERR));
    log_lines(program, &said.unwrap_or_default());
    let (contents, cut) =
        read.with_context(|| format!("cannot read from {}", program.display()))?;
    if cut {
        bail!("{} printed more than {most} bytes", program.display());
    }
    let status: ExitStatus = child
        .wait()
        .await
        .with_context(|| format!("cannot wait for {}", program.display()))?;
    if !status.success() {
        bail!("{} failed: {status}", program.display());
    }
    Ok(contents)
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

/// The first `most` bytes of what must be read to its end, or its writer would be killed.
async fn drained(source: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    if let Some(mut source) = source {
        (&mut source).take(most).read_to_end(&mut contents).await?;
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    }
    Ok(contents)
}

fn log_lines(program: &Path, said: &[u8]) {
    for line in String::from_utf8_lossy(said)
        .lines()
        .filter(|line| !line.trim().is_empty())
    {
        info!(
            "{}: {}",
            program.display(),
            line.replace(|c: char| c.is_control(), " ")
        );
    }
}

/// A process group that is killed when this is dropped: nothing that a command leaves behind
/// outlives its run.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
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
        let program = script(dir.path(), text);
        let environment = [("GREETING", OsString::from("a'b"))];
        output(&program, &environment, limit, 1000)
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
    async fn a_failure_is_told_with_its_status() {
        assert!(error("exit 3", LIMIT).await.contains("exit status: 3"));
        let missing = output(Path::new("/nonexistent/x"), &[], LIMIT, 10)
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
        let child = std::fs::read_to_string(&pid).unwrap();
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
}
