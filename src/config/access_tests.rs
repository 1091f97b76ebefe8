use super::*;
use clap::Parser;

const KEYS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKID"),
    ("AWS_SECRET_ACCESS_KEY", "hush"),
    ("AWS_SESSION_TOKEN", "t"),
    ("AWS_CREDENTIAL_EXPIRATION", "2026-09-22T10:00:00Z"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
];

fn resolved(
    options: &[&str],
    environment: &[(&str, &str)],
) -> Result<Option<AccessOptions>, String> {
    let base = ["chariotd", "--clientid=pump:1"];
    let cli = Cli::try_parse_from(base.iter().chain(options)).expect("clap takes it");
    let mut problems = Problems::default();
    let lookup = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let access = resolve(&cli, &lookup, &mut problems);
    if problems.0.is_empty() {
        Ok(access)
    } else {
        Err(problems.0.join("\n"))
    }
}

#[track_caller]
fn problem(options: &[&str], words: &str) {
    let problems = resolved(options, &[]).expect_err("a problem");
    assert!(problems.contains(words), "{options:?}: {problems}");
    assert!(!problems.contains("hush"), "{problems}");
}

fn signing(options: &[&str], environment: &[(&str, &str)]) -> SigningOptions {
    let options: Vec<_> = ["--transport=wss"].iter().chain(options).copied().collect();
    match resolved(&options, environment) {
        Ok(Some(AccessOptions::WebSocketSigned(signing))) => signing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_these_options_it_is_the_certificate() {
    assert!(resolved(&[], KEYS).unwrap().is_none());
    assert!(resolved(&["--transport=mqtt"], KEYS).unwrap().is_none());
}

#[test]
fn access_keys_come_from_options_before_the_environment() {
    let file = |signing: SigningOptions| match signing.keys {
        KeySource::File { file, profile } => (file.display().to_string(), profile),
        other => panic!("{other:?}"),
    };
    let by_option = signing(&["--aws-credentials-file=/k"], KEYS);
    assert_eq!(by_option.default_region.as_deref(), Some("eu-west-1"));
    assert_eq!(file(by_option), ("/k".into(), "default".into()));
    let profile = [
        ("AWS_SHARED_CREDENTIALS_FILE", "/s"),
        ("AWS_PROFILE", "plant"),
    ];
    assert_eq!(file(signing(&[], &profile)), ("/s".into(), "plant".into()));
    match signing(&["--region=eu-north-1"], KEYS) {
        SigningOptions {
            keys: KeySource::Environment(keys),
            region,
            ..
        } => {
            assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("AKID", "hush"));
            assert_eq!(keys.session_token.as_deref(), Some("t"));
            assert!(keys.expiration.is_some());
            assert_eq!(region.as_deref(), Some("eu-north-1"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_credential_provider_is_asked_for_a_role_and_told_a_thing() {
    let options = [
        "--credential-provider=x.credentials.iot.eu-west-1.amazonaws.com",
        "--role-alias=R",
    ];
    let provider = |options: &[&str]| match signing(options, KEYS).keys {
        KeySource::Provider(provider) => provider,
        other => panic!("{other:?}"),
    };
    let by_default = provider(&options);
    assert_eq!(by_default.endpoint.port, 443);
    assert_eq!(
        (by_default.role_alias.as_str(), by_default.thing.as_str()),
        ("R", "pump:1")
    );
    let named = [&options[..], &["--provider-thing=other"]].concat();
    assert_eq!(provider(&named).thing, "other");
}

#[test]
fn a_custom_authorizer_is_told_what_the_options_say() {
    let options = [
        "--authorizer=Fleet",
        "--authorizer-username=pump",
        "--authorizer-password-file=/p",
        "--authorizer-token-key=tok",
        "--authorizer-token-file=/t",
        "--authorizer-signature-file=/s",
    ];
    let expect = AuthorizerOptions {
        name: Some("Fleet".into()),
        username: Some("pump".into()),
        password_file: Some("/p".into()),
        token: Some(TokenOptions {
            key: "tok".into(),
            file: "/t".into(),
            signature_file: Some("/s".into()),
        }),
    };
    match resolved(&options, &[]) {
        Ok(Some(AccessOptions::Authorizer(options))) => assert_eq!(options, expect),
        other => panic!("{other:?}"),
    }
    match resolved(&["--transport=wss", "--authorizer="], KEYS) {
        Ok(Some(AccessOptions::WebSocketAuthorizer(options))) => {
            assert_eq!(options, AuthorizerOptions::default());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_values_are_named() {
    for (option, words) in [
        (
            "--transport=ws",
            "--transport=ws: unknown transport, use mqtt or wss",
        ),
        ("--authorizer=a b", "--authorizer=a b: contains ' '"),
        ("--authorizer-username=a?b", "contains '?'"),
        (
            "--authorizer-username=a",
            "--authorizer-username: is for a custom authoriser",
        ),
        (
            "--authorizer-password-file=",
            "--authorizer-password-file=: is empty",
        ),
        ("--authorizer-token-key=a:b", "contains ':'"),
        (
            "--authorizer-token-key=Host",
            "is a header of every WebSocket",
        ),
        (
            "--authorizer-token-key=Sec-WebSocket-Key",
            "is a header of every WebSocket",
        ),
        (
            "--authorizer-token-key=a",
            "--authorizer-token-file is missing",
        ),
        (
            "--authorizer-token-file=/t",
            "--authorizer-token-key is missing",
        ),
        (
            "--authorizer-signature-file=/s",
            "--authorizer-token-file is missing",
        ),
        (
            "--region=eu-west-1",
            "--region: is about access keys, which only --transport=wss uses",
        ),
        ("--role-alias=R", "--role-alias: is about access keys"),
    ] {
        problem(&[option], words);
    }
    for (option, words) in [
        (
            "--region=Frankfurt",
            "--region=Frankfurt: is not the name of a region",
        ),
        (
            "--aws-credentials-file=",
            "--aws-credentials-file=: is empty",
        ),
        ("--credential-provider=h", "--role-alias is missing"),
        ("--role-alias=R", "--credential-provider is missing"),
        ("--provider-thing=t", "--credential-provider is missing"),
        (
            "--credential-provider=x-ats.iot.eu-west-1.amazonaws.com",
            "is not an endpoint of the credential provider",
        ),
        ("--clientid=x", "--transport=wss needs access keys"),
        ("--fleetprov=/f", "needs access keys"),
    ] {
        problem(&["--transport=wss", option], words);
    }
    for (option, words) in [
        (
            "--region=eu-west-1",
            "--region: is about access keys, which are not used with --authorizer",
        ),
        ("--fleetprov=/f", "--fleetprov: gets certificates"),
        ("--renew-before=30", "--renew-before: gets certificates"),
    ] {
        problem(&["--authorizer=A", option], words);
    }
    let provider = [
        "--transport=wss",
        "--credential-provider=h",
        "--role-alias=R",
    ];
    problem(
        &[&provider[..], &["--clientid=a/b"]].concat(),
        "--provider-thing is missing",
    );
    problem(
        &[&provider[..], &["--provider-thing=a/b"]].concat(),
        "--provider-thing=a/b: contains '/'",
    );
    problem(
        &[&provider[..], &["--aws-credentials-file=/f"]].concat(),
        "use one of them",
    );
}

#[test]
fn half_of_the_keys_in_the_environment_is_named() {
    let problems = resolved(&["--transport=wss"], &KEYS[..1]).unwrap_err();
    assert!(
        problems.contains("the secret access key is empty"),
        "{problems}"
    );
    assert!(resolved(&["--transport=wss", "--renew-before=0"], KEYS).is_ok());
}
