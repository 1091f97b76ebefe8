//! A broker of raw bytes: it speaks TLS and good MQTT, apart from what its script says.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use iotcore_sandbox::{Pki, ServerCertificate};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::act::{Act, At, Then};
use super::packets::{Packet, connack, puback, publish, suback};

/// What a slow peer waits before each byte.
const BETWEEN_BYTES: Duration = Duration::from_secs(1);

/// What the broker has seen of all connections.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub pings: AtomicUsize,
    pub disconnects: AtomicUsize,
    /// Packet ids of the PUBACKs.
    pub acknowledged: Mutex<Vec<u16>>,
    /// Topics of what was accepted.
    pub accepted: Mutex<Vec<String>>,
}

pub struct Broker {
    pub port: u16,
    pub seen: Arc<Seen>,
}

struct Stage {
    tls: Arc<ServerConfig>,
    script: Mutex<VecDeque<Act>>,
    seen: Arc<Seen>,
}

impl Broker {
    /// Each act is played once, on a connection of its own, in their order; then it behaves.
    pub fn start(pki: &Pki, script: Vec<Act>) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::new(Seen::default());
        let stage = Arc::new(Stage {
            tls: tls(pki),
            script: Mutex::new(script.into()),
            seen: seen.clone(),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stage.seen.connections.fetch_add(1, Ordering::SeqCst);
                let stage = stage.clone();
                // An error is the end of one connection, which the daemon tells of.
                thread::spawn(move || stage.serve(stream));
            }
        });
        Broker { port, seen }
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn accepted(&self) -> Vec<String> {
        let mut topics = self.seen.accepted.lock().expect("the topics").clone();
        topics.sort();
        topics.dedup();
        topics
    }
}

fn tls(pki: &Pki) -> Arc<ServerConfig> {
    let (certificate, key) = pki.server(ServerCertificate::Valid).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate and key fit");
    Arc::new(config)
}

/// A socket that may write one byte a second.
struct Wire {
    tcp: TcpStream,
    slowly: bool,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(bytes)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.slowly {
            return self.tcp.write(bytes);
        }
        thread::sleep(BETWEEN_BYTES);
        self.tcp.write(&bytes[..1.min(bytes.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

type Stream = StreamOwned<ServerConnection, Wire>;

impl Stage {
    fn serve(&self, mut tcp: TcpStream) -> io::Result<()> {
        let mut slowly = false;
        if let Some(act) = self.next(At::Accept) {
            if !act.slowly {
                tcp.write_all(&(act.bytes)(0))?;
                return io::copy(&mut tcp, &mut io::sink()).map(drop);
            }
            slowly = true;
        }
        tcp.set_nodelay(true)?;
        let session = ServerConnection::new(self.tls.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, Wire { tcp, slowly });
        let mut acted = false;
        let mut version = 4;
        loop {
            let packet = Packet::read(&mut stream)?;
            if let Packet::Connect(level) = packet {
                version = level;
            }
            let act = at(&packet).filter(|_| !acted).and_then(|at| self.next(at));
            let Some(act) = act else {
                if let Some(answer) = self.answer(&packet, version) {
                    say(&mut stream, &answer)?;
                }
                continue;
            };
            acted = true;
            if act.accepts {
                self.answer(&packet, version);
            }
            play(&mut stream, &act, packet.id())?;
            if act.then == Then::Closes {
                stream.conn.send_close_notify();
                stream.flush()?;
                return stream.sock.tcp.shutdown(Shutdown::Write);
            }
        }
    }

    /// The next act, if its time has come.
    fn next(&self, at: At) -> Option<Act> {
        let mut script = self.script.lock().expect("the script");
        let due = script.front().is_some_and(|act| act.at == at);
        due.then(|| script.pop_front()).flatten()
    }

    /// What a good broker says.
    fn answer(&self, packet: &Packet, version: u8) -> Option<Vec<u8>> {
        match packet {
            // A message at once: with it the connection is a good one, and its end a new one.
            Packet::Connect(_) => {
                let message = publish(version, "hello", None, &[]);
                Some([connack(version, &[]), message].concat())
            }
            Packet::Publish { topic, id } => {
                let mut accepted = self.seen.accepted.lock().expect("the topics");
                accepted.push(topic.clone());
                (*id != 0).then(|| puback(*id))
            }
            Packet::Subscribe { id, filters } => Some(suback(version, *id, *filters)),
            Packet::PingRequest => {
                self.seen.pings.fetch_add(1, Ordering::SeqCst);
                Some(vec![0xd0, 0])
            }
            Packet::Puback(id) => {
                self.seen.acknowledged.lock().expect("the ids").push(*id);
                None
            }
            Packet::Disconnect => {
                self.seen.disconnects.fetch_add(1, Ordering::SeqCst);
                None
            }
            Packet::Other => None,
        }
    }
}

fn at(packet: &Packet) -> Option<At> {
    match packet {
        Packet::Connect(_) => Some(At::Connect),
        Packet::Subscribe { .. } => Some(At::Subscribe),
        Packet::Publish { .. } => Some(At::Publish),
        Packet::PingRequest | Packet::Puback(_) | Packet::Disconnect | Packet::Other => None,
    }
}

fn play(stream: &mut Stream, act: &Act, id: u16) -> io::Result<()> {
    let bytes = (act.bytes)(id);
    if !act.slowly {
        return say(stream, &bytes);
    }
    for byte in bytes {
        thread::sleep(BETWEEN_BYTES);
        say(stream, &[byte])?;
    }
    Ok(())
}

fn say(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}
