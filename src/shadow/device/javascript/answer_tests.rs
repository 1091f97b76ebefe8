use serde_json::json;

use super::*;

fn answer(texts: &[&str]) -> Result<Vec<String>, Failure> {
    Ok(texts.iter().map(ToString::to_string).collect())
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

/// `before` is how the interpreter writes `given`; what it returned becomes `expected`.
fn check(given: &str, before: &str, returned: &str, expected: &str) {
    let verdict = verdict(answer(&["accepted", returned, before]), &value(given));
    let Verdict::Accepted(accepted) = verdict else {
        panic!("{returned}: {verdict:?}");
    };
    assert_eq!(accepted.to_string(), expected, "{returned}");
}

#[test]
fn numbers_that_were_not_touched_stay_as_they_were() {
    let given = r#"{"big":12345678901234567890,"one":1.0,"list":[1.0,2.50],"deep":{"e":1e+2}}"#;
    let before = r#"{"big":12345678901234567000,"one":1,"list":[1,2.5],"deep":{"e":100}}"#;
    check(given, before, before, given);
    check(
        given,
        before,
        r#"{"big":12345678901234567000,"one":2,"list":[1,3],"deep":{"e":100,"new":1}}"#,
        r#"{"big":12345678901234567890,"one":2,"list":[1.0,3],"deep":{"e":1e+2,"new":1}}"#,
    );
    check(
        given,
        before,
        r#"{"one":12345678901234567000,"list":[2.5],"deep":null}"#,
        r#"{"one":12345678901234567000,"list":[2.5],"deep":null}"#,
    );
    check("1.0", "1", "1", "1.0");
    check("1.0", "1", "\"1\"", "\"1\"");
}

#[test]
fn an_unknown_answer_is_a_failure() {
    for texts in [&[][..], &["nonsense"], &["accepted"], &["exported", "{}"]] {
        let verdict = verdict(answer(texts), &json!({}));
        assert!(matches!(verdict, Verdict::Failed(_)), "{texts:?}");
        assert!(exported(answer(texts)).is_err(), "{texts:?}");
    }
    for (failure, expected) in [
        (
            Failure::Late(Duration::from_millis(1500)),
            "did not end within 1.5 s",
        ),
        (Failure::Memory(8192), "needs more than 8 KiB of memory"),
        (Failure::Stack, "recurses too deeply"),
        (Failure::Internal("x".into()), "stopped the interpreter: x"),
    ] {
        assert_eq!(exported(Err(failure.clone())), Err(expected.to_owned()));
        let expected = Verdict::Failed(format!("validate {expected}"));
        assert_eq!(verdict(Err(failure), &json!({})), expected);
    }
}

#[test]
fn a_long_reason_is_shortened() {
    let why = "é".repeat(2000);
    let expected = format!("{}…", "é".repeat(500));
    let verdict = verdict(answer(&["rejected", &why]), &json!({}));
    assert_eq!(verdict, Verdict::Rejected(expected.clone()));
    assert_eq!(exported(answer(&["failed", &why])), Err(expected));
}

#[test]
fn null_by_way_of_to_json_removes_too() {
    let verdict = verdict(answer(&["accepted", "null", "{}"]), &json!({}));
    assert_eq!(verdict, Verdict::Remove);
}
