//! The helper as its parent meets it, with a token in software: keys of each kind, and everything that a token
//! can have against it.

mod common;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chariotd_pkcs11::protocol::{Answer, Request, read_frame, write_frame};
use chariotd_pkcs11::scheme::Scheme;
use chariotd_pkcs11::{Identity, KeyError, KeyKind, KeyUri, Problem};
use common::{PIN, SoftToken};

struct Helper {
    child: Child,
    socket: UnixStream,
}

impl Helper {
    fn start(token: &SoftToken) -> Helper {
        let (socket, stdin) = UnixStream::pair().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chariotd-pkcs11"));
        let child = token
            .environment(&mut command)
            .stdin(Stdio::from(OwnedFd::from(stdin)))
            .spawn()
            .unwrap();
        drop(command);
        Helper { child, socket }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        write_frame(&mut self.socket, &request.encode()).unwrap();
        let body = read_frame(&mut self.socket).unwrap().expect("an answer");
        Answer::decode(&body).unwrap()
    }

    fn identity(&mut self, uri: &str) -> Result<Identity, KeyError> {
        let uri = uri.parse().unwrap();
        match self.ask(&Request::Identity { uri, hint: None }) {
            Answer::Identity(identity) => Ok(identity),
            Answer::Error(error) => Err(error),
            Answer::Signature(_) => panic!("a signature of nothing"),
        }
    }

    fn sign(&mut self, uri: &str, scheme: u16) -> Result<Vec<u8>, KeyError> {
        let uri = uri.parse().unwrap();
        let digest = Scheme::of_number(scheme).unwrap().digest(b"message");
        match self.ask(&Request::Sign {
            uri,
            scheme,
            digest,
        }) {
            Answer::Signature(signature) => Ok(signature),
            Answer::Error(error) => Err(error),
            Answer::Identity(_) => panic!("no signature"),
        }
    }

    #[track_caller]
    fn fails(&mut self, uri: &str, problem: Problem, words: &str) {
        let error = self.identity(uri).unwrap_err();
        assert_eq!(error.problem, problem, "{error}");
        assert!(error.text.contains(words), "{error}");
        assert!(!error.text.contains(PIN), "{error}");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_of_each_kind_sign_what_their_public_key_confirms() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    token.make_key("EC:secp384r1", "ec384", "02");
    token.make_key("rsa:2048", "rsa", "03");
    let mut helper = Helper::start(&token);
    for (attributes, schemes) in [
        ("token=chariot;object=ec", &[0x0403][..]),
        ("token=chariot;id=%02", &[0x0503]),
        ("object=rsa;type=private", &[0x0804, 0x0401]),
    ] {
        let uri = token.uri(attributes);
        let identity = helper.identity(&uri).unwrap();
        assert_eq!(identity.schemes, schemes, "{attributes}");
        for number in schemes {
            let signature = helper.sign(&uri, *number).unwrap();
            let scheme = Scheme::of_number(*number).unwrap();
            assert!(
                scheme.verifies(&identity.public_key, b"message", &signature),
                "{attributes}"
            );
        }
    }
    assert_eq!(token.logins(), 3, "one session for each key");
}

#[test]
fn keys_are_made_in_the_token_once_and_stay_there() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    let mut helper = Helper::start(&token);
    for (kind, id, schemes) in [
        (KeyKind::EcP256, "%0A", 1),
        (KeyKind::EcP384, "%0B", 1),
        (KeyKind::Rsa2048, "%0C", 2),
    ] {
        let uri: KeyUri = token
            .uri(&format!("token=chariot;object=made;id={id}"))
            .parse()
            .unwrap();
        let make = Request::Make {
            uri: uri.clone(),
            kind,
        };
        let made = helper.ask(&make);
        assert!(
            matches!(&made, Answer::Identity(it) if it.schemes.len() == schemes),
            "{made:?}"
        );
        assert_eq!(helper.ask(&make), made, "the second time it is there");
        let again = Helper::start(&token).identity(&uri.to_string());
        assert_eq!(Answer::Identity(again.unwrap()), made);
    }
    let listed = token.tool(&["--list-objects", "--type", "privkey"]);
    assert_eq!(listed.matches("Private Key Object").count(), 3, "{listed}");
    assert_eq!(listed.matches("never extractable").count(), 3, "{listed}");
}

#[test]
fn what_cannot_be_found_is_named_with_what_is_there() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "a", "01");
    token.make_key("EC:prime256v1", "a", "02");
    token.add("second");
    let mut helper = Helper::start(&token);
    let there = "object 'a' (id '01'), object 'a' (id '02')";
    helper.fails(
        &token.uri("token=chariot;object=b"),
        Problem::Key,
        "no key with object 'b' in token 'chariot', it holds object 'a'",
    );
    helper.fails(
        &token.uri("token=chariot;object=a"),
        Problem::Key,
        "means 2 keys in token 'chariot', name one by object= or id=",
    );
    let error = helper
        .identity(&token.uri("token=chariot"))
        .unwrap_err()
        .text;
    assert!(
        error.contains(there) || error.contains("(id '02'), object 'a' (id '01')"),
        "{error}"
    );
    helper.fails(
        &token.uri("object=a"),
        Problem::Setting,
        "any token means 2 tokens",
    );
    helper.fails(
        &token.uri("token=other"),
        Problem::Absent,
        "token 'other' is absent",
    );
    helper.fails(
        &token.uri("token=second"),
        Problem::Key,
        "it holds no private key",
    );
    assert!(
        helper
            .identity(&token.uri("token=chariot;object=a;id=%02"))
            .is_ok()
    );
}

