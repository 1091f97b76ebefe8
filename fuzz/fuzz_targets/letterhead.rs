//! Members are merged as the values that they are: objects deeply, all else replaces.

#![no_main]

use chariotd::json::Members;
use chariotd_fuzz::{two, value};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|data: &[u8]| {
    let (below, above) = two(data);
    let (Ok(mut merged), Ok(over)) = (Members::parse(below), Members::parse(above)) else {
        return;
    };
    merged.merge(over);
    let (Some(mut expected), Some(over)) = (value(below), value(above)) else {
        return;
    };
    put(&mut expected, over);
    let members = merged.iter().map(|(name, text)| {
        let value = serde_json::from_str(text).expect("a value");
        (name.to_owned(), value)
    });
    assert_eq!(Value::Object(members.collect::<Map<_, _>>()), expected);
});

fn put(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(members), Value::Object(over)) => {
            for (name, value) in over {
                match members.get_mut(&name) {
                    Some(below) => put(below, value),
                    None => {
                        members.insert(name, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}
