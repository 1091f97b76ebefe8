//! What the daemon and the helper say to each other: what is understood is said so that it is understood again.

#![no_main]

use chariotd_pkcs11::protocol::{Answer, Request, read_frame, write_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(body)) = read_frame(&mut &data[..]) {
        let mut written = Vec::new();
        write_frame(&mut written, &body).expect("it was read");
        assert!(data.starts_with(&written));
    }
    if let Ok(request) = Request::decode(data) {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
});
