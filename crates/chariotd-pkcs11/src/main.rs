//! The key helper: loads the vendor's module, keeps PIN and session, and signs for its parent, which cannot or
//! shall not do that itself. Its standard input is a Unix socket; it ends when the other side does.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use chariotd_pkcs11::protocol::{Answer, Request, read_frame, write_frame};
use chariotd_pkcs11::token::Tokens;
use chariotd_pkcs11::{KeyError, Keys, Problem};
use nix::sys::signal::{Signal, raise};

/// For what the token does when the other side has ended.
const GRACE: Duration = Duration::from_secs(2);

const USAGE: &str = "chariotd-pkcs11 is started by chariotd, with a Unix socket as its standard input: chariotd --key-helper=/path/to/chariotd-pkcs11 --key='pkcs11:…'";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--version") => {
            println!("chariotd-pkcs11 {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(_) => return refused("it takes no arguments"),
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return refused("its standard input is a terminal");
    }
    let socket = stdin.as_fd().try_clone_to_owned().map(UnixStream::from);
    match socket.and_then(|mut socket| serve(&mut socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refused(&error.to_string()),
    }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("chariotd-pkcs11: {why}\n{USAGE}");
    ExitCode::from(100)
}

/// The token is asked on a thread of its own, so that the end of the other side is seen while a module hangs.
fn serve(socket: &mut UnixStream) -> io::Result<()> {
    let (requests, work) = sync_channel::<Vec<u8>>(1);
    let (working, ended) = sync_channel::<()>(1);
    let mut answers = socket.try_clone()?;
    let asking = thread::Builder::new().spawn(move || {
        let _working = working;
        let tokens = Tokens::new();
        // Whoever does not take an answer has ended.
        while let Ok(body) = work.recv()
            && write_frame(&mut answers, &answered(&tokens, &body).encode()).is_ok()
        {}
    })?;
    let served = hand_over(socket, &requests);
    drop(requests);
    // At the end of a process its libraries clear up, and a thread that is inside of one then crashes.
    match ended.recv_timeout(GRACE) {
        Err(RecvTimeoutError::Timeout) => drop(raise(Signal::SIGKILL)),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => drop(asking.join()),
    }
    served
}

/// Passes requests on until the other side ends.
fn hand_over(socket: &mut UnixStream, requests: &SyncSender<Vec<u8>>) -> io::Result<()> {
    while let Some(body) = read_frame(socket)? {
        let sent = requests.send(body);
        sent.map_err(|_| io::Error::other("the thread that asks the token has ended"))?;
    }
    Ok(())
}

fn answered(tokens: &Tokens, body: &[u8]) -> Answer {
    match Request::decode(body) {
        Ok(request) => answer(tokens, request),
        Err(why) => {
            let text = format!("the key helper does not understand: {why}");
            Answer::Error(KeyError::new(Problem::Helper, text))
        }
    }
}

fn answer(tokens: &Tokens, request: Request) -> Answer {
    let outcome = match request {
        Request::Identity { uri, hint } => {
            tokens.identity(&uri, hint.as_deref()).map(Answer::Identity)
        }
        Request::Sign {
            uri,
            scheme,
            digest,
        } => tokens.sign(&uri, scheme, &digest).map(Answer::Signature),
        Request::Make { uri, kind } => tokens.make(&uri, kind).map(Answer::Identity),
    };
    outcome.unwrap_or_else(Answer::Error)
}
