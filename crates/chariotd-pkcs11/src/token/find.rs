//! The one private key that an address means, its public part, and the schemes that it was seen to sign by.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::{OpenKey, login, words};
use crate::scheme::Scheme;
use crate::{Identity, KeyError, KeyUri, Problem, der, uri};

/// What is signed to see whether it works.
const PROBE: &[u8] = b"chariotd looks whether this key signs";

/// Opens a session and finds the key. `hint`: its public part, where the token has none.
pub fn key(uri: &KeyUri, hint: Option<&[u8]>) -> Result<OpenKey, KeyError> {
    let (session, module) = login::session(uri, false)?;
    let key = private(uri, &session)?;
    let public_key = match public(&session, key).or_else(|| hint.map(<[u8]>::to_vec)) {
        Some(public_key) => public_key,
        None => {
            return Err(unusable(
                uri,
                "has no public key beside it in the token, and no certificate tells it; write one there, e.g. by pkcs11-tool --write-object",
            ));
        }
    };
    let mut open = OpenKey {
        session,
        key,
        identity: Identity {
            public_key,
            schemes: Vec::new(),
        },
        _module: module,
    };
    open.identity.schemes = schemes(uri, &open)?;
    Ok(open)
}

fn unusable(uri: &KeyUri, why: &str) -> KeyError {
    let text = format!(
        "the key with {} in {} {why}",
        uri.key_name(),
        uri.token_name()
    );
    KeyError::new(Problem::Key, text)
}

fn private(uri: &KeyUri, session: &Session) -> Result<ObjectHandle, KeyError> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    let all = template.clone();
    template.extend(
        uri.object
            .clone()
            .map(|label| Attribute::Label(label.into_bytes())),
    );
    template.extend(uri.id.clone().map(Attribute::Id));
    let find = |template: &[Attribute]| {
        session
            .find_objects(template)
            .map_err(|error| words::token(uri, "cannot be searched", &error))
    };
    let found = find(&template)?;
    let text = match found.as_slice() {
        [one] if asks_again(session, *one) => {
            return Err(unusable(
                uri,
                "wants the PIN before each signature (CKA_ALWAYS_AUTHENTICATE), which is not supported; make one without that",
            ));
        }
        [one] => return Ok(*one),
        [] => format!(
            "no key with {} in {}, it holds {}",
            uri.key_name(),
            uri.token_name(),
            listed(session, &find(&all)?)
        ),
        several => format!(
            "{} means {} keys in {}, name one by object= or id=: {}",
            uri.key_name(),
            several.len(),
            uri.token_name(),
            listed(session, several)
        ),
    };
    Err(KeyError::new(Problem::Key, text))
}

fn asks_again(session: &Session, key: ObjectHandle) -> bool {
    let asked = session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]);
    asked.is_ok_and(|values| values.contains(&Attribute::AlwaysAuthenticate(true)))
}

fn listed(session: &Session, keys: &[ObjectHandle]) -> String {
    let shown = keys.iter().take(8).map(|key| {
        let label = value(session, *key, AttributeType::Label).unwrap_or_default();
        let id = value(session, *key, AttributeType::Id).unwrap_or_default();
        format!(
            "object '{}' (id '{}')",
            String::from_utf8_lossy(&label).escape_debug(),
            uri::hex(&id)
        )
    });
    let mut all = shown.collect::<Vec<_>>().join(", ");
    match keys.len() {
        0 => "no private key".to_owned(),
        more if more > 8 => {
            all.push_str(&format!(" and {} more", more - 8));
            all
        }
        _ => all,
    }
}

/// Its public part: from the object beside it, else, for RSA, from itself.
fn public(session: &Session, key: ObjectHandle) -> Option<Vec<u8>> {
    let id = value(session, key, AttributeType::Id).unwrap_or_default();
    let beside = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Id(id.clone()),
    ];
    let found = if id.is_empty() {
        Vec::new()
    } else {
        session.find_objects(&beside).ok()?
    };
    match found.as_slice() {
        [public] => described(session, *public).or_else(|| described(session, key)),
        _ => described(session, key),
    }
}

fn described(session: &Session, key: ObjectHandle) -> Option<Vec<u8>> {
    let kind = session
        .get_attributes(key, &[AttributeType::KeyType])
        .ok()?;
    match kind.first()? {
        Attribute::KeyType(KeyType::EC) => {
            let curve = value(session, key, AttributeType::EcParams)?;
            let point = value(session, key, AttributeType::EcPoint)?;
            Some(der::ec_public_key(&curve, &point))
        }
        Attribute::KeyType(KeyType::RSA) => {
            let modulus = value(session, key, AttributeType::Modulus)?;
            let exponent = value(session, key, AttributeType::PublicExponent)?;
            Some(der::rsa_public_key(&modulus, &exponent))
        }
        _ => None,
    }
}

fn value(session: &Session, key: ObjectHandle, kind: AttributeType) -> Option<Vec<u8>> {
    let values = session.get_attributes(key, &[kind]).ok()?;
    let bytes = values.into_iter().find_map(|value| match value {
        Attribute::Label(bytes)
        | Attribute::Id(bytes)
        | Attribute::EcParams(bytes)
        | Attribute::EcPoint(bytes)
        | Attribute::Modulus(bytes)
        | Attribute::PublicExponent(bytes) => Some(bytes),
        _ => None,
    });
    bytes.filter(|bytes| !bytes.is_empty())
}

/// Those by which it has just signed. That also finds a public part which belongs to another key.
fn schemes(uri: &KeyUri, open: &OpenKey) -> Result<Vec<u16>, KeyError> {
    let public_key = &open.identity.public_key;
    let candidates = Scheme::of_key(public_key);
    if candidates.is_empty() {
        return Err(unusable(
            uri,
            "is of a kind that is not supported: use EC P-256 or P-384, or RSA from 2048 bits on",
        ));
    }
    let mut seen = Vec::new();
    let mut failed = None;
    for scheme in candidates {
        match open.sign(uri, scheme.number(), &scheme.digest(PROBE)) {
            Ok(signature) if scheme.verifies(public_key, PROBE, &signature) => {
                seen.push(scheme.number())
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    }
    match (seen.is_empty(), failed) {
        (false, _) => Ok(seen),
        (true, Some(error)) => Err(error),
        (true, None) => Err(unusable(
            uri,
            "signs, but not so that its public key, or the certificate, confirms it: it belongs to another one, or is an RSA key of less than 2048 bits",
        )),
    }
}
