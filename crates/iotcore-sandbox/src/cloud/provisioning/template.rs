//! Pure: provisioning templates: what a device has to say, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::hook::{Hook, HookAnswer, HookRequest};
use super::rejection::ProvisioningRejection;
use crate::pki::CertificateStatus;

/// The certificate's id, which expressions may name without anybody having said it.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// How devices become things. The default is called `fleet`, wants a `SerialNumber`, calls the thing
/// `device-{SerialNumber}`, and gives no configuration.
///
/// In the name of the thing and in the configuration, `{Name}` stands for the parameter of that name, and
/// `{AWS::IoT::Certificate::Id}` for the id of the certificate.
#[derive(Clone)]
pub struct Template {
    pub(super) name: String,
    /// With what they are if the device does not say it.
    parameters: BTreeMap<String, Option<String>>,
    thing: String,
    configuration: BTreeMap<String, String>,
    pub(super) hook: Option<Hook>,
    pub(super) status: CertificateStatus,
    pub(super) enabled: bool,
    pub(super) takes_tokens_again: bool,
    pub(super) takes_known_things: bool,
}

/// What a template makes of parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub thing: String,
    pub configuration: BTreeMap<String, String>,
}

impl Template {
    /// A template with the thing name of the default one.
    pub fn new(name: &str) -> Template {
        Template {
            name: name.to_owned(),
            parameters: BTreeMap::new(),
            thing: "device-{SerialNumber}".to_owned(),
            configuration: BTreeMap::new(),
            hook: None,
            status: CertificateStatus::Active,
            enabled: true,
            takes_tokens_again: false,
            takes_known_things: true,
        }
    }

    /// The device has to say this, as well as everything that the thing's name and the configuration need.
    pub fn parameter(mut self, name: &str) -> Template {
        self.parameters.insert(name.to_owned(), None);
        self
    }

    /// The device may say this.
    pub fn parameter_or(mut self, name: &str, default: &str) -> Template {
        let default = Some(default.to_owned());
        self.parameters.insert(name.to_owned(), default);
        self
    }

    /// What the thing is called.
    pub fn thing(mut self, expression: &str) -> Template {
        self.thing = expression.to_owned();
        self
    }

    /// The `deviceConfiguration` that a device gets with the name of its thing.
    ///
    /// # Panics
    /// When it is not an object of strings: AWS has nothing else.
    pub fn configuration(mut self, configuration: Value) -> Template {
        let Value::Object(members) = configuration else {
            panic!("{configuration} is no object");
        };
        let member = |(name, value)| match value {
            Value::String(text) => (name, text),
            other => panic!("{name} of a device configuration is {other}, not a string"),
        };
        self.configuration = members.into_iter().map(member).collect();
        self
    }

    /// Asks this before a device becomes a thing. It is called with the sandbox locked and must not call the sandbox.
    pub fn hook(
        mut self,
        hook: impl Fn(&HookRequest) -> HookAnswer + Send + Sync + 'static,
    ) -> Template {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// The certificate stays inactive when its device has become a thing.
    pub fn leaves_inactive(mut self) -> Template {
        self.status = CertificateStatus::Inactive;
        self
    }

    /// Nobody becomes a thing with it.
    pub fn disabled(mut self) -> Template {
        self.enabled = false;
        self
    }

    /// A device may register again with a token that has been used, as long as it is valid: it becomes what the template then says.
    /// Otherwise a token is good for one registration.
    pub fn takes_tokens_again(mut self) -> Template {
        self.takes_tokens_again = true;
        self
    }

    /// A device cannot become a thing that another certificate belongs to already. Otherwise the thing has both.
    pub fn refuses_known_things(mut self) -> Template {
        self.takes_known_things = false;
        self
    }

    /// The parameters of a device, with those that it need not say.
    pub(super) fn complete(
        &self,
        mut said: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ProvisioningRejection> {
        for (name, default) in &self.parameters {
            match default {
                _ if said.contains_key(name) => {}
                Some(default) => drop(said.insert(name.clone(), default.clone())),
                None => return Err(missing(name)),
            }
        }
        Ok(said)
    }

    /// What a device with these parameters becomes, with this certificate.
    pub(super) fn render(
        &self,
        parameters: &BTreeMap<String, String>,
        certificate_id: &str,
    ) -> Result<Rendered, ProvisioningRejection> {
        let mut known = parameters.clone();
        known.insert(CERTIFICATE_ID.to_owned(), certificate_id.to_owned());
        let fill = |text: &String| filled(text, &known).map_err(missing);
        let thing = fill(&self.thing)?;
        if !is_thing(&thing) {
            let message = format!("'{thing}' is not a thing name.");
            return Err(ProvisioningRejection::parameters(message));
        }
        let entries = self.configuration.iter();
        let configuration = entries.map(|(name, text)| Ok((name.clone(), fill(text)?)));
        Ok(Rendered {
            thing,
            configuration: configuration.collect::<Result<_, _>>()?,
        })
    }
}

impl Default for Template {
    fn default() -> Template {
        Template::new("fleet").parameter("SerialNumber")
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.name)
            .field("thing", &self.thing)
            .finish_non_exhaustive()
    }
}

fn missing(name: &str) -> ProvisioningRejection {
    let message = format!("Parameter '{name}' is missing.");
    ProvisioningRejection::parameters(message)
}

/// The text with values in the place of `{Name}`, or the first name that has none. Other braces stay as they are.
fn filled<'a>(text: &'a str, values: &BTreeMap<String, String>) -> Result<String, &'a str> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').filter(|(name, _)| is_name(name)) {
            Some((name, behind)) => {
                filled.push_str(values.get(name).ok_or(name)?);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_thing(text: &str) -> bool {
    text.len() <= 128 && is_name(text)
}

/// Of a parameter as well as of a thing.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
