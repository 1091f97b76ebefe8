//! PEM files: what cannot be read is described without a word of it.

#![no_main]

use chariotd::pem::{PemKind, blocks, read};
use chariotd_fuzz::is_printable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for block in blocks(text) {
        let _ = block.der();
    }
    for kind in [PemKind::Certificate, PemKind::PrivateKey] {
        match read(text, kind) {
            Ok(found) => assert!(!found.is_empty()),
            Err(why) => assert!(is_printable(&why), "{why:?}"),
        }
    }
});
