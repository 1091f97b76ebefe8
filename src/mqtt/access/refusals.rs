//! Pure: what it means when we are refused without a certificate, and what to do.

use std::time::{Duration, SystemTime};

use super::options::AuthorizerOptions;
use super::proof::Proof;
use crate::date;
use crate::net::{Class, Ending, closed};
use crate::text::shortened;

/// The application protocol in the words of who knows certificates only.
const WITH_CERTIFICATE: &str = "x-amzn-mqtt-ca";

/// Signatures are refused from so much on.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// Of a body, in the log.
const LONGEST_BODY: usize = 200;

/// An ending where a custom authoriser judges.
pub fn by_authorizer(ending: Ending, options: &AuthorizerOptions) -> Ending {
    let who = options.described();
    let mut why = format!("{who} may have refused user name, password or token");
    why.push_str(", or its policy forbids this client id");
    without_certificate(ending, &why)
}

/// An ending where access keys were accepted for the WebSocket.
pub fn by_policy_of_keys(ending: Ending) -> Ending {
    without_certificate(
        ending,
        "the policy of the access keys' role may forbid iot:Connect for this client id",
    )
}

/// `refusal` is what may be the reason where the broker refuses us.
fn without_certificate(ending: Ending, refusal: &str) -> Ending {
    let about_us = ending.certificate;
    // What the credential provider has against our certificate is told as it is.
    let wants_certificate =
        (about_us && ending.class == Class::TlsCert) || ending.reason.contains(WITH_CERTIFICATE);
    let ending = Ending {
        certificate: false,
        ..ending
    };
    let closed = closed(false).reason;
    if let Some(more) = ending.reason.strip_prefix(&closed) {
        Ending {
            reason: format!("closed before CONNACK, {refusal}{more}"),
            ..ending
        }
    } else if ending.class == Class::Refused && about_us {
        Ending {
            reason: format!("{}: {refusal}", ending.reason),
            ..ending
        }
    } else if wants_certificate {
        Ending {
            class: Class::Tls,
            reason: "the broker wants a certificate on this port, and none is shown with --transport=wss or --authorizer; AWS has them on port 443".to_owned(),
            ..ending
        }
    } else {
        ending
    }
}

/// The answer to a request for a WebSocket that is none.
pub fn by_upgrade(
    status: u16,
    date: Option<&str>,
    body: &[u8],
    proof: &Proof,
    now: SystemTime,
) -> Ending {
    let signed = matches!(proof, Proof::Signature { .. });
    let denied = matches!(status, 400 | 401 | 403);
    if let Some(clock) = clock_is_wrong(date, now).filter(|_| signed && denied) {
        return clock;
    }
    let meaning = match (status, proof) {
        (400 | 401 | 403, Proof::Signature { keys, region }) => format!(
            "; the access keys {} are wrong, have expired or were withdrawn, or the region is not '{region}'",
            keys.id
        ),
        (401 | 403, Proof::Authorizer(told)) => match &told.authorizer.name {
            Some(name) => format!(
                "; the authoriser '{name}' refuses user name, token or signature, or there is none of this name"
            ),
            None => "; the endpoint's default authoriser refuses us, or there is none".to_owned(),
        },
        (404 | 405, _) => "; there is no MQTT under /mqtt, check the endpoint".to_owned(),
        (300..=399, _) => {
            "; another place is named, which is not followed, check the endpoint".to_owned()
        }
        (429 | 500..=599, _) => "; it may pass".to_owned(),
        (_, _) => String::new(),
    };
    let said = said(body, &proof.secrets());
    let reason =
        format!("the request for a WebSocket was answered with status {status}{meaning}{said}");
    Ending::new(Class::Http, reason)
}

/// The answer of the credential provider that gives no keys.
pub fn by_provider(status: u16, date: Option<&str>, body: &[u8], now: SystemTime) -> Ending {
    if let Some(clock) = clock_is_wrong(date, now).filter(|_| status == 403) {
        return clock;
    }
    let meaning = match status {
        403 => {
            "; the certificate's policy must allow iot:AssumeRoleWithCertificate for the role alias, and the thing must be attached to the certificate"
        }
        404 => "; there is no such role alias",
        429 | 500..=599 => "; it may pass",
        _ => "",
    };
    let said = said(body, &[]);
    Ending::new(Class::Http, format!("status {status}{meaning}{said}"))
}

/// By the date of an answer: signatures are refused while our clock is so far off.
pub fn clock_is_wrong(date: Option<&str>, now: SystemTime) -> Option<Ending> {
    let theirs = date::http_date(date?)?;
    let (off, way) = match theirs.duration_since(now) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    (off > SKEW).then(|| {
        let minutes = (off.as_secs() + 30) / 60;
        let why =
            format!("our clock is {minutes} minutes {way} that of the server, which refuses us");
        Ending::new(Class::TlsClock, why)
    })
}

/// The beginning of a body; nothing where it is empty or repeats what is secret.
fn said(body: &[u8], secrets: &[String]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let secret = text.contains("X-Amz-") || secrets.iter().any(|secret| text.contains(secret));
    if text.is_empty() || secret {
        String::new()
    } else {
        format!(" ({:?})", shortened(text, LONGEST_BODY))
    }
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
