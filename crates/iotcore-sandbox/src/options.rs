//! The command line of the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use iotcore_sandbox::Authorizer;

/// A local AWS IoT Core on localhost, to run and test devices against.
///
/// Writes its CA and a certstore for a device into DIR, listens on PORT,
/// prints what happens, and ends on Ctrl-C.
///
/// Keeps the shadows of things in DIR/shadow: THING.desired.json and
/// THING.reported.json, or THING~NAME.desired.json and
/// THING~NAME.reported.json for named shadows. Edit a .desired.json, or
/// create one, to change what is desired.
///
/// New devices can be provisioned with the claim certificate in DIR/claim,
/// which is a certstore too. The template is called 'fleet'. It requires
/// the parameter SerialNumber and registers the thing device-SERIALNUMBER,
/// with an empty configuration. Requests are JSON, not CBOR.
///
/// The port of --wss-port is as AWS's 443. Devices upgrade to MQTT over
/// WebSocket there, signed with the access key in DIR/aws-credentials, or
/// connect by a custom authoriser with the ALPN value 'mqtt'.
/// The credential provider gives devices with a certificate temporary
/// access keys for the role alias 'device'.
#[derive(Debug, Parser)]
#[command(
    name = "iotcore-sandbox",
    // The last one of a repeated option counts; authorisers add up.
    args_override_self = true,
    verbatim_doc_comment,
    after_help = "Exit codes: 0 ended by Ctrl-C, 1 cannot start."
)]
pub struct Options {
    /// Port of 127.0.0.1 to listen on, 0 for any free one
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    pub port: u16,

    /// Port that is as AWS's 443, for WebSocket and authorisers
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub wss_port: u16,

    /// Port of the credential provider
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub credential_provider_port: u16,

    /// Directory of certificates and shadows, created if necessary
    #[arg(long, value_name = "DIR", default_value = "iotcore-sandbox")]
    pub dir: PathBuf,

    /// Region for which upgrades to WebSocket must be signed
    #[arg(long, value_name = "REGION", default_value = "eu-west-1")]
    pub region: String,

    /// How long temporary access keys are valid
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub credential_lifetime: u64,

    /// Custom authoriser [+]: NAME, and what it expects, each after a
    /// comma: token-key=KEY, token=TOKEN, public-key=FILE of the
    /// signature, username=USER, password-file=FILE,
    /// disconnect-after=SECONDS; 'default' makes it the default one
    #[arg(long, value_name = "NAME[,...]", verbatim_doc_comment)]
    pub authorizer: Vec<String>,

    /// How far the clock of signatures is ahead, or behind if negative
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    pub clock_skew: i64,
}

impl Options {
    /// The authorisers; the files that they name are read.
    pub fn authorizers(&self) -> anyhow::Result<Vec<Authorizer>> {
        let read = |text: &String| {
            authorizer(text).with_context(|| format!("--authorizer={}", name_of(text)))
        };
        self.authorizer.iter().map(read).collect()
    }
}

/// Without what follows it: that may be secret.
fn name_of(text: &str) -> &str {
    text.split(',').next().unwrap_or_default()
}

fn authorizer(text: &str) -> anyhow::Result<Authorizer> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name.contains('=') {
        bail!("the name is missing, write NAME,token-key=KEY and so on");
    }
    parts.try_fold(Authorizer::new(name), |authorizer, part| {
        Ok(match part.split_once('=') {
            Some(("token-key", key)) => authorizer.token_key(key),
            Some(("token", token)) => authorizer.token(token),
            Some(("public-key", file)) => authorizer
                .signed_by(&read(file)?)
                .with_context(|| format!("public-key={file}"))?,
            Some(("username", username)) => authorizer.username(username),
            Some(("password-file", file)) => {
                authorizer.password(read(file)?.trim_end_matches('\n'))
            }
            Some(("disconnect-after", seconds)) => {
                let seconds = seconds
                    .parse()
                    .with_context(|| format!("disconnect-after={seconds}: no number"))?;
                authorizer.disconnect_after(Duration::from_secs(seconds))
            }
            None if part == "default" => authorizer.by_default(),
            other => {
                let key = other.map_or(part, |(key, _)| key);
                bail!(
                    "unknown setting '{key}', use token-key, token, public-key, username, password-file, disconnect-after or default"
                )
            }
        })
    })
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(Path::new(file)).with_context(|| format!("cannot read {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authoriser_is_described_in_one_word() {
        let dir = tempfile::tempdir().unwrap();
        let [key, password] = ["key.pem", "password"].map(|name| dir.path().join(name));
        std::fs::write(&key, iotcore_sandbox::example::PUBLIC_KEY).unwrap();
        std::fs::write(&password, "s3cret\n").unwrap();
        let text = format!(
            "gate,token-key=ticket,token=t,public-key={},username=pump,password-file={},disconnect-after=300,default",
            key.display(),
            password.display()
        );
        let expected = Authorizer::new("gate").token_key("ticket").token("t");
        let expected = expected.signed_by(iotcore_sandbox::example::PUBLIC_KEY);
        let expected = expected.unwrap().username("pump").password("s3cret");
        let expected = expected.disconnect_after(Duration::from_secs(300));
        assert_eq!(authorizer(&text).unwrap(), expected.by_default());
        assert_eq!(authorizer("gate").unwrap(), Authorizer::new("gate"));
    }

    #[test]
    fn a_wrong_authoriser_is_named_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", authorizer(text).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        };
        check("", "the name is missing");
        check("token=t", "the name is missing");
        check("gate,tokn=t", "unknown setting 'tokn', use token-key");
        check("gate,token", "unknown setting 'token'");
        check("gate,public-key=/nowhere", "cannot read /nowhere: ");
        check(
            "gate,public-key=/dev/null",
            "public-key=/dev/null: no RSA public key",
        );
        check("gate,disconnect-after=1h", "disconnect-after=1h: no number");
    }
}
