//! Client tokens and refusals: a request is answered by its own token alone.

#![no_main]

use std::time::Instant;

use chariotd::mqtt::request::{ClientTokens, PendingRequest, Rejection};
use chariotd_fuzz::two;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (token, reply) = two(data);
    let mut tokens = ClientTokens::new("us");
    let made: Vec<String> = (0..12).map(|_| tokens.make()).collect();
    let pending = PendingRequest::new(made[11].clone(), (), Instant::now());
    if let Ok(token) = std::str::from_utf8(token) {
        assert_eq!(tokens.made(token), made.iter().any(|it| it == token));
        assert_eq!(pending.is_answered_by(Some(token)), token == made[11]);
    }
    if let Ok(Value::Object(members)) = serde_json::from_slice(reply) {
        let rejection = Rejection::read(&members);
        for text in [rejection.code, rejection.message].into_iter().flatten() {
            assert!(text.chars().count() <= 201);
        }
    }
});
