//! The check of signatures against published vectors, and against what clients do wrong.

use super::*;
use crate::access::query;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "example-ats.iot.eu-west-1.amazonaws.com";
const TOKEN_VALUE: &str = "AQoDYXdz/+==token";
const SIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fiotdevicegateway%2Faws4_request&X-Amz-Date=20260102T030405Z";
const WITH_EXPIRY: &str = "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=4328052c0ed6326c5f9d651961983fc772384e05aab286c9cd5cfcd31784b336";
const WITHOUT_EXPIRY: &str = "&X-Amz-SignedHeaders=host&X-Amz-Signature=d5613efea740148c1496761c815494cbe0b79005a6c4fc30ccadf1a90a5cf626";
const WITH_TOKEN: &str = "&X-Amz-Security-Token=AQoDYXdz%2F%2B%3D%3Dtoken";
/// 2026-01-02T03:04:05Z
const THEN: u64 = 1_767_323_045;

fn ask(query: &str, host: &str, token: Option<&str>, now: u64) -> Result<AccessKey, Refusal> {
    let mut key = AccessKey::new("AKIDEXAMPLE", SECRET, token);
    key.ends = token.map(|_| THEN + 900);
    let request = Signed {
        path: "/mqtt",
        query: &query::parse(query).unwrap(),
        host,
    };
    check(&request, &AccessKeys::new(vec![key]), "eu-west-1", now)
}

#[track_caller]
fn refuses(query: &str, token: Option<&str>, now: u64, why: &str) {
    let refusal = ask(query, HOST, token, now).map(|key| key.id).unwrap_err();
    assert_eq!(refusal.status, 403);
    assert!(refusal.why.contains(why), "{}", refusal.why);
}

#[test]
fn the_key_for_signing_is_that_of_the_published_vector() {
    let key = signing_key(SECRET, "20150830", "us-east-1", "iam");
    let expected = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
    assert_eq!(hex(&key), expected);
}

#[test]
fn the_signature_is_that_of_the_published_vector() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let query = query::parse("X-Amz-SignedHeaders=host&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400").unwrap();
    let canonical = canonical(
        "/test.txt",
        &query,
        &[],
        "examplebucket.s3.amazonaws.com",
        "UNSIGNED-PAYLOAD",
    );
    let key = signing_key(secret, "20130524", "us-east-1", "s3");
    let scope = "20130524/us-east-1/s3/aws4_request";
    let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert_eq!(
        signature(&key, "20130524T000000Z", scope, &canonical),
        expected
    );
}

#[test]
fn a_signed_request_is_accepted() {
    let check = |query: &str, host: &str, token: Option<&str>| {
        let key = ask(query, host, token, THEN).map_err(|refusal| refusal.why);
        assert_eq!(&*key.unwrap().identity, "AKIDEXAMPLE", "{query}");
    };
    let with_token = format!("{SIGNED}{WITH_EXPIRY}{WITH_TOKEN}");
    check(&with_token, HOST, Some(TOKEN_VALUE));
    check(&format!("{SIGNED}{WITH_EXPIRY}"), HOST, None);
    check(&format!("{SIGNED}{WITHOUT_EXPIRY}"), HOST, None);
    // The header has a port where it is not the usual one, which clients do not sign.
    check(
        &format!("{SIGNED}{WITHOUT_EXPIRY}"),
        &format!("{HOST}:8443"),
        None,
    );
}

#[test]
fn a_wrong_signature_is_refused() {
    let good = format!("{SIGNED}{WITHOUT_EXPIRY}");
    let wrong = "does not match";
    refuses(&good.replace("=d561", "=d562"), None, THEN, wrong);
    refuses(&good.replace("d5613efe", "D5613EFE"), None, THEN, wrong);
    refuses(&good.replace("T030405Z", "T030406Z"), None, THEN, wrong);
    refuses(&format!("{good}&x=1"), None, THEN, wrong);
    let elsewhere = ask(&good, "other.iot.eu-west-1.amazonaws.com", None, THEN);
    assert!(elsewhere.is_err_and(|refusal| refusal.why.contains(wrong)));
}

