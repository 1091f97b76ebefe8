//! Pure: what the cloud's provisioning service answers, read from its JSON. Nothing in it is trusted to be
//! there.

use serde_json::{Map, Value};

use super::failed::ProvisioningError;
use crate::certstore::Registered;
use crate::mqtt::request::Rejection;

/// A certificate as the service describes it.
pub struct Created {
    pub id: String,
    pub certificate: String,
    /// `None` when the key was made on the device.
    pub private_key: Option<String>,
    pub token: String,
}

/// # Errors
/// It is not a JSON object.
pub fn object(payload: &[u8]) -> Result<Map<String, Value>, ProvisioningError> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(malformed("it is not a JSON object")),
    }
}

/// # Errors
/// What it lacks.
pub fn created(answer: &Map<String, Value>, with_key: bool) -> Result<Created, ProvisioningError> {
    let text = |name: &str| match answer.get(name).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(malformed(&format!("it has no '{name}'"))),
    };
    Ok(Created {
        id: text("certificateId")?,
        certificate: text("certificatePem")?,
        private_key: with_key.then(|| text("privateKey")).transpose()?,
        token: text("certificateOwnershipToken")?,
    })
}

/// # Errors
/// What it lacks, or what is of the wrong type.
pub fn registered(answer: &Map<String, Value>) -> Result<Registered, ProvisioningError> {
    let thing = answer.get("thingName").and_then(Value::as_str);
    let configuration = match answer.get("deviceConfiguration") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(configuration)) => configuration.clone(),
        Some(_) => return Err(malformed("its 'deviceConfiguration' is not an object")),
    };
    Ok(Registered {
        thing: thing
            .ok_or_else(|| malformed("it has no 'thingName'"))?
            .to_owned(),
        configuration,
    })
}

/// What a refusal says, as far as it can be read.
pub fn refused(payload: &[u8]) -> ProvisioningError {
    let rejection = Rejection::read(&object(payload).unwrap_or_default());
    let known = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
    let status = rejection
        .status
        .and_then(|status| u64::try_from(status).ok());
    ProvisioningError::Rejected {
        status: status.unwrap_or_default(),
        code: known(rejection.code),
        message: known(rejection.message),
    }
}

fn malformed(why: &str) -> ProvisioningError {
    ProvisioningError::Malformed(why.to_owned())
}
