//! Pure: whether a request to upgrade to MQTT over WebSocket is accepted, and as whom.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::query::{Pairs, parse};
use super::{Access, Proof, Refusal, Shown, Standing, sigv4};
use crate::http::Request;

/// An upgrade request that is accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub standing: Standing,
    /// The key of the WebSocket handshake.
    pub key: String,
}

/// Decides about a request that arrived at this time, in seconds since the epoch.
pub(crate) fn consider(request: &Request, access: &Access, now: u64) -> Result<Accepted, Refusal> {
    let key = websocket_key(request)?;
    let Some(query) = parse(&request.query) else {
        return Err(Refusal::new(400, "the query is malformed"));
    };
    if sigv4::claimed(&query) {
        let standing = signed(request, &query, access, now)?;
        return Ok(Accepted { standing, key });
    }
    let shown = Shown {
        parameters: query,
        headers: request.headers.clone(),
    };
    if access.authorizers.concerned(&shown) {
        let authorizer = Arc::clone(access.authorizers.check(&shown)?);
        let standing = Standing::Undecided(Some(authorizer));
        return Ok(Accepted { standing, key });
    }
    if access.authorizers.is_empty() {
        return Err(Refusal::new(403, "Missing Authentication Token"));
    }
    // The CONNECT may name an authoriser.
    let standing = Standing::Undecided(None);
    Ok(Accepted { standing, key })
}

fn signed(
    request: &Request,
    query: &Pairs,
    access: &Access,
    now: u64,
) -> Result<Standing, Refusal> {
    let signed = sigv4::Signed {
        path: &request.path,
        query,
        host: request.header("host").unwrap_or_default(),
    };
    let key = sigv4::check(&signed, &access.keys(), &access.region, now)?;
    Ok(Standing::Proved {
        proof: Proof::AccessKey,
        identity: key.identity,
    })
}

/// The key of a request that is an upgrade to MQTT over WebSocket.
fn websocket_key(request: &Request) -> Result<String, Refusal> {
    if request.path != "/mqtt" {
        return Err(Refusal::new(404, "the path of MQTT is /mqtt"));
    }
    let has = |name: &str, expected: &str| {
        let values = request
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut items = values.flat_map(|(_, value)| value.split(','));
        items.any(|item| item.trim().eq_ignore_ascii_case(expected))
    };
    if request.method != "GET" || !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(Refusal::new(400, "not an upgrade to WebSocket"));
    }
    if !has("sec-websocket-version", "13") {
        return Err(Refusal::new(400, "Sec-WebSocket-Version must be 13"));
    }
    if !has("sec-websocket-protocol", "mqtt") {
        return Err(Refusal::new(400, "Sec-WebSocket-Protocol must be mqtt"));
    }
    let key = request.header("sec-websocket-key").unwrap_or_default();
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key.to_owned()),
        _ => Err(Refusal::new(
            400,
            "Sec-WebSocket-Key must be 16 bytes in base64",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{AccessSettings, Authorizer};

    const HEADERS: [(&str, &str); 6] = [
        ("Host", "localhost"),
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "mqtt"),
    ];

    fn request(target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: HEADERS.into_iter().map(owned).collect(),
        }
    }

    fn access(authorizers: Vec<Authorizer>) -> Access {
        Access::new(AccessSettings {
            authorizers,
            ..AccessSettings::default()
        })
    }

    fn status(request: &Request, access: &Access) -> Result<Standing, u16> {
        let considered = consider(request, access, 0);
        considered
            .map(|accepted| accepted.standing)
            .map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_an_upgrade_to_mqtt_is_accepted() {
        let access = access(vec![Authorizer::new("a")]);
        assert_eq!(
            status(&request("/mqtt"), &access),
            Ok(Standing::Undecided(None))
        );
        assert_eq!(status(&request("/"), &access), Err(404));
        assert_eq!(status(&request("/mqtt/"), &access), Err(404));
        assert_eq!(status(&request("/mqtt?a=%"), &access), Err(400));
        for (name, _) in &HEADERS[1..] {
            let mut without = request("/mqtt");
            without.headers.retain(|(other, _)| other != name);
            assert_eq!(status(&without, &access), Err(400), "{name}");
        }
        let mut post = request("/mqtt");
        "POST".clone_into(&mut post.method);
        assert_eq!(status(&post, &access), Err(400));
    }

    #[test]
    fn without_any_proof_there_must_be_an_authoriser_to_ask() {
        assert_eq!(status(&request("/mqtt"), &access(Vec::new())), Err(403));
        let named = "/mqtt?x-amz-customauthorizer-name=a";
        assert_eq!(status(&request(named), &access(Vec::new())), Err(403));
    }

    #[test]
    fn an_authoriser_may_be_named_in_the_query_or_the_headers() {
        let access = access(vec![Authorizer::new("a").token("t")]);
        let decided = |standing| matches!(standing, Ok(Standing::Undecided(Some(_))));
        let name = "x-amz-customauthorizer-name";
        assert!(decided(status(
            &request(&format!("/mqtt?{name}=a&token=t")),
            &access
        )));
        assert_eq!(
            status(&request(&format!("/mqtt?{name}=a&token=u")), &access),
            Err(401)
        );
        assert_eq!(
            status(&request(&format!("/mqtt?{name}=b&token=t")), &access),
            Err(403)
        );
        assert_eq!(status(&request("/mqtt?token=t"), &access), Err(403));

        let mut request = request("/mqtt");
        request
            .headers
            .push(("X-Amz-CustomAuthorizer-Name".to_owned(), "a".to_owned()));
        assert_eq!(status(&request, &access), Err(401));
        request.headers.push(("Token".to_owned(), "t".to_owned()));
        assert!(decided(status(&request, &access)));
    }
}
