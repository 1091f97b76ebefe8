//! A notify command that is heard at once: it writes a line into a FIFO.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

const LONG: Duration = Duration::from_secs(60);

pub struct Bell {
    path: PathBuf,
    heard: Receiver<Instant>,
}

impl Bell {
    pub fn new(path: &Path) -> Result<Bell> {
        mkfifo(path, Mode::S_IRWXU)?;
        // For writing too, so that it does not end with each writer.
        let fifo = OpenOptions::new().read(true).write(true).open(path)?;
        let (sender, heard) = channel();
        thread::spawn(move || {
            for _ in BufReader::new(fifo).lines().map_while(Result::ok) {
                if sender.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        Ok(Bell {
            path: path.to_owned(),
            heard,
        })
    }

    pub fn command(&self) -> String {
        format!("echo > {}", self.path.display())
    }

    /// When it was rung next.
    pub fn heard(&self) -> Result<Instant> {
        let heard = self.heard.recv_timeout(LONG);
        heard.context("the command was not started within a minute")
    }
}
