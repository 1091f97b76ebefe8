//! The configuration file of `--fleetprov`, read and checked (manual, FLEET PROVISIONING).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use chariotd_pkcs11::KeyUri;
use serde_json::{Map, Value};

use super::keys::KeyType;
use crate::file::{self, without_byte_order_mark};
use crate::format::Format;
use crate::suggest::nearest;

const LARGEST: u64 = 64 * 1024;
const KEYS: [&str; 9] = [
    "claimstore",
    "template",
    "parameters",
    "outfile",
    "outformat",
    "notifycmd",
    "csr",
    "keytype",
    "keyuri",
];

/// How the device gets a certificate of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The certificate store of the factory.
    pub claimstore: PathBuf,
    pub template: String,
    /// Names and texts that the template asks for.
    pub parameters: Map<String, Value>,
    /// Where thing name and configuration are written.
    pub outfile: Option<(PathBuf, Format)>,
    /// Run through `sh -c` when all is done.
    pub notify: Option<String>,
    /// The key is made on the device; `None`: by the cloud.
    pub own_key: Option<KeyType>,
    /// It is made in this token. Its label is the beginning of those of the keys, which have ids of their own.
    pub key_uri: Option<KeyUri>,
}

impl Settings {
    /// # Errors
    /// The file cannot be read, or everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Settings> {
        let shown = path.display();
        let contents = file::read(path, LARGEST)
            .with_context(|| format!("cannot read the fleet provisioning configuration {shown}"))?;
        let members = match serde_json::from_slice(without_byte_order_mark(&contents)) {
            Ok(Value::Object(members)) => members,
            Ok(_) => bail!("{shown} is not a JSON object"),
            Err(error) => bail!("{shown} is not JSON: {error}"),
        };
        let mut reader = SettingsReader {
            members,
            problems: Vec::new(),
        };
        let settings = reader.settings();
        if reader.problems.is_empty() {
            settings.ok_or_else(|| anyhow!("{shown} is incomplete"))
        } else {
            bail!("{shown}: {}", reader.problems.join("; "))
        }
    }
}

struct SettingsReader {
    members: Map<String, Value>,
    problems: Vec<String>,
}

impl SettingsReader {
    fn settings(&mut self) -> Option<Settings> {
        self.unknown_keys();
        let (claimstore, template) = (self.mandatory("claimstore"), self.template());
        let key_uri = self.key_uri();
        let (parameters, own_key) = (self.parameters(), self.own_key(key_uri.is_some()));
        // Everything is read before anything is missed.
        let (outfile, notify) = (self.outfile(), self.text("notifycmd"));
        Some(Settings {
            claimstore: claimstore?.into(),
            template: template?,
            parameters,
            outfile,
            notify,
            own_key,
            key_uri,
        })
    }

