use super::*;
use crate::aws::AccessKeys;

fn at(minutes: u64) -> SystemTime {
    let noon = date::http_date("Tue, 15 Nov 1994 12:00:00 GMT").unwrap();
    noon + Duration::from_secs(60 * minutes)
}

fn signature() -> Proof {
    Proof::Signature {
        keys: AccessKeys::new("AKID", "hush", Some("t0ken"), None).unwrap(),
        region: "eu-west-1".into(),
    }
}

fn upgrade(status: u16, body: &str) -> String {
    by_upgrade(status, None, body.as_bytes(), &signature(), at(0)).to_string()
}

#[test]
fn a_status_says_what_to_look_at() {
    for (status, words) in [
        (
            403,
            "http: the request for a WebSocket was answered with status 403; the access keys AKID are wrong, have expired or were withdrawn, or the region is not 'eu-west-1'",
        ),
        (404, "status 404; there is no MQTT under /mqtt"),
        (302, "status 302; another place is named"),
        (200, "status 200"),
        (503, "status 503; it may pass"),
    ] {
        let text = upgrade(status, "");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_body_is_shown_as_far_as_it_is_no_secret_and_fits() {
    assert!(
        upgrade(403, "{\"message\":\"Forbidden\"}\n")
            .ends_with(" (\"{\\\"message\\\":\\\"Forbidden\\\"}\")")
    );
    assert!(upgrade(403, "a\u{1b}[31m\nb").ends_with("(\"a\\u{1b}[31m\\nb\")"));
    let long = upgrade(403, &"x".repeat(1000));
    assert!(
        long.contains(&format!("{}…", "x".repeat(LONGEST_BODY))),
        "{long}"
    );
    for secret in ["sent: hush", "GET /mqtt?X-Amz-Signature=1", "t0ken"] {
        let text = upgrade(403, secret);
        assert!(text.ends_with("'eu-west-1'"), "{text}");
    }
}

#[test]
fn a_clock_that_is_off_is_told_as_such() {
    for (date, now, expect) in [
        (
            "Tue, 15 Nov 1994 12:06:00 GMT",
            at(0),
            Some("tls-clock: our clock is 6 minutes behind that of the server"),
        ),
        (
            "Tue, 15 Nov 1994 12:00:00 GMT",
            at(90),
            Some("our clock is 90 minutes ahead of that of the server"),
        ),
        ("Tue, 15 Nov 1994 12:04:00 GMT", at(0), None),
        ("soon", at(0), None),
    ] {
        let ending = by_upgrade(403, Some(date), b"", &signature(), now);
        match expect {
            Some(words) => assert!(ending.to_string().contains(words), "{ending}"),
            None => assert_eq!(ending.class, Class::Http),
        }
        // Without a reason to refuse us it is only a clock.
        let ending = by_upgrade(503, Some(date), b"", &signature(), now);
        assert_eq!(ending.class, Class::Http);
    }
    let late = by_provider(403, Some("Tue, 15 Nov 1994 12:06:00 GMT"), b"", at(0));
    assert_eq!(late.class, Class::TlsClock);
}

#[test]
fn without_a_certificate_none_is_to_blame() {
    let options = AuthorizerOptions {
        name: Some("Fleet".into()),
        ..AuthorizerOptions::default()
    };
    for (ending, words) in [
        (
            closed(false),
            "refused: closed before CONNACK, the authoriser 'Fleet' may have refused",
        ),
        (
            Ending::new(Class::Refused, "CONNACK NotAuthorized"),
            "refused: CONNACK NotAuthorized: the authoriser 'Fleet'",
        ),
        (
            Ending::new(Class::Server, "closed by the broker"),
            "server: closed by the broker",
        ),
        (
            Ending::new(Class::TlsCert, "alert"),
            "tls: the broker wants a certificate on this port",
        ),
    ] {
        assert!(ending.certificate, "{ending}");
        let ending = by_authorizer(ending, &options);
        assert!(ending.to_string().starts_with(words), "{ending}");
        assert!(!ending.certificate, "{ending}");
    }
    let coded = format!("{}: WebSocket close 1008", closed(false).reason);
    let ending = by_policy_of_keys(Ending::new(Class::Refused, coded));
    let words = "closed before CONNACK, the policy of the access keys' role may forbid iot:Connect for this client id: WebSocket close 1008";
    assert_eq!(ending.reason, words);
    let alpn = "the broker does not offer x-amzn-mqtt-ca on this port";
    let ending = by_authorizer(Ending::new(Class::Tls, alpn), &options);
    assert!(
        ending.reason.contains("wants a certificate on this port"),
        "{ending}"
    );
    let busy = Ending {
        certificate: false,
        ..Ending::new(Class::Refused, "CONNACK ServerBusy")
    };
    assert_eq!(by_policy_of_keys(busy.clone()), busy);
    let options = AuthorizerOptions::default();
    let text = by_authorizer(closed(false), &options).to_string();
    assert!(text.contains("the endpoint's default authoriser"), "{text}");
}

#[test]
fn the_credential_provider_says_what_is_missing() {
    for (status, words) in [
        (
            403,
            "status 403; the certificate's policy must allow iot:AssumeRoleWithCertificate",
        ),
        (404, "status 404; there is no such role alias (\"{}\")"),
        (500, "status 500; it may pass"),
    ] {
        let ending = by_provider(status, None, b"{}", at(0));
        assert!(ending.reason.contains(words), "{ending}");
        assert!(!ending.certificate);
    }
}
