//! Arguments, one in a line, become a configuration or everything that is wrong with them.

#![no_main]

use chariotd::cli::Cli;
use chariotd::config::{Config, run_time};
use clap::Parser;
use libfuzzer_sys::fuzz_target;

const GOOD: [&str; 4] = [
    "chariotd",
    "--clientid=id",
    "--cacert=/ca.pem",
    "--certstore=/certs",
];

fuzz_target!(|text: &str| {
    let good = text.lines().any(|line| line == "--").then_some(&GOOD[..1]);
    let arguments = good.unwrap_or(&GOOD).iter().copied();
    let more = text.lines().filter(|line| *line != "--");
    let Ok(mut cli) = Cli::try_parse_from(arguments.chain(more)) else {
        return;
    };
    told(run_time::replace(&mut cli, |_| Ok("name".to_owned())));
    told(Config::new(&cli).map(drop));
});

fn told(outcome: Result<(), Vec<String>>) {
    if let Err(problems) = outcome {
        assert!(
            !problems.is_empty() && problems.iter().all(|it| it.contains("--")),
            "{problems:?}"
        );
    }
}
