//! The listening sockets and the thread that serves them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc as async_mpsc;
use tokio::task::JoinSet;

use super::{Hub, arrive, credentials, service_timer};

/// How long the thread may take to carry out a command.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// MQTT with client certificates, as AWS's port 8883.
    Mqtt,
    /// As AWS's port 443: ALPN decides.
    Web,
    /// The credential provider.
    Credentials,
}

/// The ports of the listeners; 0 for any free one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    pub mqtt: u16,
    pub web: u16,
    pub credentials: u16,
}

/// The running server. Its thread ends when this is dropped.
pub(crate) struct Server {
    ports: Ports,
    /// One for each listener.
    commands: Vec<async_mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle requests; the answer says that it is done. The channel is unbounded because the handle waits for each
/// answer.
#[derive(Clone)]
enum Command {
    Pause(mpsc::SyncSender<()>),
    Resume(mpsc::SyncSender<()>),
}

impl Server {
    /// Listens on these ports of the loopback interface and serves them in a thread of its own.
    pub(crate) fn start(ports: Ports, hub: Arc<Hub>) -> anyhow::Result<Server> {
        let (mqtt, web) = (listen(ports.mqtt)?, listen(ports.web)?);
        let credentials = listen(ports.credentials)?;
        let ports = Ports {
            mqtt: mqtt.local_addr()?.port(),
            web: web.local_addr()?.port(),
            credentials: credentials.local_addr()?.port(),
        };
        let listeners = [
            (Entrance::Mqtt, mqtt),
            (Entrance::Web, web),
            (Entrance::Credentials, credentials),
        ];
        let (commands, inboxes): (Vec<_>, Vec<_>) = listeners
            .iter()
            .map(|_| async_mpsc::unbounded_channel())
            .unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(service_timer::serve(Arc::clone(&hub)));
                let mut serving = JoinSet::new();
                for ((entrance, listener), inbox) in listeners.into_iter().zip(inboxes) {
                    serving.spawn(serve(entrance, listener, Arc::clone(&hub), inbox));
                }
                // No deadline: it serves until its handle is dropped.
                serving.join_all().await;
            });
        };
        let thread = std::thread::Builder::new()
            .name("iotcore-sandbox".to_owned())
            .spawn(work)?;
        Ok(Server {
            ports,
            commands,
            thread: Some(thread),
        })
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// Stops listening; connections are refused when this returns.
    pub(crate) fn pause(&self) {
        self.send(Command::Pause);
    }

    /// Listens again, when this returns.
    pub(crate) fn resume(&self) {
        self.send(Command::Resume);
    }

    fn send(&self, command: impl FnOnce(mpsc::SyncSender<()>) -> Command) {
        let (done, wait) = mpsc::sync_channel(self.commands.len());
        let command = command(done);
        for commands in &self.commands {
            let sent = commands.send(command.clone()).is_ok();
            assert!(
                sent && wait.recv_timeout(COMMAND_LIMIT).is_ok(),
                "the sandbox's thread does not answer"
            );
        }
    }
}

fn listen(port: u16) -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.map_err(|error| {
        anyhow!("cannot listen on port {port} of 127.0.0.1: {error}; choose another port")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.commands.clear();
        // A panic of that thread has been printed already, and the handle's methods have failed because of it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The listening socket. While closed, the port stays bound, so that no other process gets it and connections are refused.
enum Listener {
    Open(TcpListener),
    Closed(TcpSocket),
}

async fn serve(
    entrance: Entrance,
    listener: std::net::TcpListener,
    hub: Arc<Hub>,
    mut commands: async_mpsc::UnboundedReceiver<Command>,
) {
    let port = listener.local_addr().expect("it listens").port();
    let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
    let mut listener = Listener::Open(listener);
    loop {
        tokio::select! {
            // No deadline: it serves until its handle is dropped.
            command = commands.recv() => match command {
                Some(command) => listener = carry_out(command, listener, port).await,
                None => return,
            },
            accepted = accept(&listener) => {
                if entrance == Entrance::Credentials {
                    tokio::spawn(credentials::serve(Arc::clone(&hub), accepted));
                    continue;
                }
                // Known to the broker before the next command, so that a pause cuts it too.
                let opened = hub.broker().opened(Instant::now());
                tokio::spawn(arrive::serve(Arc::clone(&hub), entrance, opened, accepted));
            }
        }
    }
}

async fn accept(listener: &Listener) -> TcpStream {
    let Listener::Open(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            // The client has closed already, or there are no file descriptors left at this moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn carry_out(command: Command, listener: Listener, port: u16) -> Listener {
    let (listener, done) = match (command, listener) {
        (Command::Pause(done), Listener::Open(listener)) => {
            drop(listener);
            (Listener::Closed(bind_again(port).await), done)
        }
        (Command::Resume(done), Listener::Closed(socket)) => (
            Listener::Open(socket.listen(1024).expect("the port is ours")),
            done,
        ),
        (Command::Pause(done) | Command::Resume(done), listener) => (listener, done),
    };
    // The sender may have stopped waiting.
    let _ = done.send(());
    listener
}

/// Tries again for a while: a process that is being started at this moment may hold a copy of the listener.
async fn bind_again(port: u16) -> TcpSocket {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match bind(port) {
            Ok(socket) => return socket,
            Err(error) if Instant::now() > deadline => panic!("port {port} was ours: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn bind(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}
