//! Carries bytes between the MQTT client and the stream to the broker. The client takes no stream of
//! ours, so it connects to a socket of this process, and one task copies.

mod disconnects;
mod listener;

use std::io;
use std::pin::{Pin, pin};
use std::process;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::net::Stream;
use disconnects::Disconnects;
use listener::RelayListener;

/// Bytes that are read, written and flushed together: half of the largest TLS record.
const CHUNK: usize = 8 * 1024;
/// So long may a chunk take, or the link is as good as dead.
const STALL: Duration = Duration::from_secs(30);
/// For what the broker said before it closed the stream, and for our own DISCONNECT.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why there is nothing more to carry.
#[derive(Debug)]
pub enum RelayEnd {
    /// The client has closed its socket. What it sent before is written, and the stream shut down.
    ByClient,
    ByBroker,
    Failed(io::Error),
    /// Nothing could be written for 30 s.
    Stalled,
}

/// One connection's task. Dropping it cuts the stream.
pub struct Relay {
    task: JoinHandle<RelayEnd>,
    marks: watch::Sender<u64>,
    flushed: watch::Receiver<u64>,
    told: u64,
}

impl Relay {
    /// Starts carrying as soon as the client connects to the socket, whose name comes with it.
    ///
    /// # Errors
    /// No socket can be made.
    pub fn start(stream: Box<dyn Stream>) -> io::Result<(Relay, String)> {
        let listener = RelayListener::open()?;
        let name = listener.name().to_owned();
        let (marks, made) = watch::channel(0);
        let (reached, flushed) = watch::channel(0);
        let marked = Marks { made, reached };
        let task = tokio::spawn(async move {
            match listener.accept(process::id()).await {
                Ok(client) => carry(client, stream, marked, STALL).await,
                Err(error) => RelayEnd::Failed(error),
            }
        });
        let relay = Relay {
            task,
            marks,
            flushed,
            told: 0,
        };
        Ok((relay, name))
    }

    /// Marks what the client has written so far.
    pub fn mark(&self) {
        self.marks.send_modify(|count| *count += 1);
    }

    /// Waits until what stands before further marks is written to the stream and flushed, and
    /// returns how many marks that are. Never comes when the stream has ended. May be dropped
    /// half-way.
    pub async fn flushed(&mut self) -> u64 {
        if self.flushed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.newly_flushed()
    }

    /// The same, without waiting.
    pub fn newly_flushed(&mut self) -> u64 {
        let count = *self.flushed.borrow_and_update();
        count - std::mem::replace(&mut self.told, count)
    }

    /// Why there is nothing more to carry. To be asked once, when the client has closed its socket.
    pub async fn ended(&mut self) -> RelayEnd {
        (&mut self.task)
            .await
            .unwrap_or_else(|fault| RelayEnd::Failed(io::Error::other(fault)))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The relay's end of the marks.
struct Marks {
    made: watch::Receiver<u64>,
    reached: watch::Sender<u64>,
}

async fn carry(
    client: UnixStream,
    stream: Box<dyn Stream>,
    mut marks: Marks,
    stall: Duration,
) -> RelayEnd {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = tokio::io::split(stream);
    let ended = {
        let mut down = pin!(down(&mut from_broker, &mut to_client));
        tokio::select! {
            ended = &mut down => ended,
            ended = up(&mut from_client, &mut to_broker, &mut marks, stall) => match ended {
                RelayEnd::Failed(error) => last_words(down, error).await,
                ended => ended,
            },
        }
    };
    if !matches!(ended, RelayEnd::ByClient) {
        // The client reads what has come before it sees the end. What it still sends goes nowhere.
        let _ = to_client.shutdown().await;
        let _ = tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await;
    }
    if !matches!(ended, RelayEnd::Stalled) {
        let _ = timeout(LAST_WORDS, to_broker.shutdown()).await;
    }
    ended
}

/// Writing has failed: what the broker has said is still to be read, perhaps why it closed the stream.
async fn last_words(down: Pin<&mut impl Future<Output = RelayEnd>>, error: io::Error) -> RelayEnd {
    let said = match timeout(LAST_WORDS, down).await {
        Ok(RelayEnd::Failed(reason)) => Some(reason),
        Ok(RelayEnd::ByClient | RelayEnd::ByBroker | RelayEnd::Stalled) | Err(_) => None,
    };
    // A reason of TLS is the broker's; one of the operating system says no more than ours.
    let reason = said.filter(|reason| reason.get_ref().is_some());
    RelayEnd::Failed(reason.unwrap_or(error))
}

/// From the client to the broker, until one of them fails.
async fn up(
    client: &mut OwnedReadHalf,
    broker: &mut WriteHalf<Box<dyn Stream>>,
    marks: &mut Marks,
    stall: Duration,
) -> RelayEnd {
    let mut chunk = vec![0; CHUNK];
    loop {
        let marked = tokio::select! {
            _ = client.readable() => false,
            Ok(()) = marks.made.changed() => true,
        };
        // Everything before this mark is in the socket already, or was read before.
        let mark = *marks.made.borrow_and_update();
        let length = match read(client, &mut chunk, marked) {
            Ok(0) => return RelayEnd::ByClient,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return RelayEnd::ByClient,
        };
        match timeout(stall, write(broker, &chunk[..length])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return RelayEnd::Failed(error),
            Err(_) => return RelayEnd::Stalled,
        }
        if length < CHUNK {
            // The socket was empty.
            marks.reached.send_replace(mark);
        }
    }
}

/// What lies in the socket. For a mark the socket itself is asked: the runtime may not know yet
/// that something lies there.
fn read(client: &OwnedReadHalf, chunk: &mut [u8], marked: bool) -> io::Result<usize> {
    if marked {
        Ok(nix::unistd::read(client.as_ref(), chunk)?)
    } else {
        client.try_read(chunk)
    }
}

async fn write(broker: &mut WriteHalf<Box<dyn Stream>>, chunk: &[u8]) -> io::Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    broker.write_all(chunk).await?;
    broker.flush().await
}

/// From the broker to the client, until one of them fails.
async fn down(broker: &mut ReadHalf<Box<dyn Stream>>, client: &mut OwnedWriteHalf) -> RelayEnd {
    let mut chunk = vec![0; CHUNK];
    let mut disconnects = Disconnects::default();
    let mut whole = Vec::new();
    loop {
        let length = match broker.read(&mut chunk).await {
            Ok(0) => return RelayEnd::ByBroker,
            Ok(length) => length,
            Err(error) => return RelayEnd::Failed(error),
        };
        whole.clear();
        disconnects.complete(&chunk[..length], &mut whole);
        if client.write_all(&whole).await.is_err() {
            return RelayEnd::ByClient;
        }
    }
}

#[cfg(test)]
mod tests;
