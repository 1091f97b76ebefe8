//! Parses the command line, sets up the log, and turns the reason to end into the exit code. The
//! only place that ends the process.

use std::process::ExitCode;

use chariotd::cli::Cli;
use chariotd::config::Config;
use chariotd::{daemon, logging};
use clap::Parser;
use log::{error, info, warn};

/// That of musl gives each piece of memory back as soon as it is free, and takes a lock shared by all
/// threads: twice the time of a message.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A person must act.
const UNUSABLE: u8 = 100;
/// It may pass by itself.
const LATER: u8 = 111;

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { UNUSABLE } else { 0 });
        }
    };
    let log = logging::start();
    let code = serve(&mut cli, log.problem.as_deref());
    log.finish();
    ExitCode::from(code)
}

/// `problem`: what is wrong with the log's settings.
fn serve(cli: &mut Cli, problem: Option<&str>) -> u8 {
    if let Err(problems) = daemon::resolve_names(cli) {
        report(&problems);
        return if cli.check { UNUSABLE } else { LATER };
    }
    let config = match Config::new(cli) {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    if config.check {
        let mut problems = daemon::check(&config);
        problems.extend(problem.map(str::to_owned));
        if !problems.is_empty() {
            return unusable(&problems);
        }
        info!("the configuration is valid");
        return 0;
    }
    if let Some(problem) = problem {
        warn!("{problem}");
    }
    let exit = daemon::run(config);
    if exit.code() == 0 {
        info!("{exit}")
    } else {
        error!("{exit}")
    }
    exit.code()
}

fn unusable(problems: &[String]) -> u8 {
    report(problems);
    UNUSABLE
}

fn report(problems: &[String]) {
    for problem in problems {
        error!("{problem}");
    }
}
