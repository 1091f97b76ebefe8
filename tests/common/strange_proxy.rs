//! A proxy of our own, which answers what a test wants, and whose tunnels a test can cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What it does with each connection, once it has read the request.
#[derive(Clone)]
pub enum Behaviour {
    /// Says this, and then nothing more.
    Says(Vec<u8>),
    /// Says this, and closes.
    SaysAndCloses(Vec<u8>),
    /// The beginning of an answer that has no end.
    Endless,
    /// A tunnel to where it is asked for.
    Tunnels,
    /// The same, cut when nothing went through it for so long.
    CutsIdle(Duration),
}

/// Listens until the test ends.
pub struct StrangeProxy {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    tunnels: Arc<Mutex<Vec<TcpStream>>>,
}

impl StrangeProxy {
    pub fn start(behaviour: Behaviour) -> StrangeProxy {
        StrangeProxy::at("127.0.0.1:0", behaviour).expect("a socket")
    }

    pub fn at(address: &str, behaviour: Behaviour) -> io::Result<StrangeProxy> {
        let listener = TcpListener::bind(address)?;
        let proxy = StrangeProxy {
            address: listener.local_addr()?,
            asked: Arc::default(),
            requests: Arc::default(),
            tunnels: Arc::default(),
        };
        let (asked, requests) = (proxy.asked.clone(), proxy.requests.clone());
        let tunnels = proxy.tunnels.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (behaviour, asked) = (behaviour.clone(), asked.clone());
                let (requests, tunnels) = (requests.clone(), tunnels.clone());
                thread::spawn(move || {
                    let _ = serve(client, &behaviour, &asked, &requests, &tunnels);
                });
            }
        });
        Ok(proxy)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many have asked for a tunnel.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The first lines of the requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the requests").clone()
    }

    /// Cuts every tunnel, without a word to either end.
    pub fn cut(&self) {
        for end in self.tunnels.lock().expect("the tunnels").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn serve(
    mut client: TcpStream,
    behaviour: &Behaviour,
    asked: &AtomicUsize,
    requests: &Mutex<Vec<String>>,
    tunnels: &Mutex<Vec<TcpStream>>,
) -> io::Result<()> {
    let request = head(&mut client)?;
    let line = request.lines().next().unwrap_or_default().to_owned();
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().expect("the requests").push(line);
    asked.fetch_add(1, Ordering::SeqCst);
    match behaviour {
        Behaviour::SaysAndCloses(text) => client.write_all(text),
        Behaviour::Says(text) => {
            client.write_all(text)?;
            // Until the other end has had enough.
            io::copy(&mut client, &mut io::sink()).map(drop)
        }
        Behaviour::Endless => {
            client.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                client.write_all(b"X-Filler: and on and on it goes\r\n")?;
            }
        }
        Behaviour::Tunnels => tunnel(client, &target, tunnels, None),
        Behaviour::CutsIdle(limit) => tunnel(client, &target, tunnels, Some(*limit)),
    }
}

fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn tunnel(
    mut client: TcpStream,
    target: &str,
    tunnels: &Mutex<Vec<TcpStream>>,
    limit: Option<Duration>,
) -> io::Result<()> {
    let broker = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    {
        let mut tunnels = tunnels.lock().expect("the tunnels");
        tunnels.extend([client.try_clone()?, broker.try_clone()?]);
    }
    let last = Arc::new(Mutex::new(Instant::now()));
    let up = (client.try_clone()?, broker.try_clone()?);
    let (up_last, down_last) = (last.clone(), last);
    thread::spawn(move || pump(up.0, up.1, &up_last, limit));
    pump(broker, client, &down_last, limit);
    Ok(())
}

/// Until one end closes, or nothing went through in either direction for so long.
fn pump(mut from: TcpStream, mut to: TcpStream, last: &Mutex<Instant>, limit: Option<Duration>) {
    let _ = from.set_read_timeout(limit.map(|limit| limit / 10));
    let mut chunk = [0; 4096];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => {
                *last.lock().expect("the time") = Instant::now();
                if to.write_all(&chunk[..length]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let idle = last.lock().expect("the time").elapsed();
                if limit.is_some_and(|limit| idle >= limit) {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}