#[test]
fn what_is_missing_or_wrong_in_the_query_is_named() {
    let good = format!("{SIGNED}{WITHOUT_EXPIRY}");
    let check = |from: &str, to: &str, why: &str| {
        refuses(&good.replace(from, to), None, THEN, why);
    };
    check("AKIDEXAMPLE", "AKIDOTHER", "token included in the request");
    check(
        "eu-west-1",
        "eu-west-2",
        "should be scoped to 20260102/eu-west-1/",
    );
    check("iotdevicegateway", "iotdata", "should be scoped to");
    check("%2F20260102%2F", "%2F20260103%2F", "should be scoped to");
    check("HMAC-SHA256", "HMAC-SHA1", "X-Amz-Algorithm must be");
    check("=host", "=host%3Bx-amz-date", "X-Amz-SignedHeaders must be");
    check("&X-Amz-Date=20260102T030405Z", "", "X-Amz-Date is missing");
    check(
        "&X-Amz-Signature=",
        "&X-Amz-Sign=",
        "X-Amz-Signature is missing",
    );
    check("T030405Z", "T030405", "X-Amz-Date must be");
    check("&X-Amz-Date", "&X-Amz-Date=1&X-Amz-Date", "more than once");
}

#[test]
fn the_token_is_outside_of_the_signature_and_last() {
    let own = Some(TOKEN_VALUE);
    let good = format!("{SIGNED}{WITH_EXPIRY}{WITH_TOKEN}");
    let wrong = "token included in the request is invalid";
    refuses(&format!("{SIGNED}{WITH_EXPIRY}"), own, THEN, wrong);
    refuses(&good, None, THEN, wrong);
    refuses(&good.replace("Dtoken", "Dother"), own, THEN, wrong);
    // Not encoded, the plus sign is lost.
    refuses(&good.replace("%2B", "+"), own, THEN, wrong);
    let first = format!("{}&{SIGNED}{WITH_EXPIRY}", &WITH_TOKEN[1..]);
    refuses(&first, own, THEN, "must be the last");
    refuses(&good, own, THEN + 900, "Signature expired");

    let query = query::parse(&good).unwrap();
    let canonical = canonical("/mqtt", &query, &[SIGNATURE], HOST, NO_BODY);
    let key = signing_key(SECRET, "20260102", "eu-west-1", SERVICE);
    let scope = "20260102/eu-west-1/iotdevicegateway/aws4_request";
    let signature = signature(&key, "20260102T030405Z", scope, &canonical);
    let ordinary = good.replace(
        "4328052c0ed6326c5f9d651961983fc772384e05aab286c9cd5cfcd31784b336",
        &signature,
    );
    refuses(&ordinary, own, THEN, "must not take part");
}

#[test]
fn a_temporary_key_ends() {
    let mut key = AccessKey::new("AKIDEXAMPLE", SECRET, None);
    key.ends = Some(THEN);
    let request = Signed {
        path: "/mqtt",
        query: &query::parse(&format!("{SIGNED}{WITHOUT_EXPIRY}")).unwrap(),
        host: HOST,
    };
    let keys = AccessKeys::new(vec![key]);
    assert!(check(&request, &keys, "eu-west-1", THEN - 1).is_ok());
    let refusal = check(&request, &keys, "eu-west-1", THEN).map(|key| key.id);
    assert!(refusal.unwrap_err().why.contains("is expired"));
}

#[test]
fn clocks_may_be_five_minutes_apart() {
    let good = format!("{SIGNED}{WITHOUT_EXPIRY}");
    assert!(ask(&good, HOST, None, THEN + 300).is_ok());
    assert!(ask(&good, HOST, None, THEN - 300).is_ok());
    refuses(&good, None, THEN + 301, "Signature expired");
    refuses(&good, None, THEN - 301, "Signature not yet current");
    // Whatever the request says about its own life.
    let long = format!("{SIGNED}{WITH_EXPIRY}");
    refuses(&long, None, THEN + 301, "Signature expired");
    let bad = long.replace("=86400", "=0");
    refuses(&bad, None, THEN, "X-Amz-Expires must be");
    let short = long.replace("=86400", "=60");
    refuses(&short, None, THEN + 61, "by more than 60 seconds");
}
