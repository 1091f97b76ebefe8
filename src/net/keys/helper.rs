//! The key helper: a process that loads the vendor's module, keeps PIN and session, and signs for us. It is
//! started when a key is needed, again when it has ended, and ends when our end of its socket is closed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chariotd_pkcs11::protocol::{Answer, Request, read_frame, write_frame};
use chariotd_pkcs11::{Identity, KeyError, KeyKind, KeyUri, Keys, Problem};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The slowest smart cards take a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// A TPM takes up to a minute for an RSA key.
const PATIENCE_FOR_A_KEY: Duration = Duration::from_secs(120);
/// A helper that ends at once is not started more often than this, by any number of connections.
const PAUSE: Duration = Duration::from_secs(1);
/// What a supervisor says to its own child alone.
const SUPERVISION: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// One process for all keys, so that it remembers which PIN a token has refused.
pub struct Helper {
    command: Vec<String>,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    socket: UnixStream,
}

impl Helper {
    pub fn new(command: Vec<String>) -> Helper {
        Helper {
            command,
            running: Mutex::new(None),
        }
    }

    /// One request at a time. A helper that has ended since the last one is started again.
    fn ask(&self, request: &Request) -> Result<Answer, KeyError> {
        let patience = match request {
            Request::Make { .. } => PATIENCE_FOR_A_KEY,
            Request::Identity { .. } | Request::Sign { .. } => PATIENCE,
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(helper) = running.as_mut() {
            match helper.exchange(request, patience) {
                Ok(answer) => return Ok(answer),
                Err(error) if has_ended(&error) => {
                    // Nobody else starts one meanwhile.
                    std::thread::sleep(PAUSE);
                    let how = ended(helper.child.try_wait());
                    log::warn!("the key helper has ended ({how}), it is started again");
                    *running = None;
                }
                Err(error) => {
                    *running = None;
                    return Err(self.failed(&error, patience));
                }
            }
        }
        let helper = running.insert(self.start()?);
        let answer = helper.exchange(request, patience);
        answer.map_err(|error| {
            *running = None;
            self.failed(&error, patience)
        })
    }

    fn start(&self) -> Result<Running, KeyError> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| KeyError::new(Problem::Setting, "the key helper has no command"))?;
        let setting = |error: io::Error| {
            let text =
                format!("cannot start the key helper {program}: {error}; correct --key-helper");
            KeyError::new(Problem::Setting, text)
        };
        let (socket, stdin) = UnixStream::pair().map_err(setting)?;
        let mut command = Command::new(program);
        for name in SUPERVISION {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(stdin)))
            .stdout(Stdio::null())
            .process_group(0);
        let child = command.spawn().map_err(setting)?;
        log::info!("started the key helper {program}");
        Ok(Running { child, socket })
    }

    fn failed(&self, error: &io::Error, patience: Duration) -> KeyError {
        use io::ErrorKind::{TimedOut, WouldBlock};
        let why = match error.kind() {
            TimedOut | WouldBlock => format!(
                "has not answered within {} s and was ended",
                patience.as_secs()
            ),
            _ if has_ended(error) => {
                "has ended at once; is it the program chariotd-pkcs11?".to_owned()
            }
            _ => format!("cannot be talked to: {error}"),
        };
        KeyError::new(
            Problem::Helper,
            format!("the key helper {} {why}", self.command.join(" ")),
        )
    }
}

impl Running {
    fn exchange(&mut self, request: &Request, patience: Duration) -> io::Result<Answer> {
        self.socket.set_read_timeout(Some(patience))?;
        self.socket.set_write_timeout(Some(patience))?;
        write_frame(&mut self.socket, &request.encode())?;
        let body = read_frame(&mut self.socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let nonsense = |why| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its answer is not understood: {why}"),
            )
        };
        Answer::decode(&body).map_err(nonsense)
    }
}

impl Drop for Running {
    /// It has nothing to bring to an end. As process 1 of a container we may have taken note of its end already,
    /// and then its number can be somebody else's.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // With whatever it has started, which would keep our log open.
            let group = i32::try_from(self.child.id()).map(Pid::from_raw);
            let _ = group.map(|group| killpg(group, Signal::SIGKILL));
            let _ = self.child.wait();
        }
    }
}

fn has_ended(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn ended(status: io::Result<Option<ExitStatus>>) -> String {
    match status {
        Ok(Some(status)) => status.to_string(),
        Ok(None) => "it has closed its socket and runs on".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn unexpected() -> KeyError {
    KeyError::new(
        Problem::Helper,
        "the key helper answers something else than it was asked",
    )
}

impl Keys for Helper {
    fn identity(&self, uri: &KeyUri, hint: Option<&[u8]>) -> Result<Identity, KeyError> {
        let (uri, hint) = (uri.clone(), hint.map(<[u8]>::to_vec));
        match self.ask(&Request::Identity { uri, hint })? {
            Answer::Identity(identity) => Ok(identity),
            Answer::Error(error) => Err(error),
            Answer::Signature(_) => Err(unexpected()),
        }
    }

    fn sign(&self, uri: &KeyUri, scheme: u16, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (uri, digest) = (uri.clone(), digest.to_vec());
        match self.ask(&Request::Sign {
            uri,
            scheme,
            digest,
        })? {
            Answer::Signature(signature) => Ok(signature),
            Answer::Error(error) => Err(error),
            Answer::Identity(_) => Err(unexpected()),
        }
    }

    fn make(&self, uri: &KeyUri, kind: KeyKind) -> Result<Identity, KeyError> {
        let uri = uri.clone();
        match self.ask(&Request::Make { uri, kind })? {
            Answer::Identity(identity) => Ok(identity),
            Answer::Error(error) => Err(error),
            Answer::Signature(_) => Err(unexpected()),
        }
    }
}
