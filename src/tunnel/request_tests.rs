use super::*;
use serde_json::json;

fn good() -> Value {
    json!({
        "clientAccessToken": "AQGAAXx5secret",
        "clientMode": "destination",
        "region": "eu-west-1",
        "services": ["SSH", "VNC"],
    })
}

fn with(member: &str, value: Value) -> Vec<u8> {
    let mut document = good();
    document[member] = value;
    document.to_string().into_bytes()
}

fn without(member: &str) -> Vec<u8> {
    let mut document = good();
    document.as_object_mut().unwrap().remove(member);
    document.to_string().into_bytes()
}

#[test]
fn a_good_notification_is_read() {
    let request = read(good().to_string().as_bytes()).unwrap();
    assert_eq!(request.token.reveal(), "AQGAAXx5secret");
    assert_eq!(request.region, "eu-west-1");
    assert_eq!(request.services, ["SSH", "VNC"]);
    assert!(read(&without("clientMode")).is_ok(), "a command needs none");
    assert!(read(&with("later", json!({"a": 1}))).is_ok());
}

#[test]
fn a_command_of_the_founding_version_is_read() {
    let document = json!({
        "thing": "pump-7", "region": "eu-west-1", "services": ["SSH"], "token": "AQGAAXx5secret",
    });
    let request = read(document.to_string().as_bytes()).unwrap();
    assert_eq!(request.token.reveal(), "AQGAAXx5secret");
    let why = read(&without("clientAccessToken")).unwrap_err();
    assert!(why.contains("clientAccessToken is missing"), "{why}");
}

#[test]
fn whatever_is_wrong_is_named() {
    for (text, part) in [
        (b"".to_vec(), "is not JSON"),
        (b"[]".to_vec(), "not a JSON object"),
        (
            b"{\"clientAccessToken\": \"AQGAAXx5secret\",}".to_vec(),
            "is not JSON",
        ),
        (
            with("clientMode", json!("source")),
            "clientMode is \"source\"",
        ),
        (with("clientMode", json!(null)), "clientMode is null"),
        (without("clientAccessToken"), "clientAccessToken is missing"),
        (with("clientAccessToken", json!("")), "1 to 4096 printable"),
        (
            with("clientAccessToken", json!("AQGAAXx5secret\n")),
            "printable",
        ),
        (
            with("clientAccessToken", json!("AQGAAXx5secret ü")),
            "printable",
        ),
        (
            with("clientAccessToken", json!(["AQGAAXx5secret"])),
            "printable",
        ),
        (
            with("clientAccessToken", json!("x".repeat(4097))),
            "printable",
        ),
        (without("region"), "region is missing"),
        (with("region", json!("")), "region is \"\""),
        (
            with("region", json!("eu-west-1.evil.example/")),
            "not a name such as",
        ),
        (with("region", json!("x".repeat(33))), "not a name such as"),
        (with("region", json!(7)), "region is 7"),
        (
            with("region", json!("AQGAAXx5secret".repeat(8))),
            "region is something of 114 bytes",
        ),
        (without("services"), "services is missing"),
        (with("services", json!("SSH")), "not a list"),
        (with("services", json!([])), "not a list"),
        (with("services", json!(vec!["x"; 17])), "not a list"),
        (with("services", json!([22])), "holds 22, not a string"),
        (
            with("services", json!(["SSH", "a;b"])),
            "holds \"a;b\", which has other",
        ),
        (with("services", json!(["a=1,b"])), "has other characters"),
        (with("services", json!(["a b"])), "has other characters"),
        (with("services", json!([""])), "is empty"),
        (
            with("services", json!(["x".repeat(129)])),
            "longer than 128",
        ),
    ] {
        let why = read(&text).expect_err(part);
        let shown = String::from_utf8_lossy(&text);
        assert!(why.contains(part), "{shown}: {why}");
        assert!(!why.contains("AQGAAXx5secret"), "{shown}: {why}");
        assert!(why.len() < 200, "{why}");
    }
}

#[test]
fn a_token_never_shows_itself() {
    let request = read(good().to_string().as_bytes()).unwrap();
    let shown = format!("{request:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_command_names_its_thing_or_none() {
    for (text, expect) in [
        ("", Ok(None)),
        (" \n", Ok(None)),
        ("{}", Ok(None)),
        (r#"{"thing":"pump"}"#, Ok(Some("pump".to_owned()))),
    ] {
        assert_eq!(thing(text.as_bytes()), expect, "{text}");
    }
    for bad in ["x", "[]", r#"{"thing":7}"#] {
        assert!(thing(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn random_bytes_never_make_the_reader_panic() {
    let mut random = fastrand::Rng::with_seed(5);
    let text = good().to_string().into_bytes();
    for _ in 0..5000 {
        let mut text = text.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..text.len());
            text[at] = random.u8(..);
        }
        let _ = read(&text);
        let _ = thing(&text);
    }
}
