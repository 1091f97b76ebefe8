//! The vendors' modules in this process. A module may be initialised once in a process, so all keys share it;
//! when the last one is gone it is finalised, and finds tokens that were plugged in since.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::{lock, words};
use crate::{KeyError, KeyUri, Problem};

/// An initialised module.
pub struct Module {
    pub context: Pkcs11,
    /// For messages.
    pub path: PathBuf,
}

/// A module stays loaded for good: some have threads that do not survive being unloaded.
struct Loaded {
    context: Pkcs11,
    users: Weak<Module>,
}

static LOADED: Mutex<Option<HashMap<PathBuf, Loaded>>> = Mutex::new(None);
/// Between the last user's end and the next one's beginning.
static CHANGING: Mutex<()> = Mutex::new(());

/// The module of a key, loaded and initialised.
pub fn open(uri: &KeyUri) -> Result<Arc<Module>, KeyError> {
    let path = path(uri)?;
    let mut loaded = lock(&LOADED);
    let loaded = loaded.get_or_insert_default();
    if let Some(module) = loaded.get(&path).and_then(|known| known.users.upgrade()) {
        return Ok(module);
    }
    let context = match loaded.get(&path) {
        Some(known) => known.context.clone(),
        None => load(&path)?,
    };
    let changing = lock(&CHANGING);
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match context.initialize(arguments) {
        // Somebody else's in this process; it serves as well.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(words::module(&path, &error)),
    }
    drop(changing);
    let module = Arc::new(Module {
        context: context.clone(),
        path: path.clone(),
    });
    let users = Arc::downgrade(&module);
    loaded.insert(path, Loaded { context, users });
    Ok(module)
}

impl Drop for Module {
    fn drop(&mut self) {
        let _changing = lock(&CHANGING);
        // An error means that it is finalised already, or broken.
        let _ = self.context.clone().finalize();
    }
}

fn load(path: &Path) -> Result<Pkcs11, KeyError> {
    let shown = path.display();
    if !path.is_file() {
        let why = format!(
            "there is no PKCS#11 module {shown}, install the token's package or correct module-path"
        );
        return Err(KeyError::new(Problem::Setting, why));
    }
    Pkcs11::new(path).map_err(|error| words::module(path, &error))
}

fn path(uri: &KeyUri) -> Result<PathBuf, KeyError> {
    if let Some(path) = &uri.module_path {
        return Ok(path.clone());
    }
    let name = uri.module_name.clone().unwrap_or_default();
    let places = places();
    let files = [format!("{name}.so"), format!("lib{name}.so"), name.clone()];
    let found = places
        .iter()
        .flat_map(|place| files.iter().map(move |file| place.join(file)))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let places: Vec<String> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        let why = format!(
            "there is no PKCS#11 module '{}' in {}; use module-path",
            name.escape_debug(),
            places.join(", ")
        );
        KeyError::new(Problem::Setting, why)
    })
}

/// Where distributions put modules.
fn places() -> Vec<PathBuf> {
    let machine = std::env::consts::ARCH;
    let triplet = format!("/usr/lib/{machine}-linux-gnu");
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", &triplet]
        .iter()
        .flat_map(|base| {
            [
                Path::new(base).join("pkcs11"),
                Path::new(base).join("softhsm"),
                base.into(),
            ]
        })
        .collect()
}
