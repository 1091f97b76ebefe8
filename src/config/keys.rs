//! Pure: where keys in tokens are, and who asks these.

use std::path::Path;

use chariotd_pkcs11::KeyUri;
use chariotd_pkcs11::uri::is_key_uri;

use super::problems::Problems;
use crate::cli::Cli;
use crate::identity::Keyring;
use crate::net;

/// Resolves `--key-helper`, and sees whether `--key` is the address of a key that can be used.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> Keyring {
    let helper = problems.optional("key-helper", cli.key_helper.as_ref(), command);
    let keyring = net::keyring(helper);
    let Some(uri) = cli.key.as_ref().filter(|key| is_key_uri(key)) else {
        return keyring;
    };
    // The value may hold a PIN.
    if let Err(why) = uri.parse::<KeyUri>() {
        problems.0.push(format!("--key: the key's address {why}"));
    }
    if let Err(why) = keyring.keys() {
        problems.0.push(format!("--key: {why}"));
    }
    keyring
}

/// Words without a shell. It runs in `/`.
fn command(text: &str) -> Result<Vec<String>, String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    match words.first().map(Path::new) {
        None => Err("is empty, use the path of chariotd-pkcs11".into()),
        Some(program) if program.is_absolute() || program.components().count() == 1 => Ok(words),
        Some(_) => Err("begins with a relative path, use an absolute one".into()),
    }
}
