//! The task of one connection, up to where MQTT begins: TLS, the status of the certificate, the upgrade to WebSocket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::carrier::Stream;
use super::tls::{Secured, Spoken};
use super::{Entrance, Hub, connection, web};
use crate::access::{Arrival, Proof, Standing, Transport};
use crate::broker::{Ending, OpenedConnection};
use crate::faults::What;
use crate::pki::CertificateStatus;
use crate::record::Event;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to read the last bytes of a connection that is refused.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Serves one connection from accept to close.
pub(super) async fn serve(
    hub: Arc<Hub>,
    entrance: Entrance,
    opened: OpenedConnection,
    socket: TcpStream,
) {
    let OpenedConnection {
        number,
        fault,
        outbox,
        mut kill,
    } = opened;
    // Acknowledgements are small: they must not be delayed to fill a segment.
    let _ = socket.set_nodelay(true);
    let arrived = match fault {
        Some(What::StallTls) => Err(stall(socket, &mut kill).await),
        Some(_) => Err("refused by the fault script".to_owned()),
        None => tokio::select! {
            _ = &mut kill => Err("cut".to_owned()),
            arrived = arrive(&hub, entrance, number, socket) => arrived,
        },
    };
    match arrived {
        Ok((stream, arrival)) => {
            hub.broker().arrived(number, arrival, Instant::now());
            connection::converse(&hub, number, stream, outbox, kill).await;
        }
        Err(why) => hub.broker().closed(number, &why, Instant::now()),
    }
}

/// Sends nothing until the client closes the connection or the sandbox cuts it.
async fn stall(mut socket: TcpStream, kill: &mut oneshot::Receiver<Ending>) -> String {
    let mut ignored = [0; 1024];
    // No deadline: that is the fault.
    let ignore = async { while socket.read(&mut ignored).await.is_ok_and(|count| count > 0) {} };
    tokio::select! {
        _ = kill => "cut".to_owned(),
        () = ignore => "the client gave up".to_owned(),
    }
}

/// Everything before MQTT. Returns what carries it and what is known of the client, or why the connection has ended.
async fn arrive(
    hub: &Hub,
    entrance: Entrance,
    number: u64,
    socket: TcpStream,
) -> Result<(Stream, Arrival), String> {
    let secured = shake_hands(hub, entrance, number, socket).await?;
    let (stream, transport, standing): (Stream, _, _) = match secured.certificate_id {
        _ if secured.spoken == Spoken::Web => {
            let (stream, standing) = web::upgrade(hub, number, secured.stream).await?;
            (Box::new(stream), Transport::WebSocket, standing)
        }
        Some(id) => {
            let (proof, identity) = (Proof::Certificate, id.into());
            let standing = Standing::Proved { proof, identity };
            (Box::new(secured.stream), Transport::Tls, standing)
        }
        None => {
            let standing = Standing::Undecided(None);
            (Box::new(secured.stream), Transport::Tls, standing)
        }
    };
    let arrival = Arrival {
        transport,
        standing,
    };
    Ok((stream, arrival))
}

/// The TLS handshake, and the check of the certificate's status that AWS makes right after it. Returns why the connection
/// has ended otherwise.
async fn shake_hands(
    hub: &Hub,
    entrance: Entrance,
    number: u64,
    socket: TcpStream,
) -> Result<Secured, String> {
    let handshake = timeout(HANDSHAKE_LIMIT, hub.tls.accept(entrance, socket)).await;
    let handshake = handshake.unwrap_or_else(|_| Err("the handshake took too long".to_owned()));
    let mut secured = handshake.map_err(|reason| {
        hub.journal.write(number, Event::TlsFailed { reason });
        "the TLS handshake failed".to_owned()
    })?;
    let status = secured
        .certificate_id
        .as_deref()
        .map(|id| hub.statuses.of(id));
    hub.journal.write(
        number,
        Event::TlsEstablished {
            sni: secured.sni.clone(),
            alpn: secured.alpn.clone(),
            certificate_id: secured.certificate_id.clone(),
        },
    );
    match status {
        None | Some(CertificateStatus::Active) => Ok(secured),
        Some(
            CertificateStatus::Inactive
            | CertificateStatus::Revoked
            | CertificateStatus::PendingActivation
            | CertificateStatus::Deleted,
        ) => {
            let _ = timeout(CLOSE_LIMIT, secured.stream.shutdown()).await;
            Err("the certificate is not active".to_owned())
        }
    }
}
