//! Parses the command line, sets up the log, and turns the reason to end into the exit code. The
//! only place that ends the process.

use std::io::Write;
use std::process::ExitCode;

use chariotd::cli::Cli;
use chariotd::config::Config;
use chariotd::daemon;
use clap::Parser;
use log::{LevelFilter, error, info};

/// A person must act.
const UNUSABLE: u8 = 100;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { UNUSABLE } else { 0 });
        }
    };
    start_log();
    let config = match Config::new(&cli) {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    if config.check {
        return match daemon::check(&config) {
            problems if problems.is_empty() => {
                info!("the configuration is good");
                ExitCode::SUCCESS
            }
            problems => unusable(&problems),
        };
    }
    let exit = daemon::run(config);
    if exit.code() == 0 {
        info!("{exit}")
    } else {
        error!("{exit}")
    }
    ExitCode::from(exit.code())
}

fn unusable(problems: &[String]) -> ExitCode {
    for problem in problems {
        error!("{problem}");
    }
    ExitCode::from(UNUSABLE)
}

/// One line for each event, without timestamps: the supervisor's logger adds them.
fn start_log() {
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
