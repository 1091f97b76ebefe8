//! Pure: how the broker learns who we are when it is not by our certificate: the transport, access
//! keys, a custom authoriser. What the environment says is an argument.

use std::path::PathBuf;

use super::problems::Problems;
use crate::aws::{self, AccessKeys};
use crate::cli::Cli;
use crate::date;
use crate::identity::Endpoint;
use crate::mqtt::{AccessOptions, AuthorizerOptions, KeySource, ProviderOptions};
use crate::mqtt::{SigningOptions, TokenOptions};

/// What AWS offers everything but MQTT with a certificate on.
pub const HTTPS: u16 = 443;
/// AWS's limit for names.
const LONGEST_NAME: usize = 128;
/// So that the whole user name of CONNECT fits into its packet.
const LONGEST_USERNAME: usize = 4096;

/// Reads a variable that is set and not empty.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `None`: by our certificate.
pub fn resolve(
    cli: &Cli,
    environment: Environment,
    problems: &mut Problems,
) -> Option<AccessOptions> {
    let websocket = problems
        .optional("transport", cli.transport.as_ref(), transport)
        .unwrap_or(false);
    let authorizer = authorizer(cli, problems);
    if authorizer.is_some() || !websocket {
        without_keys(cli, authorizer.is_some(), problems);
    }
    let access = match (websocket, authorizer) {
        (false, None) => return None,
        (false, Some(options)) => AccessOptions::Authorizer(options),
        (true, Some(options)) => AccessOptions::WebSocketAuthorizer(options),
        (true, None) => AccessOptions::WebSocketSigned(signing(cli, environment, problems)?),
    };
    without_provisioning(cli, problems);
    Some(access)
}

fn transport(text: &str) -> Result<bool, String> {
    match text {
        "mqtt" => Ok(false),
        "wss" => Ok(true),
        _ => Err("unknown transport, use mqtt or wss".into()),
    }
}

/// Nobody is shown a certificate that is got so.
fn without_provisioning(cli: &Cli, problems: &mut Problems) {
    let renews = cli.renew_before.as_ref().filter(|days| *days != "0");
    for (option, value) in [
        ("fleetprov", cli.fleetprov.as_ref()),
        ("renew-before", renews),
    ] {
        if value.is_some() {
            problems.0.push(format!(
                "--{option}: gets certificates by a connection with one, and with --transport=wss or --authorizer there is none, leave it out"
            ));
        }
    }
}

/// The options of access keys, where there are none.
fn without_keys(cli: &Cli, authorizer: bool, problems: &mut Problems) {
    let why = if authorizer {
        "is about access keys, which are not used with --authorizer, leave one of them out"
    } else {
        "is about access keys, which only --transport=wss uses"
    };
    for (option, value) in [
        ("region", &cli.region),
        ("aws-credentials-file", &cli.aws_credentials_file),
        ("credential-provider", &cli.credential_provider),
        ("role-alias", &cli.role_alias),
        ("provider-thing", &cli.provider_thing),
    ] {
        if value.is_some() {
            problems.0.push(format!("--{option}: {why}"));
        }
    }
}

fn authorizer(cli: &Cli, problems: &mut Problems) -> Option<AuthorizerOptions> {
    let named = problems.optional("authorizer", cli.authorizer.as_ref(), |text| {
        if text.is_empty() {
            Ok(None)
        } else {
            name(text, "=,@-_").map(Some)
        }
    });
    let options = AuthorizerOptions {
        name: named.clone().flatten(),
        username: problems.optional(
            "authorizer-username",
            cli.authorizer_username.as_ref(),
            username,
        ),
        password_file: file(
            "authorizer-password-file",
            cli.authorizer_password_file.as_ref(),
            problems,
        ),
        token: token(cli, problems),
    };
    if cli.authorizer.is_some() {
        return named.map(|_| options);
    }
    for (option, value) in [
        ("authorizer-username", &cli.authorizer_username),
        ("authorizer-password-file", &cli.authorizer_password_file),
        ("authorizer-token-key", &cli.authorizer_token_key),
        ("authorizer-token-file", &cli.authorizer_token_file),
        ("authorizer-signature-file", &cli.authorizer_signature_file),
    ] {
        if value.is_some() {
            problems.0.push(format!(
                "--{option}: is for a custom authoriser, name it with --authorizer=NAME, or use --authorizer= for the endpoint's default one"
            ));
        }
    }
    None
}

fn token(cli: &Cli, problems: &mut Problems) -> Option<TokenOptions> {
    let key = problems.optional(
        "authorizer-token-key",
        cli.authorizer_token_key.as_ref(),
        token_key,
    );
    let token = file(
        "authorizer-token-file",
        cli.authorizer_token_file.as_ref(),
        problems,
    );
    let signature_file = file(
        "authorizer-signature-file",
        cli.authorizer_signature_file.as_ref(),
        problems,
    );
    let further = signature_file.is_some() || cli.authorizer_token_key.is_some();
    if further && cli.authorizer_token_file.is_none() {
        problems.missing(
            "authorizer-token-file",
            "--authorizer-token-key and --authorizer-signature-file are about a token",
        );
    }
    if cli.authorizer_token_file.is_some() && cli.authorizer_token_key.is_none() {
        problems.missing(
            "authorizer-token-key",
            "the name under which the authoriser expects the token",
        );
    }
    Some(TokenOptions {
        key: key?,
        file: token?,
        signature_file,
    })
}

