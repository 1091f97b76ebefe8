//! Certificates in DER.

#![no_main]

use std::time::SystemTime;

use chariotd::x509::{Validity, public_key, public_key_info};
use chariotd_pkcs11::scheme::Scheme;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|certificate: &[u8]| {
    if let Ok(validity) = Validity::of(certificate) {
        let _ = validity.age(SystemTime::now());
    }
    let info = public_key_info(certificate);
    if let Ok(key) = public_key(certificate) {
        let info = info.as_ref().expect("the key is a part of it");
        assert!(info.ends_with(&key));
    }
    if let Ok(info) = info {
        let _ = Scheme::of_key(&info);
    }
});
