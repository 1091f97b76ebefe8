//! The log: one line for each event on stderr, without timestamps, which the supervisor's logger
//! adds. The level is `RUST_LOG`'s, or info.

use std::io::Write;

use log::LevelFilter;

/// Starts logging. To be called once.
pub fn start() {
    env_logger::Builder::new()
        .filter_level(LevelFilter::Info)
        // What these have to say, we say in our own words.
        .filter_module("rumqttc", LevelFilter::Off)
        .filter_module("rustls", LevelFilter::Off)
        .parse_env("RUST_LOG")
        .format(|line, record| {
            let level = record.level().as_str().to_lowercase();
            let text = record
                .args()
                .to_string()
                .replace(|c: char| c.is_control(), " ");
            writeln!(line, "{level}: {text}")
        })
        .init();
}
