//! Pure: checks the signature of a request as AWS does for MQTT over WebSocket: SigV4, all of it in the query, and the session
//! token outside of the signature.

use ring::{digest, hmac};

use super::keys::{AccessKey, AccessKeys};
use super::query::{Pairs, encode, find};
use super::{Refusal, date};

const SERVICE: &str = "iotdevicegateway";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SIGNATURE: &str = "X-Amz-Signature";
const TOKEN: &str = "X-Amz-Security-Token";
/// How far the clocks of client and cloud may be apart, in seconds.
const TOLERANCE: u64 = 300;
/// The longest time that a signature may be valid, in seconds.
const LONGEST: u64 = 604_800;
/// The digest of an empty body, in hex.
const NO_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const WRONG_TOKEN: &str = "The security token included in the request is invalid.";

/// A request to be checked.
pub(super) struct Signed<'a> {
    pub path: &'a str,
    pub query: &'a Pairs,
    /// The header of this name. A port in it may take part in the signature or not.
    pub host: &'a str,
}

/// Whether this query claims to be signed.
pub(super) fn claimed(query: &Pairs) -> bool {
    [SIGNATURE, "X-Amz-Algorithm", "X-Amz-Credential"]
        .iter()
        .any(|name| find(query, name).is_some())
}

/// The key with which the request is signed, or why it is refused.
pub(super) fn check(
    request: &Signed,
    keys: &AccessKeys,
    region: &str,
    now: u64,
) -> Result<AccessKey, Refusal> {
    let parts = Parts::of(request.query, region)?;
    let unknown = || refused(WRONG_TOKEN);
    let key = keys.find(parts.key_id).ok_or_else(unknown)?;
    check_time(&parts, now)?;
    if !signs(request, &parts, key, &[SIGNATURE, TOKEN]) {
        let with_token = signs(request, &parts, key, &[SIGNATURE]);
        return Err(refused(match with_token {
            true => {
                "The request signature we calculated does not match the signature you provided: the security token must not take part in it."
            }
            false => {
                "The request signature we calculated does not match the signature you provided."
            }
        }));
    }
    check_token(request.query, key, now)?;
    Ok(key.clone())
}

/// What a signed query consists of.
struct Parts<'a> {
    key_id: &'a str,
    day: &'a str,
    /// Without the key's id.
    scope: &'a str,
    date: &'a str,
    expires: Option<&'a str>,
    signature: &'a str,
    region: &'a str,
}

impl<'a> Parts<'a> {
    fn of(query: &'a Pairs, region: &'a str) -> Result<Parts<'a>, Refusal> {
        let twice = query
            .iter()
            .find(|(name, _)| query.iter().filter(|(other, _)| other == name).count() > 1);
        if let Some((name, _)) = twice {
            return Err(refused(format!("{name} is there more than once.")));
        }
        let part = |name: &str| {
            let missing = || refused(format!("{name} is missing."));
            find(query, name).ok_or_else(missing)
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(refused(format!("X-Amz-Algorithm must be {ALGORITHM}.")));
        }
        if part("X-Amz-SignedHeaders")? != "host" {
            return Err(refused("X-Amz-SignedHeaders must be host."));
        }
        let date = part("X-Amz-Date")?;
        let (key_id, scope) = part("X-Amz-Credential")?
            .split_once('/')
            .unwrap_or_default();
        let day = date.get(..8).unwrap_or_default();
        let expected = format!("{day}/{region}/{SERVICE}/aws4_request");
        if scope != expected {
            return Err(refused(format!(
                "Credential should be scoped to {expected}."
            )));
        }
        Ok(Parts {
            key_id,
            day,
            scope,
            date,
            expires: find(query, "X-Amz-Expires"),
            signature: part(SIGNATURE)?,
            region,
        })
    }
}

fn check_time(parts: &Parts, now: u64) -> Result<(), Refusal> {
    let Some(signed) = date::from_basic(parts.date) else {
        return Err(refused("X-Amz-Date must be like 20260102T030405Z."));
    };
    let valid = match parts.expires.map(str::parse::<u64>) {
        None => TOLERANCE,
        Some(Ok(seconds)) if (1..=LONGEST).contains(&seconds) => seconds.min(TOLERANCE),
        Some(_) => {
            return Err(refused("X-Amz-Expires must be from 1 to 604800."));
        }
    };
    let here = date::iso(now);
    match now {
        _ if signed > now + TOLERANCE => Err(refused(format!(
            "Signature not yet current: {} is later than {here} by more than 5 minutes.",
            parts.date
        ))),
        _ if now > signed + valid => Err(refused(format!(
            "Signature expired: {} is now earlier than {here} by more than {valid} seconds.",
            parts.date
        ))),
        _ => Ok(()),
    }
}

/// The token must be that of the key, and the last parameter.
fn check_token(query: &Pairs, key: &AccessKey, now: u64) -> Result<(), Refusal> {
    if find(query, TOKEN) != key.session_token.as_deref() {
        return Err(refused(WRONG_TOKEN));
    }
    let last = query.last().map(|(name, _)| name.as_str());
    if key.session_token.is_some() && last != Some(TOKEN) {
        return Err(refused(
            "X-Amz-Security-Token must be the last parameter of the query.",
        ));
    }
    match key.ends {
        Some(end) if now >= end => Err(refused(
            "The security token included in the request is expired.",
        )),
        _ => Ok(()),
    }
}

/// Whether the signature is that of everything in the query but these parameters.
fn signs(request: &Signed, parts: &Parts, key: &AccessKey, without: &[&str]) -> bool {
    let (host, _) = request.host.split_once(':').unwrap_or((request.host, ""));
    let signing_key = signing_key(&key.secret, parts.day, parts.region, SERVICE);
    [request.host, host].iter().any(|host| {
        let canonical = canonical(request.path, request.query, without, host, NO_BODY);
        signature(&signing_key, parts.date, parts.scope, &canonical) == parts.signature
    })
}

fn canonical(path: &str, query: &Pairs, without: &[&str], host: &str, body: &str) -> String {
    let signed = query
        .iter()
        .filter(|(name, _)| !without.contains(&name.as_str()));
    let mut pairs: Vec<String> = signed
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.sort();
    format!(
        "GET\n{path}\n{}\nhost:{host}\n\nhost\n{body}",
        pairs.join("&")
    )
}

fn signature(signing_key: &[u8], date: &str, scope: &str, canonical: &str) -> String {
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{digest}");
    hex(&mac(signing_key, &to_sign))
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    let start = format!("AWS4{secret}").into_bytes();
    [day, region, service, "aws4_request"]
        .iter()
        .fold(start, |key, step| mac(&key, step))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::new(403, why)
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
