//! A service definition in JSON becomes a service, or everything that is wrong with it.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use chariotd::shadow::device::definitions::{Exported, check};
use chariotd::shadow::device::script::Script;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(exported) = Exported::from_json(text) else {
        return;
    };
    let sources = BTreeMap::from([("a.json".to_owned(), text.to_owned())]);
    let script = Script {
        file: "a.json".to_owned(),
        sources: Arc::new(sources),
    };
    match check::service(exported, &script) {
        Ok(checked) => {
            assert!(!checked.service.key.is_empty());
            assert!(!checked.service.timeout.is_zero());
        }
        Err(why) => assert!(!why.is_empty()),
    }
});
