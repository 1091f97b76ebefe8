//! A message file and its letterhead become what is published, or the reason why not.

#![no_main]

use chariotd::json::Members;
use chariotd::publish::message::{LARGEST_PAYLOAD, MessageFile};
use chariotd::publish::topic;
use chariotd_fuzz::two;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (message, letterhead) = two(data);
    let Ok(file) = MessageFile::parse(message) else {
        return;
    };
    let alone = file.clone().compose(None, "", "");
    // On a letterhead that says the same it is as good as alone.
    let own = Members::parse(message).expect("it was read before");
    let again = file.clone().compose(Some(own), "", "");
    assert_eq!(alone.is_ok(), again.is_ok(), "{alone:?}\n{again:?}");
    let letterhead = Members::parse(letterhead).ok();
    if let Ok(composed) = file.compose(letterhead, "site/", "/end") {
        assert!(composed.publish.payload.len() <= LARGEST_PAYLOAD);
        let name = &composed.publish.topic;
        assert!(name.starts_with("site/") && name.ends_with("/end"));
        assert_eq!(topic::invalid(name), None);
    }
});
