//! Answers of the provisioning service.

#![no_main]

use chariotd::provision::answer::{created, object, refused, registered};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(!refused(data).to_string().is_empty());
    let Ok(members) = object(data) else {
        return;
    };
    for with_key in [true, false] {
        if let Ok(created) = created(&members, with_key) {
            assert!(!created.id.is_empty() && !created.token.is_empty());
            assert_eq!(created.private_key.is_some(), with_key);
        }
    }
    let _ = registered(&members);
});
