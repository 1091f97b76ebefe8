//! Custom authorisers: over TLS with the ALPN value `mqtt`, and over WebSocket.

use std::time::Duration;

use iotcore_sandbox::{
    Authorizer, AuthorizerCall, Channel, Deny, Event, Proof, Sandbox, Transport, Version, example,
};

use crate::common::sigv4::escape;
use crate::common::web::open;
use crate::common::{BOTH, ConnectPacket, Device, Seen, anonymous, builder, code, recorded};

const NAME: &str = "x-amz-customauthorizer-name";
const SIGNATURE: &str = "x-amz-customauthorizer-signature";

/// With signing, a user name and a password.
fn gate() -> Authorizer {
    let gate = Authorizer::new("gate")
        .token_key("ticket")
        .identity("pump42");
    let gate = gate.signed_by(example::PUBLIC_KEY).unwrap();
    gate.username("pump").password("s3cret")
}

/// The parameters that it is satisfied with.
fn ticket() -> String {
    let signature = escape(example::SIGNATURE);
    format!(
        "{NAME}=gate&ticket={}&{SIGNATURE}={signature}",
        example::TOKEN
    )
}

/// Connects over TLS with this user name and password; what comes back.
fn over_tls(sandbox: &Sandbox, version: Version, login: Option<(&str, &str)>) -> (Device, Seen) {
    let config = anonymous(sandbox, &["mqtt"]);
    answer(Device::open_at(sandbox.wss_port(), version, config), login)
}

fn answer(mut device: Device, login: Option<(&str, &str)>) -> (Device, Seen) {
    let mut packet = ConnectPacket::new(device.version, "pump");
    if let Some((username, password)) = login {
        packet = packet.with_login(username, password);
    }
    device.send_connect(&packet);
    let seen = device.next();
    (device, seen)
}

fn connack(code: u8) -> Seen {
    let session_present = false;
    Seen::Connack {
        code,
        session_present,
    }
}

fn calls(sandbox: &Sandbox) -> Vec<AuthorizerCall> {
    let call = |record: iotcore_sandbox::Record| match record.event {
        Event::Authorizer(call) => Some(call),
        _ => None,
    };
    sandbox.record().into_iter().filter_map(call).collect()
}

#[test]
fn a_client_with_everything_is_admitted() {
    for version in BOTH {
        let sandbox = builder().authorizer(gate()).start().unwrap();
        let username = format!("pump?{}&SDK=chariot", ticket());
        let (_device, seen) = over_tls(&sandbox, version, Some((&username, "s3cret")));
        assert_eq!(seen, connack(0));
        recorded(&sandbox, |event| {
            *event
                == Event::Admitted {
                    transport: Transport::Tls,
                    proof: Proof::Authorizer,
                    identity: "pump42".to_owned(),
                }
        });
        let expected = AuthorizerCall {
            authorizer: Some("gate".to_owned()),
            channel: Channel::Username,
            username: Some("pump".to_owned()),
            parameters: [NAME, "ticket", SIGNATURE, "SDK"]
                .map(str::to_owned)
                .to_vec(),
            password: true,
            refused: None,
        };
        assert_eq!(calls(&sandbox), [expected]);
        let record = format!("{:?}", sandbox.record());
        for secret in [example::TOKEN, &example::SIGNATURE[..20], "s3cret"] {
            assert!(!record.contains(secret), "{record}");
        }
    }
}

#[test]
fn what_is_wrong_is_refused_and_recorded() {
    for version in BOTH {
        let sandbox = builder().authorizer(gate()).start().unwrap();
        let check = |login: Option<(&str, &str)>, why: &str| {
            let (mut device, seen) = over_tls(&sandbox, version, login);
            assert_eq!(seen, connack(code(version, 5, 0x87)), "{why}");
            assert_eq!(device.next(), Seen::Closed);
            let last = calls(&sandbox).pop().and_then(|call| call.refused);
            assert_eq!(last.as_deref(), Some(why));
        };
        let good = format!("pump?{}", ticket());
        check(Some((&good, "other")), "the password is wrong");
        check(
            Some((&good.replacen("pump", "valve", 1), "s3cret")),
            "the user name is wrong",
        );
        let other = good.replace("ticket=ey", "ticket=Ey");
        check(
            Some((&other, "s3cret")),
            "the signature of the token is wrong",
        );
        // Not encoded, the plus signs are lost.
        let plain = good.replace("%2B", "+");
        check(
            Some((&plain, "s3cret")),
            "the signature of the token is wrong",
        );
        let unknown = good.replace("=gate", "=gates");
        check(
            Some((&unknown, "s3cret")),
            "there is no authoriser \"gates\"",
        );
        let nameless = "no authoriser is named, and there is no default one";
        check(Some(("pump", "s3cret")), nameless);
        check(None, nameless);
        let malformed = "the parameters in the user name are malformed";
        check(Some(("pump?a=%2", "s3cret")), malformed);
    }
}

