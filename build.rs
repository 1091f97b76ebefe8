//! Tells the program when it was built: no clock that is right shows an earlier time.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=Cargo.toml");
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|text| text.trim().parse::<u64>().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    };
    let built = given.unwrap_or_else(|| now().as_secs());
    println!("cargo:rustc-env=CHARIOTD_BUILT={built}");
}