    fn unknown_keys(&mut self) {
        for key in self
            .members
            .keys()
            .filter(|key| !KEYS.contains(&key.as_str()))
        {
            let hint = match nearest(key, &KEYS) {
                Some(right) => format!(", did you mean '{right}'?"),
                None => format!(", use {}", KEYS.join(", ")),
            };
            self.problems.push(format!("unknown key '{key}'{hint}"));
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.members.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.problems
                    .push(format!("'{key}' is not a text, or empty"));
                None
            }
        }
    }

    fn mandatory(&mut self, key: &str) -> Option<String> {
        if !self.members.contains_key(key) {
            self.problems.push(format!("'{key}' is missing"));
        }
        self.text(key)
    }

    /// It becomes part of a topic.
    fn template(&mut self) -> Option<String> {
        let template = self.mandatory("template")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if template.len() > 36 || !template.chars().all(fits) {
            self.problems.push(format!(
                "'template' is '{template}', and a template's name has up to 36 letters, digits, _ and -"
            ));
        }
        Some(template)
    }

    fn parameters(&mut self) -> Map<String, Value> {
        let parameters = match self.members.get("parameters") {
            Some(Value::Object(parameters)) => parameters.clone(),
            Some(_) => {
                self.problems
                    .push("'parameters' is not an object".to_owned());
                return Map::new();
            }
            None => {
                self.problems.push("'parameters' is missing".to_owned());
                return Map::new();
            }
        };
        for (name, _) in parameters.iter().filter(|(_, value)| !value.is_string()) {
            self.problems.push(format!(
                "parameter '{name}' is not a text, put it in quotes"
            ));
        }
        parameters
    }

    fn outfile(&mut self) -> Option<(PathBuf, Format)> {
        let (outfile, format) = (self.text("outfile"), self.text("outformat"));
        let format = format.and_then(|format| match format.parse() {
            Ok(format) => Some(format),
            Err(why) => {
                self.problems.push(format!("'outformat': {why}"));
                None
            }
        });
        let given = |key| self.members.contains_key(key);
        if given("outfile") && !given("outformat") {
            self.problems
                .push("'outfile' needs 'outformat': JSON, SHELL or PLAINTEXT".to_owned());
        }
        if format == Some(Format::Plaintext) {
            self.problems.push(
                "'outformat' is PLAINTEXT, which holds one text only, use JSON or SHELL".to_owned(),
            );
        }
        Some((outfile?.into(), format?))
    }

    fn key_uri(&mut self) -> Option<KeyUri> {
        let text = self.text("keyuri")?;
        match text.parse::<KeyUri>() {
            Ok(uri) if uri.id.is_some() => self.problems.push(
                "'keyuri' has an id, and each certificate gets a key with one of its own, leave it out"
                    .to_owned(),
            ),
            Ok(uri) => return Some(uri),
            // The value may hold a PIN.
            Err(why) => self.problems.push(format!("'keyuri' {why}")),
        }
        None
    }

    fn own_key(&mut self, in_token: bool) -> Option<KeyType> {
        let kind = match self.members.get("keytype").map(|kind| kind.as_str()) {
            None | Some(Some("ec-p256")) => KeyType::EcP256,
            Some(Some("rsa-2048")) => KeyType::Rsa2048,
            Some(_) => {
                self.problems
                    .push("'keytype' is unknown, use ec-p256 or rsa-2048".to_owned());
                KeyType::EcP256
            }
        };
        let csr = match self.members.get("csr") {
            None => false,
            Some(Value::Bool(csr)) => *csr,
            Some(_) => {
                self.problems
                    .push("'csr' is neither true nor false".to_owned());
                false
            }
        };
        if !csr && self.members.contains_key("keytype") {
            self.problems
                .push("'keytype' needs \"csr\": true, the cloud makes RSA keys only".to_owned());
        }
        if !csr && self.members.contains_key("keyuri") {
            self.problems.push(
                "'keyuri' needs \"csr\": true, a key of the cloud's is not in a token".to_owned(),
            );
        }
        if csr && kind == KeyType::Rsa2048 && !in_token && !cfg!(feature = "rsa") {
            self.problems
                .push("'keytype' is rsa-2048, and this build makes ec-p256 keys only".to_owned());
        }
        csr.then_some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fp.json");
        std::fs::write(&path, text).unwrap();
        Settings::read(&path)
    }

    #[test]
    fn everything_but_store_template_and_parameters_has_a_default() {
        let settings =
            read(r#"{"claimstore":"/c","template":"t","parameters":{"SerialNumber":"1"}}"#)
                .unwrap();
        assert_eq!(
            (settings.own_key, settings.outfile, settings.notify),
            (None, None, None)
        );
        let settings = read(
            r#"{"claimstore":"/c","template":"t","parameters":{},"csr":true,"outfile":"/o","outformat":"SHELL"}"#,
        )
        .unwrap();
        assert_eq!(settings.own_key, Some(KeyType::EcP256));
        assert_eq!(settings.outfile, Some(("/o".into(), Format::Shell)));
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once_with_the_remedy() {
        let wrong = r#"{"claimstor":"/c","template":"a/b","parameters":{"n":1},"outfile":"/o",
                        "csr":"yes","keytype":"dsa","notifycmd":5,
                        "keyuri":"pkcs11:token=t?module-path=/m&pin-value=s3cr3t"}"#;
        let error = read(wrong).unwrap_err().to_string();
        for part in [
            "unknown key 'claimstor', did you mean 'claimstore'?",
            "'claimstore' is missing",
            "'template' is 'a/b'",
            "parameter 'n' is not a text",
            "'outfile' needs 'outformat'",
            "'csr' is neither",
            "'keytype' is unknown",
            "'notifycmd' is not a text",
            "'keyuri' has pin-value, which",
            "'keyuri' needs \"csr\": true",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_file_that_is_missing_or_not_an_object_is_named() {
        let missing = Settings::read(Path::new("/nonexistent/fp.json")).unwrap_err();
        assert!(format!("{missing:#}").contains("/nonexistent/fp.json"));
        for text in ["", "[]", "{\"a\":"] {
            assert!(
                read(text).unwrap_err().to_string().contains("fp.json"),
                "{text}"
            );
        }
    }
}
