//! What authorisers accept, with the published example of a signature.

use super::*;
use crate::access::example::{PUBLIC_KEY, SIGNATURE as SIGNED, TOKEN};

fn shown(parameters: &[(&str, &str)]) -> Shown {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Shown {
        parameters: parameters.iter().map(owned).collect(),
        headers: Pairs::new(),
    }
}

fn check(authorizer: Authorizer, parameters: &[(&str, &str)]) -> Result<(), String> {
    let checked = Authorizers::new(vec![authorizer])
        .check(&shown(parameters))
        .map(|_| ());
    checked.map_err(|refusal| format!("{} {}", refusal.status, refusal.why))
}

#[test]
fn the_published_signature_is_right_and_every_other_is_wrong() {
    let signed = || {
        Authorizer::new("a")
            .by_default()
            .token_key("key")
            .signed_by(PUBLIC_KEY)
    };
    let verdict = |parameters: &[(&str, &str)]| check(signed().unwrap(), parameters);
    assert_eq!(verdict(&[("key", TOKEN), (SIGNATURE, SIGNED)]), Ok(()));
    let wrong = Err("401 the signature of the token is wrong".to_owned());
    assert_eq!(verdict(&[("key", "other"), (SIGNATURE, SIGNED)]), wrong);
    assert_eq!(verdict(&[("key", TOKEN), (SIGNATURE, "AAAA")]), wrong);
    // The plus signs of a text that was not encoded.
    let decoded = SIGNED.replace('+', " ");
    assert_eq!(verdict(&[("key", TOKEN), (SIGNATURE, &decoded)]), wrong);
    let missing = |name: &str| Err(format!("401 {name} is missing"));
    assert_eq!(verdict(&[(SIGNATURE, SIGNED)]), missing("key"));
    assert_eq!(verdict(&[("key", TOKEN)]), missing(SIGNATURE));
}

#[test]
fn a_client_without_a_name_gets_the_default_one() {
    let plain = || Authorizer::new("a").token("t");
    assert_eq!(check(plain(), &[(NAME, "a"), ("token", "t")]), Ok(()));
    assert_eq!(check(plain().by_default(), &[("token", "t")]), Ok(()));
    let nobody = "403 no authoriser is named, and there is no default one";
    assert_eq!(check(plain(), &[("token", "t")]), Err(nobody.to_owned()));
    let unknown = "403 there is no authoriser \"b\"";
    assert_eq!(check(plain(), &[(NAME, "b")]), Err(unknown.to_owned()));
    let wrong = "401 the token is wrong";
    assert_eq!(
        check(plain(), &[(NAME, "a"), ("token", "u")]),
        Err(wrong.to_owned())
    );
}

#[test]
fn user_name_and_password_are_those_of_the_connect() {
    let authorizer = Authorizer::new("a").username("pump").password("secret");
    let check = |username, password: Option<&str>| {
        let checked = authorizer.check_login(username, password.map(str::as_bytes));
        checked.map_err(|refusal| refusal.why)
    };
    assert_eq!(check(Some("pump"), Some("secret")), Ok(()));
    let user = Err("the user name is wrong".to_owned());
    assert_eq!(check(Some("valve"), Some("secret")), user);
    assert_eq!(check(None, Some("secret")), user);
    let password = Err("the password is wrong".to_owned());
    assert_eq!(check(Some("pump"), Some("other")), password);
    assert_eq!(check(Some("pump"), None), password);
}

#[test]
fn the_user_name_carries_parameters() {
    assert_eq!(split_username("pump"), ("pump", Some(Pairs::new())));
    let (user, parameters) = split_username("pump?a=1%2B&b");
    assert_eq!(user, "pump");
    assert_eq!(
        parameters,
        Some(shown(&[("a", "1+"), ("b", "")]).parameters)
    );
    assert_eq!(split_username("?a=%"), ("", None));
}

#[test]
fn only_an_rsa_key_verifies_tokens() {
    let ec = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    for text in ["", "no key", ec] {
        let error = Authorizer::new("a").signed_by(text).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("no RSA public key"),
            "{error:#}"
        );
    }
}
