//! Pure: the operations of fleet provisioning, and the topics of their requests. JSON only: a request on one of the CBOR
//! topics is never answered.

use std::fmt;

/// What a device can request of fleet provisioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProvisioningOperation {
    /// A certificate, and the keys for it (CreateKeysAndCertificate).
    Create,
    /// A certificate for a key of its own (CreateCertificateFromCsr).
    CreateFromCsr,
    /// To become a thing with the certificate that it was given (RegisterThing).
    Register,
}

impl ProvisioningOperation {
    /// The topic of such requests. The template matters to [`Register`](ProvisioningOperation::Register) only.
    pub fn topic(self, template: &str) -> String {
        Topic {
            operation: self,
            template: Some(template.to_owned()),
        }
        .to_string()
    }
}

impl fmt::Display for ProvisioningOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProvisioningOperation::Create => "create",
            ProvisioningOperation::CreateFromCsr => "create-from-csr",
            ProvisioningOperation::Register => "register",
        })
    }
}

/// The topic of a request, taken apart; displayed as that topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub operation: ProvisioningOperation,
    /// Of a registration.
    pub template: Option<String>,
}

impl Topic {
    /// `None` if a publish to this topic is no request to fleet provisioning.
    pub(super) fn of_request(topic: &str) -> Option<Topic> {
        let levels: Vec<&str> = topic.split('/').collect();
        let (operation, template) = match levels[..] {
            ["$aws", "certificates", "create", "json"] => (ProvisioningOperation::Create, None),
            ["$aws", "certificates", "create-from-csr", "json"] => {
                (ProvisioningOperation::CreateFromCsr, None)
            }
            ["$aws", "provisioning-templates", name, "provision", "json"] => {
                (ProvisioningOperation::Register, Some(name.to_owned()))
            }
            _ => return None,
        };
        Some(Topic {
            operation,
            template,
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let template = self.template.as_deref().unwrap_or_default();
        match self.operation {
            ProvisioningOperation::Register => {
                write!(f, "$aws/provisioning-templates/{template}/provision/json")
            }
            create => write!(f, "$aws/certificates/{create}/json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_what_is_requested_and_can_be_built_again() {
        let check = |topic: &str, expected: Option<(&str, Option<&str>)>| {
            let found = Topic::of_request(topic);
            let found = found.as_ref().map(|found| {
                assert_eq!(found.to_string(), topic);
                (found.operation.to_string(), found.template.as_deref())
            });
            let expected = expected.map(|(word, template)| (word.to_owned(), template));
            assert_eq!(found, expected, "{topic}");
        };
        check("$aws/certificates/create/json", Some(("create", None)));
        check(
            "$aws/certificates/create-from-csr/json",
            Some(("create-from-csr", None)),
        );
        check(
            "$aws/provisioning-templates/fleet/provision/json",
            Some(("register", Some("fleet"))),
        );
        check("$aws/certificates/create/cbor", None);
        check("$aws/certificates/create/json/accepted", None);
        check("$aws/certificates/create", None);
        check("$aws/provisioning-templates/fleet/provision", None);
        check("$aws/things/t/shadow/get", None);
    }
}
