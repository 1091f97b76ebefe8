//! A session with the token of a key. A PIN that was refused is not shown to a token again: a few wrong ones
//! lock it. Another PIN in the file is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::modules::{self, Module};
use super::{lock, words};
use crate::{KeyError, KeyUri, Problem, pin};

/// By the token's serial number and label: the PIN that it has refused.
static REFUSED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// A session as the user of the token, and its module, which must live longer.
pub fn session(uri: &KeyUri, writable: bool) -> Result<(Session, Arc<Module>), KeyError> {
    let module = modules::open(uri)?;
    let (slot, info) = slot(uri, &module)?;
    let opened = if writable {
        module.context.open_rw_session(slot)
    } else {
        module.context.open_ro_session(slot)
    };
    let session = opened.map_err(|error| words::token(uri, "opens no session", &error))?;
    if info.login_required() {
        login(uri, &session, &info)?;
    }
    Ok((session, module))
}

/// The one token that the address means.
fn slot(uri: &KeyUri, module: &Module) -> Result<(Slot, TokenInfo), KeyError> {
    let context = &module.context;
    let slots = context
        .get_slots_with_token()
        .map_err(|error| words::token(uri, "cannot be looked for", &error))?;
    let mut infos: Vec<(Slot, TokenInfo)> = slots
        .into_iter()
        .filter_map(|slot| Some((slot, context.get_token_info(slot).ok()?)))
        .filter(|(_, info)| info.token_initialized())
        .collect();
    let there = seen(&infos);
    infos.retain(|(slot, info)| is_meant(uri, *slot, info));
    let path = module.path.display();
    let wrong = match infos.len() {
        1 => return Ok(infos.remove(0)),
        0 => format!(
            "{} is absent, plug it in or correct the address; {path} shows {there}",
            uri.token_name()
        ),
        more => format!(
            "{} means {more} tokens of {path}, name one by token= or serial=: {there}",
            uri.token_name()
        ),
    };
    let problem = if infos.is_empty() {
        Problem::Absent
    } else {
        Problem::Setting
    };
    Err(KeyError::new(problem, wrong))
}

fn is_meant(uri: &KeyUri, slot: Slot, info: &TokenInfo) -> bool {
    let same = |wanted: &Option<String>, is: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.trim_end() == is.trim_end())
    };
    same(&uri.token, info.label())
        && same(&uri.serial, info.serial_number())
        && same(&uri.manufacturer, info.manufacturer_id())
        && same(&uri.model, info.model())
        && uri.slot_id.is_none_or(|wanted| wanted == slot.id())
}

fn seen(infos: &[(Slot, TokenInfo)]) -> String {
    let shown = infos.iter().take(8).map(|(_, info)| {
        format!(
            "token '{}' (serial '{}')",
            info.label().escape_debug(),
            info.serial_number().escape_debug()
        )
    });
    let all = shown.collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        "no token".to_owned()
    } else {
        all
    }
}

fn login(uri: &KeyUri, session: &Session, info: &TokenInfo) -> Result<(), KeyError> {
    let name = uri.token_name();
    let wrong = |problem, why| Err(KeyError::new(problem, why));
    if info.user_pin_locked() {
        return wrong(Problem::Locked, words::locked(uri));
    }
    let Some(file) = &uri.pin_source else {
        if info.protected_authentication_path() {
            return entered(uri, session.login(UserType::User, None), None, info);
        }
        let why = format!(
            "{name} wants a PIN: write it to a file of mode 600 and add pin-source=file:/…"
        );
        return wrong(Problem::Setting, why);
    };
    let pin = pin::read(file)?;
    let mut refused = lock(&REFUSED);
    if refused.get_or_insert_default().get(&which(info)) == Some(&pin) {
        let why = format!(
            "{name} has refused the PIN in {}, it is not tried again until the file has another one or the program is started anew",
            file.display()
        );
        return wrong(Problem::Pin, why);
    }
    if info.user_pin_final_try() {
        let why = format!(
            "{name} takes one more wrong PIN and is locked then, so the one in {} is not tried; log in once by hand, which resets the count: pkcs11-tool --login",
            file.display()
        );
        return wrong(Problem::Pin, why);
    }
    drop(refused);
    let outcome = session.login(UserType::User, Some(&AuthPin::from(pin.clone())));
    entered(uri, outcome, Some(pin), info)
}

fn entered(
    uri: &KeyUri,
    outcome: Result<(), Error>,
    pin: Option<String>,
    info: &TokenInfo,
) -> Result<(), KeyError> {
    match outcome {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired,
            _,
        )) => {
            let source = match &uri.pin_source {
                Some(file) => format!("the PIN in {}", file.display()),
                None => "the PIN".to_owned(),
            };
            if let Some(pin) = pin {
                lock(&REFUSED)
                    .get_or_insert_default()
                    .insert(which(info), pin);
            }
            let why = format!(
                "{} refuses {source}, correct it; it is not tried again as it is, for a few wrong ones lock the token",
                uri.token_name()
            );
            Err(KeyError::new(Problem::Pin, why))
        }
        Err(error) => Err(words::token(uri, "does not log in", &error)),
    }
}

fn which(info: &TokenInfo) -> String {
    format!("{} {}", info.serial_number(), info.label())
}
