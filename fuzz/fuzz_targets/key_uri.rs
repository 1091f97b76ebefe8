//! Addresses of keys in tokens: what is understood is written so that it is understood again.

#![no_main]

use chariotd_fuzz::is_printable;
use chariotd_pkcs11::KeyUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match text.parse::<KeyUri>() {
    Ok(uri) => {
        assert!(is_printable(&uri.key_name()) && is_printable(&uri.token_name()));
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
    Err(why) => assert!(is_printable(&why), "{why:?}"),
});
