//! Pure: what a module says, in our words, as a kind of problem and with a remedy.

use std::path::Path;

use cryptoki::error::{Error, RvError};

use crate::{KeyError, KeyUri, Problem};

/// The module cannot be used at all.
pub fn module(path: &Path, error: &Error) -> KeyError {
    let shown = path.display();
    let (problem, why) = match error {
        Error::LibraryLoading(why) => (
            Problem::Setting,
            format!("cannot load the PKCS#11 module {shown}: {}", chain(why)),
        ),
        Error::MissingSymbol(_) => (
            Problem::Setting,
            format!(
                "{shown} is no PKCS#11 module: it has no C_GetFunctionList, correct module-path"
            ),
        ),
        error => (
            Problem::Token,
            format!("the PKCS#11 module {shown} cannot begin: {}", said(error)),
        ),
    };
    KeyError::new(problem, why)
}

/// The loader's reason stands in the source.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// The token was asked for something. `what`: what cannot be done now.
pub fn token(uri: &KeyUri, what: &str, error: &Error) -> KeyError {
    let name = uri.token_name();
    let (problem, why) = match error {
        Error::Pkcs11(
            RvError::TokenNotPresent
            | RvError::DeviceRemoved
            | RvError::SlotIdInvalid
            | RvError::TokenNotRecognized,
            _,
        ) => (
            Problem::Absent,
            format!("{name} was removed, plug it in again"),
        ),
        Error::Pkcs11(RvError::PinLocked, _) => (Problem::Locked, locked(uri)),
        Error::Pkcs11(RvError::MechanismInvalid | RvError::MechanismParamInvalid, _) => (
            Problem::Key,
            format!("{name} {what}: it knows no such signature or key"),
        ),
        Error::Pkcs11(RvError::KeyFunctionNotPermitted, _) => (
            Problem::Key,
            format!("{name} {what}: the key may not sign (CKA_SIGN), make another one"),
        ),
        error => (Problem::Token, format!("{name} {what}: {}", said(error))),
    };
    KeyError::new(problem, why)
}

/// No PIN is taken any more.
pub fn locked(uri: &KeyUri) -> String {
    format!(
        "the PIN of {} is locked after too many wrong ones; its security officer can set a new one, e.g. by pkcs11-tool --login --login-type so --init-pin",
        uri.token_name()
    )
}

/// The name of the code alone, as the standard has it.
pub fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{function:?} says {code:?}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    fn check(code: RvError, problem: Problem, words: &str) {
        let uri: KeyUri = "pkcs11:token=t?module-name=m".parse().unwrap();
        let error = token(&uri, "cannot sign", &Error::Pkcs11(code, Function::Sign));
        assert_eq!(error.problem, problem, "{error}");
        assert!(error.text.contains(words), "{error}");
    }

    #[test]
    fn what_a_token_says_has_a_kind_and_a_remedy() {
        check(
            RvError::DeviceRemoved,
            Problem::Absent,
            "token 't' was removed, plug it in",
        );
        check(RvError::PinLocked, Problem::Locked, "--init-pin");
        check(
            RvError::MechanismInvalid,
            Problem::Key,
            "cannot sign: it knows no such",
        );
        check(RvError::KeyFunctionNotPermitted, Problem::Key, "CKA_SIGN");
        check(
            RvError::GeneralError,
            Problem::Token,
            "cannot sign: Sign says GeneralError",
        );
        check(
            RvError::SessionHandleInvalid,
            Problem::Token,
            "SessionHandleInvalid",
        );
    }
}
