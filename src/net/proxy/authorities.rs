//! Who may sign the certificate of a proxy: the CAs of the system, where no option names others. A
//! proxy belongs to the network that the device stands in, and so does what that network trusts.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::net::tls::Roots;

/// Where systems keep their CAs in one file: Debian, Alpine and OpenWrt; Fedora; openSUSE; others.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Those of the file, else the system's.
///
/// # Errors
/// The file cannot be used, or the system has none.
pub fn authorities(file: Option<&Path>) -> Result<Roots> {
    let need = "--proxy-cacert needs the CA that signs the proxy's certificate";
    match file {
        Some(file) => Roots::read_for(file, need),
        None => {
            let file = first(&BUNDLES).ok_or_else(|| {
                anyhow!(
                    "this system has no CA certificates for a proxy with https://, there is neither of {}: name those of the proxy with --proxy-cacert",
                    BUNDLES.join(", ")
                )
            })?;
            let mut roots = Roots::read_for(&file, need)?;
            // A CA that is too old or too new for us is nobody's fault here.
            roots.problems.clear();
            Ok(roots)
        }
    }
}

fn first(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bundle_that_is_there_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let (one, two, three) = (file("one"), file("two"), file("three"));
        let places = [one.as_str(), &two, &three];
        assert_eq!(first(&places), None);
        std::fs::create_dir(&one).unwrap();
        std::fs::write(&three, "").unwrap();
        assert_eq!(first(&places), Some(PathBuf::from(&three)));
        std::fs::write(&two, "").unwrap();
        assert_eq!(first(&places), Some(PathBuf::from(&two)));
    }
}
