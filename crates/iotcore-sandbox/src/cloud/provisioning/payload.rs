//! Pure: reads the payload of a request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::rejection::ProvisioningRejection;

/// A request to register as a thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub token: String,
    pub parameters: BTreeMap<String, String>,
}

/// A request for keys and a certificate has no members that matter.
pub(super) fn create(payload: &[u8]) -> Result<(), ProvisioningRejection> {
    if payload.is_empty() {
        return Ok(());
    }
    object(payload).map(|_| ())
}

/// The certificate signing request in a request for a certificate; PEM, if the device does it right.
pub(super) fn csr(payload: &[u8]) -> Result<String, ProvisioningRejection> {
    match object(payload)?.remove("certificateSigningRequest") {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) | None => Err(ProvisioningRejection::csr("it cannot be empty")),
        Some(_) => Err(ProvisioningRejection::csr("it is not a string")),
    }
}

pub(super) fn registration(payload: &[u8]) -> Result<Registration, ProvisioningRejection> {
    let mut members = object(payload)?;
    let token = match members.remove("certificateOwnershipToken") {
        Some(Value::String(token)) if !token.is_empty() => token,
        Some(Value::String(_)) | None => {
            let message = "Certificate ownership token cannot be empty.";
            return Err(ProvisioningRejection::token(message));
        }
        Some(_) => {
            let message = "Certificate ownership token is not a string.";
            return Err(ProvisioningRejection::token(message));
        }
    };
    let parameters = match members.remove("parameters") {
        None => BTreeMap::new(),
        Some(Value::Object(parameters)) => strings(parameters)?,
        Some(_) => {
            let message = "Parameters are not an object.";
            return Err(ProvisioningRejection::parameters(message));
        }
    };
    Ok(Registration { token, parameters })
}

fn strings(members: Map<String, Value>) -> Result<BTreeMap<String, String>, ProvisioningRejection> {
    let string = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        _ => {
            let message = format!("Parameter '{name}' is not a string.");
            Err(ProvisioningRejection::parameters(message))
        }
    };
    members.into_iter().map(string).collect()
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, ProvisioningRejection> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ProvisioningRejection::request(
            "The payload is not an object.",
        )),
        Err(_) => Err(ProvisioningRejection::request("The payload is not JSON.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_keys_is_empty() {
        let check = |payload: &str, taken| {
            assert_eq!(create(payload.as_bytes()).is_ok(), taken, "{payload}");
        };
        check("", true);
        check("{}", true);
        check(r#"{"clientToken":"ignored"}"#, true);
        check("[]", false);
        check("hello", false);
    }

    #[test]
    fn a_request_for_a_certificate_has_a_signing_request() {
        let check = |payload: &str, expected: Result<&str, u16>| {
            let found = csr(payload.as_bytes());
            let found = found.as_deref().map_err(|rejection| rejection.status);
            assert_eq!(found, expected, "{payload}");
        };
        check(r#"{"certificateSigningRequest":"pem"}"#, Ok("pem"));
        check(r#"{"certificateSigningRequest":""}"#, Err(400));
        check(r#"{"certificateSigningRequest":7}"#, Err(400));
        check("{}", Err(400));
        check("", Err(400));
    }

    #[test]
    fn a_registration_has_a_token_and_parameters_of_strings() {
        let check = |payload: &str, expected: Result<usize, &str>| {
            let found = registration(payload.as_bytes());
            let found = found
                .as_ref()
                .map(|registration| registration.parameters.len());
            let found = found.map_err(|rejection| rejection.code.as_str());
            assert_eq!(found, expected, "{payload}");
        };
        let token = "InvalidCertificateOwnershipToken";
        check(r#"{"certificateOwnershipToken":"t"}"#, Ok(0));
        check(
            r#"{"certificateOwnershipToken":"t","parameters":{"a":"b"}}"#,
            Ok(1),
        );
        check(
            r#"{"certificateOwnershipToken":"t","parameters":{"a":1}}"#,
            Err("InvalidParameters"),
        );
        check(
            r#"{"certificateOwnershipToken":"t","parameters":[]}"#,
            Err("InvalidParameters"),
        );
        check(r#"{"certificateOwnershipToken":""}"#, Err(token));
        check(r#"{"certificateOwnershipToken":1}"#, Err(token));
        check("{}", Err(token));
        check("7", Err("InvalidRequest"));
        check("{", Err("InvalidRequest"));
    }
}
