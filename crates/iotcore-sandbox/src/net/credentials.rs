//! The credential provider: HTTP with a client certificate, one request for each connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Secured;
use super::{Entrance, Hub, web};
use crate::access::{AccessKey, CredentialTrouble, Refusal, alias, date, grant, thing};
use crate::http::{Request, Response};
use crate::pki::CertificateStatus;
use crate::record::Event;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to close its side.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Serves one connection from accept to close.
pub(super) async fn serve(hub: Arc<Hub>, socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    let handshake = hub.tls.accept(Entrance::Credentials, socket);
    let secured = match timeout(HANDSHAKE_LIMIT, handshake).await {
        Ok(Ok(secured)) => secured,
        Ok(Err(reason)) => return hub.journal.note(Event::TlsFailed { reason }),
        Err(_) => return,
    };
    let Secured {
        mut stream,
        certificate_id: Some(certificate),
        ..
    } = secured
    else {
        return;
    };
    let mut input = BytesMut::new();
    let bytes = match web::read(&mut stream, &mut input).await {
        Ok(Some(request)) => respond(&hub, &request, &certificate),
        Ok(None) => return,
        Err(why) => Some(Response::message(400, &why).bytes(hub.access.now())),
    };
    let mut ignored = [0; 1024];
    let Some(bytes) = bytes else {
        // No deadline: that is the fault.
        while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
        return;
    };
    if web::write(&mut stream, &bytes).await.is_ok() {
        let _ = timeout(CLOSE_LIMIT, stream.shutdown()).await;
    }
}

/// The bytes of the answer; `None` if it never comes.
fn respond(hub: &Hub, request: &Request, certificate: &str) -> Option<Vec<u8>> {
    let trouble = hub.access.credential_faults().next();
    let now = hub.access.now();
    let granted = match trouble {
        Some(CredentialTrouble::Refuse(status)) => Err(Refusal::fault(status)),
        _ => issue(hub, request, certificate, now),
    };
    hub.journal.note(event(request, certificate, &granted));
    let mut response = match &granted {
        Ok(key) => Response::json(200, &document(key)),
        Err(refusal) => Response::message(refusal.status, &refusal.why),
    };
    match trouble {
        Some(CredentialTrouble::Stall) => return None,
        Some(CredentialTrouble::Garble) => "<html>".clone_into(&mut response.body),
        Some(CredentialTrouble::Incomplete) => {
            let incomplete = json!({ "credentials": { "accessKeyId": "ASIA" } });
            response.body = incomplete.to_string();
        }
        Some(CredentialTrouble::Refuse(_) | CredentialTrouble::CutShort) | None => {}
    }
    let mut bytes = response.bytes(now);
    if trouble == Some(CredentialTrouble::CutShort) {
        bytes.truncate(bytes.len() - response.body.len() / 2);
    }
    Some(bytes)
}

/// A new temporary key, with which upgrades may be signed from now on.
fn issue(hub: &Hub, request: &Request, certificate: &str, now: u64) -> Result<AccessKey, Refusal> {
    let broker = hub.broker();
    let inactive = hub.statuses.of(certificate) != CertificateStatus::Active;
    let denied = |alias: &str| inactive || broker.policies.denies_role(certificate, alias);
    let role = grant(request, &hub.access.roles, denied)?;
    let key =
        AccessKey::temporary(role, now).map_err(|error| Refusal::new(500, error.to_string()))?;
    hub.access.keys().add(key.clone());
    Ok(key)
}

fn document(key: &AccessKey) -> Value {
    json!({ "credentials": {
        "accessKeyId": key.id,
        "secretAccessKey": key.secret,
        "sessionToken": key.session_token,
        "expiration": key.ends.map(date::iso),
    } })
}

fn event(request: &Request, certificate: &str, granted: &Result<AccessKey, Refusal>) -> Event {
    let refusal = granted.as_ref().err();
    Event::CredentialsRequested {
        alias: alias(request).map(str::to_owned),
        thing: thing(request).map(str::to_owned),
        certificate_id: certificate.to_owned(),
        status: refusal.map_or(200, |refusal| refusal.status),
        refused: refusal.map(|refusal| refusal.why.clone()),
        access_key_id: granted.as_ref().ok().map(|key| key.id.clone()),
    }
}
