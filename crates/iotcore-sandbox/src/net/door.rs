//! The listening socket and the thread that serves it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc as orders;

use super::{Hub, alarm, connection};

/// How long the thread may take to carry out an order.
const PROMPT: Duration = Duration::from_secs(10);

/// The running thread. It ends when this is dropped.
pub(crate) struct Server {
    port: u16,
    orders: Option<orders::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle asks for; the answer says that it is done. Unbounded because the handle waits for each answer.
enum Order {
    Pause(mpsc::SyncSender<()>),
    Resume(mpsc::SyncSender<()>),
}

impl Server {
    /// Listens on this port of the loopback interface (0: any free one) and serves it in a thread of its own.
    pub(crate) fn start(port: u16, hub: Arc<Hub>) -> anyhow::Result<Server> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, inbox) = orders::unbounded_channel();
        let work = move || {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
            runtime.block_on(serve(Door::Open(listener), port, hub, inbox));
        };
        let thread = std::thread::Builder::new()
            .name("iotcore-sandbox".to_owned())
            .spawn(work)?;
        Ok(Server {
            port,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops listening; connections are refused when this returns.
    pub(crate) fn pause(&self) {
        self.order(Order::Pause);
    }

    /// Listens again, when this returns.
    pub(crate) fn resume(&self) {
        self.order(Order::Resume);
    }

    fn order(&self, order: impl FnOnce(mpsc::SyncSender<()>) -> Order) {
        let (done, wait) = mpsc::sync_channel(1);
        let sent = self
            .orders
            .as_ref()
            .is_some_and(|orders| orders.send(order(done)).is_ok());
        assert!(
            sent && wait.recv_timeout(PROMPT).is_ok(),
            "the sandbox's thread does not answer"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.orders = None;
        // A panic of that thread has been printed already, and the handle's methods have failed because of it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// While closed the port stays bound, so that nobody else gets it and connections are refused.
enum Door {
    Open(TcpListener),
    Closed(TcpSocket),
}

async fn serve(
    mut door: Door,
    port: u16,
    hub: Arc<Hub>,
    mut orders: orders::UnboundedReceiver<Order>,
) {
    tokio::spawn(alarm::serve(Arc::clone(&hub)));
    loop {
        tokio::select! {
            // No deadline: it serves until its handle is dropped.
            order = orders.recv() => match order {
                Some(order) => door = carry_out(order, door, port).await,
                None => return,
            },
            accepted = accept(&door) => {
                // Known to the broker before the next order, so that a pause cuts it too.
                let line = hub.broker().opened(Instant::now());
                tokio::spawn(connection::serve(Arc::clone(&hub), line, accepted));
            }
        }
    }
}

async fn accept(door: &Door) -> TcpStream {
    let Door::Open(listener) = door else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            // The client has gone already, or there are no file descriptors just now.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn carry_out(order: Order, door: Door, port: u16) -> Door {
    let (door, done) = match (order, door) {
        (Order::Pause(done), Door::Open(listener)) => {
            drop(listener);
            (Door::Closed(bind_again(port).await), done)
        }
        (Order::Resume(done), Door::Closed(socket)) => (
            Door::Open(socket.listen(1024).expect("the port is ours")),
            done,
        ),
        (Order::Pause(done) | Order::Resume(done), door) => (door, done),
    };
    // Who asked may have given up waiting.
    let _ = done.send(());
    door
}

/// A process that is being started at this moment still holds a copy of the listener.
async fn bind_again(port: u16) -> TcpSocket {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match bind(port) {
            Ok(socket) => return socket,
            Err(error) if Instant::now() > patience => panic!("port {port} was ours: {error}"),
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
