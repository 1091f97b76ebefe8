//! A new key, made in the token and never outside of it.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;

use super::{login, words};
use crate::{KeyError, KeyKind, KeyUri, Problem, der};

/// Makes it at exactly this address.
pub fn key(uri: &KeyUri, kind: KeyKind) -> Result<(), KeyError> {
    let (Some(label), Some(id)) = (&uri.object, &uri.id) else {
        let why = "a new key needs a label and an id";
        return Err(KeyError::new(Problem::Setting, why));
    };
    let (session, _module) = login::session(uri, true)?;
    let named = [
        Attribute::Token(true),
        Attribute::Label(label.clone().into_bytes()),
        Attribute::Id(id.clone()),
    ];
    let mut public = named.to_vec();
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    public.extend(parameters(kind));
    let mut private = named.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let mechanism = match kind {
        KeyKind::EcP256 | KeyKind::EcP384 => Mechanism::EccKeyPairGen,
        KeyKind::Rsa2048 => Mechanism::RsaPkcsKeyPairGen,
    };
    session
        .generate_key_pair(&mechanism, &public, &private)
        .map(drop)
        .map_err(|error| words::token(uri, "makes no key", &error))
}

fn parameters(kind: KeyKind) -> Vec<Attribute> {
    match kind {
        KeyKind::EcP256 => vec![Attribute::EcParams(der::P_256.to_vec())],
        KeyKind::EcP384 => vec![Attribute::EcParams(der::P_384.to_vec())],
        KeyKind::Rsa2048 => vec![
            Attribute::ModulusBits(2048.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ],
    }
}