/// In a WebSocket it is the name of a header, beside those of the request itself.
fn token_key(text: &str) -> Result<String, String> {
    let own = ["host", "upgrade", "connection"];
    let lower = text.to_ascii_lowercase();
    if own.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
        return Err("is a header of every WebSocket, the authoriser needs another name".into());
    }
    name(text, "-_")
}

fn signing(cli: &Cli, environment: Environment, problems: &mut Problems) -> Option<SigningOptions> {
    let region = |text: &str| {
        if aws::is_region(text) {
            Ok(text.to_owned())
        } else {
            Err("is not the name of a region, such as eu-west-1".into())
        }
    };
    let given = problems.optional("region", cli.region.as_ref(), region);
    let default_region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .find_map(|name| environment(name))
        .filter(|region| aws::is_region(region));
    Some(SigningOptions {
        keys: key_source(cli, environment, problems)?,
        region: given,
        default_region,
    })
}

/// Options go before the environment, and keys in the environment before a file that it names.
fn key_source(cli: &Cli, environment: Environment, problems: &mut Problems) -> Option<KeySource> {
    let profile = environment("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let by_provider = cli.credential_provider.is_some() || cli.role_alias.is_some();
    if let Some(file) = file(
        "aws-credentials-file",
        cli.aws_credentials_file.as_ref(),
        problems,
    ) {
        if by_provider {
            problems.0.push("--aws-credentials-file: gives access keys, and so does --credential-provider, use one of them".to_owned());
        }
        return Some(KeySource::File { file, profile });
    }
    if by_provider {
        return provider(cli, problems).map(KeySource::Provider);
    }
    if cli.provider_thing.is_some() {
        problems.missing("credential-provider", "--provider-thing is told to it");
    }
    if let Some(id) = environment("AWS_ACCESS_KEY_ID") {
        return of_environment(&id, environment)
            .map_err(|why| {
                problems
                    .0
                    .push(format!("AWS_ACCESS_KEY_ID in the environment: {why}"))
            })
            .ok();
    }
    if let Some(file) = environment("AWS_SHARED_CREDENTIALS_FILE") {
        let file = file.into();
        return Some(KeySource::File { file, profile });
    }
    if cli.aws_credentials_file.is_none() {
        problems.missing("aws-credentials-file", "--transport=wss needs access keys from such a file, from --credential-provider and --role-alias, or from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment; or a custom authoriser by --authorizer");
    }
    None
}

fn of_environment(id: &str, environment: Environment) -> Result<KeySource, String> {
    let secret = environment("AWS_SECRET_ACCESS_KEY").unwrap_or_default();
    let token = environment("AWS_SESSION_TOKEN");
    let expiration = environment("AWS_CREDENTIAL_EXPIRATION");
    let expiration = expiration.as_deref().and_then(date::iso_8601);
    AccessKeys::new(id, &secret, token.as_deref(), expiration).map(KeySource::Environment)
}

fn provider(cli: &Cli, problems: &mut Problems) -> Option<ProviderOptions> {
    if cli.role_alias.is_none() {
        problems.missing(
            "role-alias",
            "--credential-provider lends the access keys of one",
        );
    }
    if cli.credential_provider.is_none() {
        problems.missing("credential-provider", "--role-alias is asked for there");
    }
    let endpoint = problems.optional(
        "credential-provider",
        cli.credential_provider.as_ref(),
        provider_endpoint,
    );
    let role_alias = problems.optional("role-alias", cli.role_alias.as_ref(), |text| {
        name(text, "=,@-_")
    });
    let thing = match &cli.provider_thing {
        Some(_) => problems.optional("provider-thing", cli.provider_thing.as_ref(), thing),
        None => {
            let id = cli.clientid.clone().unwrap_or_default();
            let named = thing(&id);
            if named.is_err() && cli.clientid.is_some() {
                problems.missing(
                    "provider-thing",
                    "the client id, which stands for it, cannot be the name of a thing",
                );
            }
            named.ok()
        }
    };
    Some(ProviderOptions {
        endpoint: endpoint?,
        role_alias: role_alias?,
        thing: thing?,
    })
}

fn provider_endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::read(text, HTTPS)?;
    if endpoint.is_aws() && !endpoint.host.contains(".credentials.iot.") {
        return Err("is not an endpoint of the credential provider; `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` prints the right one".into());
    }
    Ok(endpoint)
}

fn thing(text: &str) -> Result<String, String> {
    name(text, ":_-")
}

/// Letters, digits, and what else is allowed.
fn name(text: &str, more: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    if text.is_empty() {
        Err("is empty".into())
    } else if text.len() > LONGEST_NAME {
        Err(format!("is longer than {LONGEST_NAME} bytes"))
    } else if let Some(bad) = text.chars().find(|c| !fits(*c)) {
        Err(format!("contains {bad:?}, use letters, digits and {more}"))
    } else {
        Ok(text.to_owned())
    }
}

fn username(text: &str) -> Result<String, String> {
    if text.contains('?') {
        Err("contains '?', behind which the authoriser's parameters stand: they are put there by --authorizer and --authorizer-token-file".into())
    } else if text.chars().any(char::is_control) {
        Err("contains a control character".into())
    } else if text.len() > LONGEST_USERNAME {
        Err(format!("is longer than {LONGEST_USERNAME} bytes"))
    } else {
        Ok(text.to_owned())
    }
}

fn file(option: &str, value: Option<&String>, problems: &mut Problems) -> Option<PathBuf> {
    problems.optional(option, value, |text| {
        if text.is_empty() {
            Err("is empty, name a file".into())
        } else {
            Ok(PathBuf::from(text))
        }
    })
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
