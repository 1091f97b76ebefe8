//! Pure: provisioning templates: which parameters a device has to give, and which thing is registered for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::hook::{Hook, HookAnswer, HookRequest};
use super::rejection::ProvisioningRejection;
use crate::pki::CertificateStatus;

/// The certificate's id, which expressions may use although it is no parameter.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// How devices are registered as things. The default is called `fleet`, requires a `SerialNumber`, names the thing
/// `device-{SerialNumber}`, and gives no configuration.
///
/// In the name of the thing and in the configuration, `{Name}` stands for the parameter of that name, and
/// `{AWS::IoT::Certificate::Id}` for the id of the certificate.
#[derive(Clone)]
pub struct Template {
    pub(super) name: String,
    /// Each with its default, for devices that do not give it.
    parameters: BTreeMap<String, Option<String>>,
    thing: String,
    configuration: BTreeMap<String, String>,
    pub(super) hook: Option<Hook>,
    pub(super) status: CertificateStatus,
    pub(super) enabled: bool,
    pub(super) takes_tokens_again: bool,
    pub(super) takes_known_things: bool,
}

/// A template filled in with parameters.
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

    /// Requires this parameter, in addition to those that the thing's name and the configuration use.
    pub fn parameter(mut self, name: &str) -> Template {
        self.parameters.insert(name.to_owned(), None);
        self
    }

    /// Allows this parameter, with a default.
    pub fn parameter_or(mut self, name: &str, default: &str) -> Template {
        let default = Some(default.to_owned());
        self.parameters.insert(name.to_owned(), default);
        self
    }

    /// The name of the thing.
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

    /// Calls this before a device is registered. It is called with the sandbox locked and must not call the sandbox.
    pub fn hook(
        mut self,
        hook: impl Fn(&HookRequest) -> HookAnswer + Send + Sync + 'static,
    ) -> Template {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// The certificate is inactive after the registration, not active.
    pub fn leaves_inactive(mut self) -> Template {
        self.status = CertificateStatus::Inactive;
        self
    }

    /// Every registration with this template is rejected.
    pub fn disabled(mut self) -> Template {
        self.enabled = false;
        self
    }

    /// A device may register again with a used token that is still valid: it becomes the thing that the template then
    /// names. By default a token is valid for one registration.
    pub fn takes_tokens_again(mut self) -> Template {
        self.takes_tokens_again = true;
        self
    }

    /// A device cannot register as a thing that has another certificate already. By default the thing gets both.
    pub fn refuses_known_things(mut self) -> Template {
        self.takes_known_things = false;
        self
    }

    /// The parameters of a device, with the defaults of those that it did not give.
    pub(super) fn complete(
        &self,
        mut given: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ProvisioningRejection> {
        for (name, default) in &self.parameters {
            match default {
                _ if given.contains_key(name) => {}
                Some(default) => drop(given.insert(name.clone(), default.clone())),
                None => return Err(missing(name)),
            }
        }
        Ok(given)
    }

    /// The thing and the configuration for these parameters and this certificate.
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
