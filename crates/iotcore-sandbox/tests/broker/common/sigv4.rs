//! Signs upgrade requests as a client does: written apart from the sandbox's check.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// The key of the tests.
pub fn key() -> Key {
    Key {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        token: None,
    }
}

/// Path and query of an upgrade to `localhost` that is signed now, this many seconds later.
pub fn target(key: &Key, later: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    presigned(
        key,
        "localhost",
        "eu-west-1",
        now.as_secs().checked_add_signed(later).unwrap(),
    )
}

fn presigned(key: &Key, host: &str, region: &str, at: u64) -> String {
    let date = date(at);
    let day = &date[..8];
    let scope = format!("{day}/{region}/iotdevicegateway/aws4_request");
    let credential = escape(&format!("{}/{scope}", key.id));
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-SignedHeaders=host"
    );
    let empty = sha256("");
    let canonical = format!("GET\n/mqtt\n{query}\nhost:{host}\n\nhost\n{empty}");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
    let mut secret = format!("AWS4{}", key.secret).into_bytes();
    for step in [day, region, "iotdevicegateway", "aws4_request", &to_sign] {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        secret = hmac::sign(&signing, step.as_bytes()).as_ref().to_vec();
    }
    let token = key.token.as_deref().map(escape);
    let token = token.map_or(String::new(), |token| {
        format!("&X-Amz-Security-Token={token}")
    });
    format!("/mqtt?{query}&X-Amz-Signature={}{token}", hex(&secret))
}

pub fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Like `20260102T030405Z`; the days are counted in eras of 400 years from a first of March.
fn date(at: u64) -> String {
    let days = at / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
    format!("{year}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_signer_of_the_tests_makes_the_known_signature() {
    let mut key = key();
    key.token = Some("AQoDYXdz/+==token".to_owned());
    let host = "example-ats.iot.eu-west-1.amazonaws.com";
    let signed = presigned(&key, host, "eu-west-1", 1_767_323_045);
    let end = "&X-Amz-Signature=d5613efea740148c1496761c815494cbe0b79005a6c4fc30ccadf1a90a5cf626&X-Amz-Security-Token=AQoDYXdz%2F%2B%3D%3Dtoken";
    assert!(signed.contains("X-Amz-Date=20260102T030405Z&"), "{signed}");
    assert!(signed.ends_with(end), "{signed}");
}
