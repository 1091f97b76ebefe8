//! Names and addresses of a device's own: files in the place of /etc/hosts and the like in a private
//! mount namespace, a small name server, and addresses on which nothing answers.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};

const A: u16 = 1;

/// The command in a mount namespace in which each pair's first file stands in the place of the second.
/// `None`, which is said, where this machine allows no such namespace.
pub fn with_files(command: &Command, files: &[(&Path, &str)]) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    if !super::is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.arg("--mount");
    let mut probe = Command::new("unshare");
    probe.args(unshare.get_args()).arg("true");
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mount namespace can be made here");
        return None;
    }
    let script = r#"while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 97; shift 2; done; shift; exec "$@""#;
    unshare.args(["sh", "-c", script, "sh"]);
    for (file, place) in files {
        unshare.arg(file).arg(place);
    }
    unshare.arg("--").arg(command.get_program());
    unshare.args(command.get_args()).env_remove("RUST_LOG");
    super::without_proxies(&mut unshare);
    Some(unshare)
}

/// An address on which a connection is neither accepted nor refused: the queue of its listener is full.
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    pub fn at(address: SocketAddr) -> BlackHole {
        let listener = TcpListener::bind(address).expect("a listener");
        let address = listener.local_addr().expect("its address");
        listen(&listener, Backlog::new(0).expect("a backlog")).expect("a shorter queue");
        let mut queued = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(one);
        }
        BlackHole {
            address,
            _listener: listener,
            _queued: queued,
        }
    }

    /// Its own socket is the only one that listens there.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers questions for IPv4 addresses with 127.0.0.1, and none for IPv6 addresses.
pub struct NameServer {
    questions: Arc<Mutex<HashMap<u16, usize>>>,
}

impl NameServer {
    /// Only root may listen on the port that resolvers ask.
    pub fn start(address: &str) -> NameServer {
        let socket = UdpSocket::bind((address, 53)).expect("the port of the name service");
        let questions = Arc::new(Mutex::new(HashMap::new()));
        let counted = questions.clone();
        thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let Some((kind, answer)) = answer(&packet[..length]) else {
                    continue;
                };
                *counted.lock().expect("a count").entry(kind).or_insert(0) += 1;
                if kind == A {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        NameServer { questions }
    }

    pub fn asked_for_ipv4(&self) -> usize {
        self.asked(A)
    }

    pub fn asked_for_ipv6(&self) -> usize {
        self.asked(28)
    }

    fn asked(&self, kind: u16) -> usize {
        let questions = self.questions.lock().expect("a count");
        questions.get(&kind).copied().unwrap_or(0)
    }
}

/// The type that is asked for, and an answer with 127.0.0.1.
fn answer(question: &[u8]) -> Option<(u16, Vec<u8>)> {
    let name = question.get(12..)?;
    let end = 12 + name.iter().position(|byte| *byte == 0)?;
    let kind = u16::from_be_bytes([*question.get(end + 1)?, *question.get(end + 2)?]);
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(question.get(12..end + 5)?);
    // The name of the question again, type A, class IN, 60 s, four bytes.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    Some((kind, answer))
}