#[test]
fn a_module_that_is_none_is_named_with_the_remedy() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    let mut helper = Helper::start(&token);
    std::fs::write(token.path("text.so"), "text").unwrap();
    let text = token.path("text.so");
    for (module, words) in [
        (
            "module-path=/nonexistent/m.so",
            "there is no PKCS#11 module /nonexistent/m.so, install",
        ),
        (
            "module-name=nonexistent",
            "there is no PKCS#11 module 'nonexistent' in /usr/lib/pkcs11",
        ),
        (
            "module-path=/lib/x86_64-linux-gnu/libm.so.6",
            "is no PKCS#11 module",
        ),
        (
            &format!("module-path={}", text.display()),
            "cannot load the PKCS#11 module",
        ),
    ] {
        helper.fails(
            &format!("pkcs11:token=chariot?{module}"),
            Problem::Setting,
            words,
        );
    }
    let named = format!(
        "pkcs11:token=chariot?module-name=softhsm2&pin-source={}",
        token.path("pin").display()
    );
    helper.fails(&named, Problem::Key, "it holds no private key");
}

#[test]
fn a_wrong_pin_is_shown_to_the_token_once_and_another_one_is_tried() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let uri = token.uri("token=chariot;object=ec");
    let mut helper = Helper::start(&token);
    token.write_pin("s3cr3t-4321");
    helper.fails(&uri, Problem::Pin, "token 'chariot' refuses the PIN in");
    for _ in 0..5 {
        helper.fails(
            &uri,
            Problem::Pin,
            "it is not tried again until the file has another one",
        );
    }
    helper.fails(
        &token.uri("token=chariot;id=%01"),
        Problem::Pin,
        "not tried again until",
    );
    assert_eq!(token.logins(), 1);
    token.write_pin(PIN);
    helper.identity(&uri).unwrap();
    assert_eq!(token.logins(), 2);
}

#[test]
fn pin_files_that_others_may_read_are_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let Some(token) = SoftToken::new() else {
        return;
    };
    let mut helper = Helper::start(&token);
    let uri = token.uri("token=chariot;object=ec");
    std::fs::set_permissions(token.path("pin"), std::fs::Permissions::from_mode(0o644)).unwrap();
    helper.fails(&uri, Problem::Setting, "chmod 600 ");
    std::fs::remove_file(token.path("pin")).unwrap();
    helper.fails(&uri, Problem::Setting, "cannot read the PIN from");
    let without = uri.split('&').next().unwrap();
    helper.fails(
        without,
        Problem::Setting,
        "wants a PIN: write it to a file of mode 600",
    );
    assert_eq!(token.logins(), 0);
}

#[test]
fn the_last_try_and_a_locked_token_are_left_to_a_person() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let uri = token.uri("token=chariot;object=ec");
    let mut helper = Helper::start(&token);
    token.tell("last");
    helper.fails(
        &uri,
        Problem::Pin,
        "takes one more wrong PIN and is locked then",
    );
    assert_eq!(token.logins(), 0);
    token.untell("last");
    token.tell("locked");
    helper.fails(&uri, Problem::Locked, "is locked after too many wrong ones");
    token.untell("locked");
    helper.identity(&uri).unwrap();
}

#[test]
fn a_token_that_was_removed_is_named_and_used_again_when_it_is_back() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let uri = token.uri("token=chariot;object=ec");
    let mut helper = Helper::start(&token);
    helper.identity(&uri).unwrap();
    token.tell("absent");
    let error = helper.sign(&uri, 0x0403).unwrap_err();
    assert_eq!(error.problem, Problem::Absent, "{error}");
    assert!(
        error.text.contains("token 'chariot' is absent, plug it in"),
        "{error}"
    );
    helper.fails(&uri, Problem::Absent, "shows no token");
    token.untell("absent");
    helper.sign(&uri, 0x0403).unwrap();
}

#[test]
fn the_helper_ends_with_its_parent_and_answers_nonsense_with_a_reason() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    let mut helper = Helper::start(&token);
    write_frame(&mut helper.socket, b"X").unwrap();
    let body = read_frame(&mut helper.socket).unwrap().unwrap();
    let answer = Answer::decode(&body).unwrap();
    assert!(
        matches!(&answer, Answer::Error(error) if error.text.contains("an unknown request")),
        "{answer:?}"
    );
    helper.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(helper.child.wait().unwrap().success());
    let uri = token.uri("token=chariot;object=ec");
    token.make_key("EC:prime256v1", "ec", "01");
    let mut helper = Helper::start(&token);
    helper.identity(&uri).unwrap();
    token.tell("hang");
    let digest = Scheme::EcdsaP256Sha256.digest(b"message");
    let (uri, scheme) = (uri.parse().unwrap(), 0x0403);
    let sign = Request::Sign {
        uri,
        scheme,
        digest,
    };
    write_frame(&mut helper.socket, &sign.encode()).unwrap();
    helper.socket.shutdown(std::net::Shutdown::Both).unwrap();
    // It cannot be left in an orderly way: what a library clears up at the end is in use.
    assert_eq!(helper.child.wait().unwrap().signal(), Some(9));
    token.untell("hang");
    let mut helper = Helper::start(&token);
    write_frame(&mut helper.socket, &sign.encode()).unwrap();
    helper.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(helper.child.wait().unwrap().success(), "what works is done");
    let mut helper = Helper::start(&token);
    helper.socket.write_all(&[0xff; 8]).unwrap();
    assert_eq!(helper.child.wait().unwrap().code(), Some(100));
}
