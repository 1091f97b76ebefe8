//! Pure: how a request is distinguished from others, and how long to wait before the next.

use std::time::Duration;

use serde_json::{Value, json};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(128);

/// An update. `version`: it is refused if the shadow has another one.
pub fn request(sections: Value, version: Option<u64>, token: &str) -> Value {
    let mut request = json!({ "state": sections, "clientToken": token });
    if let Some(version) = version {
        request["version"] = version.into();
    }
    request
}

/// Doubles with each failure; the jitter takes away up to all of it but keeps it from zero.
pub fn pause_after(failures: u32, jitter: f64) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)))
        .min(LONGEST_PAUSE);
    whole.mul_f64(0.1 + 0.9 * jitter.clamp(0.0, 1.0))
}

/// Makes client tokens.
#[derive(Debug)]
pub struct Tokens {
    prefix: String,
    count: u64,
}

impl Tokens {
    /// `prefix` makes them unique among all that talk about this shadow, at most 40 bytes.
    pub fn new(prefix: &str) -> Tokens {
        Tokens {
            prefix: prefix.to_owned(),
            count: 0,
        }
    }

    /// Whether a token is one of these.
    pub fn made(&self, token: &str) -> bool {
        let number = token
            .strip_prefix(&self.prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        let number = number.and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| (1..=self.count).contains(&number))
    }

    /// Another one.
    pub fn next(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.prefix, self.count)
    }
}
