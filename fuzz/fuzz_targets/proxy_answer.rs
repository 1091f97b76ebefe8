//! The answer of a proxy to CONNECT: a tunnel, or a reason fit for the log.

#![no_main]

use chariotd::net::proxy::answer::{is_whole, may_go_on, read};
use chariotd_fuzz::is_printable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    let _ = (is_whole(head), may_go_on(head));
    for known in [true, false] {
        if let Err(why) = read(head, "broker:8883", known) {
            assert!(is_printable(&why), "{why:?}");
            assert!(why.len() < 2000, "{why}");
        }
    }
});
