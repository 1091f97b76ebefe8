//! The listening socket and the thread that serves it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc as async_mpsc;

use super::{Hub, connection, service_timer};

/// How long the thread may take to carry out a command.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// The running server. Its thread ends when this is dropped.
pub(crate) struct Server {
    port: u16,
    commands: Option<async_mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle requests; the answer says that it is done. The channel is unbounded because the handle waits for each
/// answer.
enum Command {
    Pause(mpsc::SyncSender<()>),
    Resume(mpsc::SyncSender<()>),
}

impl Server {
    /// Listens on this port of the loopback interface (0: any free one) and serves it in a thread of its own.
    pub(crate) fn start(port: u16, hub: Arc<Hub>) -> anyhow::Result<Server> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = listener.map_err(|error| {
            anyhow!("cannot listen on port {port} of 127.0.0.1: {error}; choose another port")
        })?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (commands, inbox) = async_mpsc::unbounded_channel();
        let work = move || {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
            runtime.block_on(serve(Listener::Open(listener), port, hub, inbox));
        };
        let thread = std::thread::Builder::new()
            .name("iotcore-sandbox".to_owned())
            .spawn(work)?;
        Ok(Server {
            port,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
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
        let (done, wait) = mpsc::sync_channel(1);
        let sent = self
            .commands
            .as_ref()
            .is_some_and(|commands| commands.send(command(done)).is_ok());
        assert!(
            sent && wait.recv_timeout(COMMAND_LIMIT).is_ok(),
            "the sandbox's thread does not answer"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.commands = None;
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
    mut listener: Listener,
    port: u16,
    hub: Arc<Hub>,
    mut commands: async_mpsc::UnboundedReceiver<Command>,
) {
    tokio::spawn(service_timer::serve(Arc::clone(&hub)));
    loop {
        tokio::select! {
            // No deadline: it serves until its handle is dropped.
            command = commands.recv() => match command {
                Some(command) => listener = carry_out(command, listener, port).await,
                None => return,
            },
            accepted = accept(&listener) => {
                // Known to the broker before the next command, so that a pause cuts it too.
                let opened = hub.broker().opened(Instant::now());
                tokio::spawn(connection::serve(Arc::clone(&hub), opened, accepted));
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