#[test]
fn the_default_authoriser_needs_no_name() {
    let default = Authorizer::new("door").password("open").by_default();
    let sandbox = builder()
        .authorizer(gate())
        .authorizer(default)
        .start()
        .unwrap();
    let (_device, seen) = over_tls(&sandbox, Version::V5, Some(("anybody", "open")));
    assert_eq!(seen, connack(0));
    let (_device, seen) = over_tls(&sandbox, Version::V5, Some(("anybody", "shut")));
    assert_eq!(seen, connack(0x87));
}

#[test]
fn a_policy_is_for_the_identity_that_the_authoriser_gives() {
    let open = Authorizer::new("door").identity("guest").by_default();
    let sandbox = builder().authorizer(open).start().unwrap();
    sandbox.identity_policy("guest", vec![Deny::Publish("a".to_owned())]);
    let (mut device, seen) = over_tls(&sandbox, Version::V5, None);
    assert_eq!(seen, connack(0));
    let packet_id = device.publish("a", b"", 1);
    assert_eq!(
        device.next(),
        Seen::Puback {
            packet_id,
            code: 0x87
        }
    );
}

#[test]
fn over_websocket_the_upgrade_or_the_connect_tells_the_authoriser() {
    let sandbox = builder().authorizer(gate()).start().unwrap();
    let login = Some(("pump", "s3cret"));
    let channel = || {
        calls(&sandbox)
            .pop()
            .map(|call| (call.channel, call.refused))
    };

    let in_query = format!("/mqtt?{}", ticket());
    let device = open(&sandbox, Version::V5, &in_query, &[]).unwrap();
    assert_eq!(answer(device, login).1, connack(0));
    assert_eq!(channel(), Some((Channel::Upgrade, None)));

    let headers = [
        (NAME, "gate"),
        ("Ticket", example::TOKEN),
        (SIGNATURE, example::SIGNATURE),
    ];
    let device = open(&sandbox, Version::V5, "/mqtt", &headers).unwrap();
    assert_eq!(answer(device, Some(("pump", "other"))).1, connack(0x87));
    let wrong = "the password is wrong".to_owned();
    assert_eq!(channel(), Some((Channel::Upgrade, Some(wrong))));

    let username = format!("pump?{}", ticket());
    let device = open(&sandbox, Version::V5, "/mqtt", &[]).unwrap();
    assert_eq!(answer(device, Some((&username, "s3cret"))).1, connack(0));
    assert_eq!(channel(), Some((Channel::Username, None)));
    recorded(&sandbox, |event| {
        let websocket = Transport::WebSocket;
        matches!(event, Event::Admitted { transport, .. } if *transport == websocket)
    });
}

#[test]
fn an_upgrade_with_a_wrong_token_is_refused() {
    let sandbox = builder().authorizer(gate()).start().unwrap();
    let check = |target: &str, headers: &[(&str, &str)], status: u16| {
        let refused = open(&sandbox, Version::V5, target, headers).err().unwrap();
        assert_eq!(refused.status, status, "{}", refused.body);
    };
    let good = format!("/mqtt?{}", ticket());
    check(&good.replace("=ey", "=Ey"), &[], 401);
    check(&good.replace("=gate", "=gates"), &[], 403);
    check("/mqtt", &[(NAME, "gate")], 401);
    let call = calls(&sandbox).remove(0);
    assert_eq!(
        (call.authorizer.as_deref(), call.channel),
        (Some("gate"), Channel::Upgrade)
    );
    assert_eq!(
        call.refused.as_deref(),
        Some("the signature of the token is wrong")
    );
}

#[test]
fn a_server_name_is_required() {
    let sandbox = builder().authorizer(gate()).start().unwrap();
    let mut config = anonymous(&sandbox, &["mqtt"]);
    config.enable_sni = false;
    let (_device, seen) = answer(
        Device::open_at(sandbox.wss_port(), Version::V5, config),
        None,
    );
    assert!(!matches!(seen, Seen::Connack { .. }), "{seen:?}");
}

#[test]
fn the_authoriser_may_limit_the_life_of_a_connection() {
    for version in BOTH {
        let door = Authorizer::new("door").by_default();
        let door = door.disconnect_after(Duration::from_secs(300));
        let sandbox = builder().authorizer(door).clock_speed(3000.0);
        // Silence ends it later.
        let sandbox = sandbox.limit(|limits| limits.min_keep_alive = Duration::from_secs(1200));
        let sandbox = sandbox.start().unwrap();
        let (mut device, seen) = over_tls(&sandbox, version, None);
        assert_eq!(seen, connack(0));
        device.sees_end(0x87);
        recorded(
            &sandbox,
            |event| matches!(event, Event::Closed { why } if why == "the time of the authoriser is over"),
        );
    }
}
