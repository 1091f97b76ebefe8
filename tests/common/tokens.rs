//! The two ways to ask a token: by the helper, and in a build with the feature by the daemon itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Device;

/// Who asks the token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Helper,
    #[cfg(feature = "pkcs11")]
    Process,
}

#[cfg(feature = "pkcs11")]
pub const WAYS: [Way; 2] = [Way::Helper, Way::Process];
#[cfg(not(feature = "pkcs11"))]
pub const WAYS: [Way; 1] = [Way::Helper];

/// The program, built where the daemon is.
pub fn helper() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let daemon = Path::new(env!("CARGO_BIN_EXE_chariotd"));
        let profile = daemon.parent().expect("its directory");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "chariotd-pkcs11",
        ]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo
            .arg("--target-dir")
            .arg(profile.parent().expect("the target directory"));
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.is_ok_and(|status| status.success()), "it builds");
        profile.join("chariotd-pkcs11")
    })
}

impl Way {
    pub fn add(self, device: &mut Device) {
        match self {
            Way::Helper => device.option("--key-helper", helper().display()),
            #[cfg(feature = "pkcs11")]
            Way::Process => device,
        };
    }
}
