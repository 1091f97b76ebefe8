use super::*;

fn read(text: &str) -> KeyUri {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn what_p11tool_prints_is_read_with_the_module_behind_it() {
    let uri = read(
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=7ae1;token=chariot;id=%01%fF;object=dev%3Bec;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:///etc/pin",
    );
    assert_eq!(uri.model.as_deref(), Some("SoftHSM v2"));
    assert_eq!(uri.token.as_deref(), Some("chariot"));
    assert_eq!(uri.id, Some(vec![1, 255]));
    assert_eq!(uri.object.as_deref(), Some("dev;ec"));
    assert_eq!(uri.pin_source, Some("/etc/pin".into()));
    assert_eq!(read(&uri.to_string()), uri, "{uri}");
}

#[test]
fn a_pin_file_is_written_in_each_of_the_usual_ways() {
    for source in [
        "/etc/pin",
        "file:/etc/pin",
        "file:///etc/pin",
        "file%3A%2Fetc/pin",
    ] {
        let uri = read(&format!("pkcs11:token=t?module-name=x&pin-source={source}"));
        assert_eq!(uri.pin_source, Some("/etc/pin".into()), "{source}");
    }
}

#[test]
fn only_the_scheme_makes_a_key_uri() {
    assert!(is_key_uri("pkcs11:") && is_key_uri("PKCS11:token=x"));
    assert!(!is_key_uri("/pkcs11:x") && !is_key_uri("pkcs1") && !is_key_uri("é€€€"));
}

#[test]
fn what_is_wrong_is_named_with_the_remedy_and_never_with_a_value() {
    let module = "module-path=/m.so";
    for (text, words) in [
        ("/etc/key.pem", "does not begin with pkcs11:"),
        ("pkcs11:token=t", "add it: pkcs11:"),
        ("pkcs11:token=t;module-path=/m.so", "belongs behind it"),
        ("pkcs11:token=t?module-path=m.so", "not absolute"),
        ("pkcs11:token=t?module-path=/m.so&module-name=m", "use one"),
        ("pkcs11:token=t?module-name=../m", "use module-path"),
        (
            &format!("pkcs11:token=t?{module}&pin-value=s3cr3t"),
            "pin-source=file:/",
        ),
        (
            &format!("pkcs11:token=t;pin-value=s3cr3t?{module}"),
            "pin-source=file:/",
        ),
        (
            &format!("pkcs11:token=t?{module}&pin-source=|cat s3cr3t"),
            "a command",
        ),
        (
            &format!("pkcs11:token=t?{module}&pin-source=file:s3cr3t"),
            "not absolute",
        ),
        (&format!("pkcs11:tokn=s3cr3t?{module}"), "has 'tokn'"),
        (
            &format!("pkcs11:token=t?{module}&pin-source=/x&s3cr3t?=1"),
            "has an attribute",
        ),
        (
            &format!("pkcs11:token=t;token=s3cr3t?{module}"),
            "has token twice",
        ),
        (&format!("pkcs11:s3cr3t?{module}"), "without '='"),
        (&format!("pkcs11:token=s3cr3t%2?{module}"), "a '%' in token"),
        (&format!("pkcs11:token=s3cr3t%é?{module}"), "a '%' in token"),
        (&format!("pkcs11:token=%ff?{module}"), "not UTF-8"),
        (&format!("pkcs11:token=?{module}"), "an empty token"),
        (&format!("pkcs11:id=?{module}"), "an empty id"),
        (&format!("pkcs11:slot-id=s3cr3t?{module}"), "not a number"),
        (&format!("pkcs11:type=cert?{module}"), "other than private"),
        (
            &format!("pkcs11:token={}?{module}", "x".repeat(5000)),
            "longer than",
        ),
    ] {
        let why = text.parse::<KeyUri>().unwrap_err();
        assert!(why.contains(words), "{text}: {why}");
        assert!(!why.contains("s3cr3t"), "{text}: {why}");
    }
}

#[test]
fn names_for_people_say_what_is_looked_for() {
    let uri = read("pkcs11:token=t;slot-id=3?module-name=m");
    assert_eq!(uri.token_name(), "token 't', slot-id '3'");
    assert_eq!(uri.key_name(), "any key");
    let uri = uri.with_key("k\n", &[0xab]);
    assert_eq!(uri.key_name(), "object 'k\\n', id 'ab'");
}

#[test]
fn no_text_makes_reading_panic_and_what_is_read_stays_the_same() {
    let mut random = fastrand::Rng::with_seed(11);
    let start = "pkcs11:token=a%20b;object=é;id=%01?module-path=/m.so&pin-source=/p";
    for _ in 0..20_000 {
        let mut text: Vec<char> = start.chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..text.len());
            match random.u8(..3) {
                0 => text[at] = ['%', ';', '?', '=', '&', 'é', '\0', '0'][random.usize(..8)],
                1 => drop(text.remove(at)),
                _ => text.insert(at, ['%', ';', '?', '=', '&', '|'][random.usize(..6)]),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(uri) = text.parse::<KeyUri>() {
            assert_eq!(read(&uri.to_string()), uri, "{text}");
        }
    }
}

#[test]
fn what_is_read_is_not_too_long_to_be_read_again() {
    let label = |length| format!("pkcs11:object={}?module-path=/m", "\u{fc}".repeat(length));
    let uri: KeyUri = label(600).parse().unwrap();
    assert_eq!(uri.to_string().parse(), Ok(uri));
    let why = label(700).parse::<KeyUri>().unwrap_err();
    assert_eq!(why, "is longer than 4096 bytes when it is encoded");
}
