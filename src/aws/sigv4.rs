//! Pure: a signed address for a WebSocket: its query says who asks (AWS Signature Version 4).

use std::time::SystemTime;

use ring::{digest, hmac};

use super::encode::{hex, percent};
use super::keys::AccessKeys;
use crate::date::basic;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service's name for devices that speak MQTT.
const SERVICE: &str = "iotdevicegateway";
/// The address is used at once. AWS takes none that is older than a few minutes, whatever it says itself.
const VALID_S: u32 = 900;

/// What is signed, apart from the keys.
struct Signing<'a> {
    host: &'a str,
    path: &'a str,
    region: &'a str,
    service: &'a str,
    at: SystemTime,
    expires: Option<u32>,
    /// The digest of the body, or a word for it.
    payload: &'a str,
}

/// Path and query that a WebSocket for MQTT is asked for with. To be used within minutes, and never logged.
/// `host` is what stands in the request's header.
// The session token is no part of what is signed, unlike elsewhere at AWS: with it, the answer is 403.
pub fn presigned(
    keys: &AccessKeys,
    host: &str,
    path: &str,
    region: &str,
    at: SystemTime,
) -> String {
    let signing = Signing {
        host,
        path,
        region,
        service: SERVICE,
        at,
        expires: Some(VALID_S),
        payload: &hex(digest::digest(&digest::SHA256, b"").as_ref()),
    };
    signing.address(keys)
}

impl Signing<'_> {
    fn address(&self, keys: &AccessKeys) -> String {
        let query = self.query(&keys.id);
        let signature = hex(&self.signature(&keys.secret, &query));
        let token = keys.session_token.as_deref();
        let token = token
            .map(|token| format!("&X-Amz-Security-Token={}", percent(token)))
            .unwrap_or_default();
        format!("{}?{query}&X-Amz-Signature={signature}{token}", self.path)
    }

    /// The parameters, in the order of their names.
    fn query(&self, id: &str) -> String {
        let credential = percent(&format!("{id}/{}", self.scope()));
        let expires = self
            .expires
            .map(|seconds| format!("&X-Amz-Expires={seconds}"))
            .unwrap_or_default();
        format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={}{expires}&X-Amz-SignedHeaders=host",
            basic(self.at)
        )
    }

    fn scope(&self) -> String {
        let date = basic(self.at);
        format!(
            "{}/{}/{}/aws4_request",
            &date[..8],
            self.region,
            self.service
        )
    }

    fn signature(&self, secret: &str, query: &str) -> Vec<u8> {
        let Signing {
            host,
            path,
            payload,
            ..
        } = self;
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{payload}");
        let digest = digest::digest(&digest::SHA256, request.as_bytes());
        let (date, scope) = (basic(self.at), self.scope());
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(digest.as_ref()));
        let key = signing_key(secret, &date[..8], self.region, self.service);
        authenticated(&key, &to_sign)
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    let first = format!("AWS4{secret}").into_bytes();
    [day, region, service, "aws4_request"]
        .into_iter()
        .fold(first, |key, part| authenticated(&key, part))
}

fn authenticated(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const HOST: &str = "example-ats.iot.eu-west-1.amazonaws.com";
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn keys(id: &str, secret: &str, token: Option<&str>) -> AccessKeys {
        AccessKeys::new(id, secret, token, None).unwrap()
    }

    fn iot(expires: Option<u32>) -> Signing<'static> {
        Signing {
            host: HOST,
            path: "/mqtt",
            region: "eu-west-1",
            service: SERVICE,
            at: UNIX_EPOCH + Duration::from_secs(1_767_323_045),
            expires,
            payload: OF_NOTHING,
        }
    }

    /// Published by AWS.
    #[test]
    fn the_key_is_that_of_the_vector() {
        let key = signing_key(SECRET, "20150830", "us-east-1", "iam");
        let expect = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        assert_eq!(hex(&key), expect);
    }

    /// Published by AWS, for another service.
    #[test]
    fn the_signature_is_that_of_the_vector() {
        let signing = Signing {
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            region: "us-east-1",
            service: "s3",
            at: UNIX_EPOCH + Duration::from_secs(1_369_353_600),
            expires: Some(86_400),
            payload: "UNSIGNED-PAYLOAD",
        };
        let keys = keys(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
        );
        assert!(signing.address(&keys).ends_with(
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        ));
    }

    /// The signature is what AWS's own library makes without the token.
    #[test]
    fn the_session_token_is_appended_and_not_signed() {
        let keys = keys("AKIDEXAMPLE", SECRET, Some("AQoDYXdz/+==token"));
        assert_eq!(
            iot(Some(86_400)).address(&keys),
            "/mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fiotdevicegateway%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=4328052c0ed6326c5f9d651961983fc772384e05aab286c9cd5cfcd31784b336&X-Amz-Security-Token=AQoDYXdz%2F%2B%3D%3Dtoken"
        );
        let expect = "&X-Amz-Signature=d5613efea740148c1496761c815494cbe0b79005a6c4fc30ccadf1a90a5cf626&X-Amz-Security-Token=AQoDYXdz%2F%2B%3D%3Dtoken";
        assert!(iot(None).address(&keys).ends_with(expect));
    }

    #[test]
    fn an_address_is_for_the_service_of_devices_and_for_minutes() {
        let at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let address = presigned(
            &keys("AKIDEXAMPLE", SECRET, None),
            HOST,
            "/mqtt",
            "eu-west-1",
            at,
        );
        assert_eq!(
            address,
            iot(Some(VALID_S)).address(&keys("AKIDEXAMPLE", SECRET, None))
        );
    }
}
