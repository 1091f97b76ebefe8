//! Carries packets between a connection that stands and the broker.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Hub;
use super::carrier::Stream;
use crate::broker::{Action, Ending};
use crate::codec::{self, Decoder};
use crate::packet::Outgoing;
use crate::record::Event;

/// A client that reads nothing for this long is disconnected.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to close its side.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Serves MQTT until the connection has ended and its socket is closed.
pub(super) async fn converse(
    hub: &Hub,
    number: u64,
    stream: Stream,
    outbox: mpsc::UnboundedReceiver<Action>,
    kill: oneshot::Receiver<Ending>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (why, ending) = tokio::select! {
        biased;
        ending = kill => ("cut".to_owned(), ending.unwrap_or(Ending::Close)),
        end = write(hub, number, &mut writer, outbox) => end,
        why = read(hub, number, &mut reader) => (why, Ending::Close),
    };
    let mut stream = reader.unsplit(writer);
    // A client that sees the end may be back before this task runs again: the end must be recorded before.
    hub.broker().closed(number, &why, Instant::now());
    match ending {
        Ending::Close => close(stream).await,
        Ending::Reset => drop(stream.socket().set_zero_linger()),
    }
}

/// Passes packets and deadlines to the broker until the connection ends. Returns why it ended.
async fn read(hub: &Hub, number: u64, reader: &mut ReadHalf<Stream>) -> String {
    let mut decoder = Decoder::new(hub.largest);
    let mut input = BytesMut::with_capacity(64 * 1024);
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(packet)) => {
                hub.broker().received(number, packet, Instant::now());
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                hub.broker().undecodable(number, error, Instant::now());
                // What follows cannot be decoded. The end is in the outbox already, and writing it has a deadline.
                std::future::pending().await
            }
        }
        let deadline = hub.broker().deadline(number);
        input.reserve(16 * 1024);
        tokio::select! {
            read = reader.read_buf(&mut input) => match read {
                Ok(0) => return "closed by the client".to_owned(),
                Ok(_) => {}
                Err(error) => return format!("connection lost: {error}"),
            },
            () = super::until(deadline) => hub.broker().tick(number, Instant::now()),
        }
    }
}

/// Writes the packets of the broker until the broker ends the connection.
async fn write(
    hub: &Hub,
    number: u64,
    writer: &mut WriteHalf<Stream>,
    mut outbox: mpsc::UnboundedReceiver<Action>,
) -> (String, Ending) {
    let (mut batch, mut bytes) = (Vec::new(), Vec::new());
    loop {
        // No deadline: the broker sends nothing while nothing happens.
        if outbox.recv_many(&mut batch, 256).await == 0 {
            return ("the broker has ended".to_owned(), Ending::Close);
        }
        let mut ending = None;
        for out in batch.drain(..) {
            match out {
                Action::Send(version, packet) => {
                    bytes.extend(codec::encode(version, &packet));
                    hub.journal.write(number, sent(*packet));
                }
                Action::End(how) => ending = Some(how),
            }
        }
        if let Err(why) = write_all(writer, &bytes).await {
            return (why, Ending::Close);
        }
        bytes.clear();
        if let Some(ending) = ending {
            return ("ended by the broker".to_owned(), ending);
        }
    }
}

async fn write_all(writer: &mut WriteHalf<Stream>, bytes: &[u8]) -> Result<(), String> {
    let all = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    match timeout(WRITE_LIMIT, all).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("connection lost: {error}")),
        Err(_) => Err("the client does not read".to_owned()),
    }
}

/// Closes the connection so that everything that was written arrives: dropping a socket with unread input resets it.
async fn close(mut stream: Stream) {
    let closed = async {
        stream.shutdown().await?;
        let (socket, mut ignored) = (stream.socket(), [0; 4096]);
        while socket.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whether the client closes its side makes no difference.
    let _ = timeout(CLOSE_LIMIT, closed).await;
}

fn sent(packet: Outgoing) -> Event {
    match packet {
        Outgoing::Connack {
            code,
            session_present,
            ..
        } => Event::ConnackSent {
            code,
            session_present,
        },
        Outgoing::Publish { packet_id, message } => Event::Delivered {
            topic: message.topic,
            packet_id,
            qos: message.qos,
        },
        Outgoing::Puback { packet_id, code } => Event::PubackSent { packet_id, code },
        Outgoing::Suback { codes, .. } => Event::SubackSent { codes },
        Outgoing::Unsuback { codes, .. } => Event::UnsubackSent { codes },
        Outgoing::PingResponse => Event::PingResponse,
        Outgoing::Disconnect { reason } => Event::DisconnectSent { reason },
    }
}
