//! Measures the release binary beside the bare disk, the bare wire and the usual tools, in one run on
//! one machine. Prints tables in Markdown, and writes charts and a report where it is told to.
//!
//! `cargo build --release --target x86_64-unknown-linux-musl && cargo run --release -p chariotd-bench`

mod bell;
mod broker;
mod chart;
mod daemon;
mod document;
mod files;
mod machine;
mod numbers;
mod process;
mod report;
mod sections;
mod setup;
mod strace;
mod subscriber;
mod wait;
mod wire;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;

use broker::Broker;
use report::{Count, Section};
use sections::{
    burst, drain, idle, inbox, latency, memory, prices, scan, shadow, size, start, syscalls,
};
use setup::Setup;

/// Measures chariotd.
#[derive(Parser)]
struct Cli {
    /// What to measure: drain, latency, burst, idle, start, memory, scan, inbox, size, shadow, syscalls, prices
    /// [default: all]
    sections: Vec<String>,
    /// The daemon's binary
    #[arg(
        long,
        default_value = "target/x86_64-unknown-linux-musl/release/chariotd"
    )]
    program: PathBuf,
    /// The binary without JavaScript and RSA, for its size
    #[arg(
        long,
        default_value = "target/smallest/x86_64-unknown-linux-musl/release/chariotd"
    )]
    smaller: PathBuf,
    /// A directory on the disk that is to be measured
    #[arg(long, default_value = "target")]
    place: PathBuf,
    /// Where to write a chart for each section
    #[arg(long)]
    charts: Option<PathBuf>,
    /// A Markdown file to write all tables to; of one that exists, the measured parts are replaced
    #[arg(long)]
    report: Option<PathBuf>,
    /// The share of each crate in the binary, which takes cargo-bloat and a build of some minutes
    #[arg(long)]
    crates: bool,
    /// Small sizes, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Fails when a message takes more system calls than this
    #[arg(long)]
    most_syscalls: Option<f64>,
    /// Fails when the binary has more bytes than this
    #[arg(long)]
    most_bytes: Option<u64>,
}

type Measure = fn(&Setup, &Broker) -> Result<Section>;

const ALL: [(&str, Measure); 12] = [
    ("drain", drain::run),
    ("latency", latency::run),
    ("burst", burst::run),
    ("idle", idle::run),
    ("start", start::run),
    ("memory", memory::run),
    ("scan", scan::run),
    ("inbox", inbox::run),
    ("size", size::run),
    ("shadow", shadow::run),
    ("syscalls", syscalls::run),
    ("prices", prices::run),
];

fn main() -> ExitCode {
    match measure(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<()> {
    let setup = setup(cli)?;
    let known = |wanted: &String| ALL.iter().any(|(name, _)| name == wanted);
    if let Some(unknown) = cli.sections.iter().find(|wanted| !known(wanted)) {
        bail!("there is no section '{unknown}'");
    }
    let facts = machine::facts(&setup);
    println!("{facts}");
    written(cli, "machine", &facts)?;
    let broker = Broker::start()?;
    let mut too_many = Vec::new();
    for (name, run) in ALL {
        if !cli.sections.is_empty() && !cli.sections.iter().any(|wanted| wanted == name) {
            continue;
        }
        let start = Instant::now();
        let section = run(&setup, &broker).with_context(|| format!("cannot measure {name}"))?;
        let table = section.table();
        println!("### {}\n\n{table}", section.title);
        eprintln!("{name} took {:.0} s", start.elapsed().as_secs_f64());
        written(cli, name, &table)?;
        if let Some(dir) = &cli.charts {
            fs::create_dir_all(dir)?;
            chart::write(&section, dir)?;
        }
        too_many.extend(section.count.and_then(|count| excess(cli, count)));
    }
    if too_many.is_empty() {
        return Ok(());
    }
    bail!(too_many.join("; "))
}

fn setup(cli: &Cli) -> Result<Setup> {
    let program = cli.program.canonicalize().with_context(|| {
        format!(
            "there is no {}, build it with: cargo build --release --target x86_64-unknown-linux-musl",
            cli.program.display()
        )
    })?;
    Ok(Setup {
        program,
        smaller: cli.smaller.clone(),
        place: cli
            .place
            .canonicalize()
            .with_context(|| cli.place.display().to_string())?,
        crates: cli.crates,
        quick: cli.quick,
        backlog: RefCell::default(),
    })
}

/// Into the report, when there is to be one.
fn written(cli: &Cli, name: &str, text: &str) -> Result<()> {
    let Some(path) = &cli.report else {
        return Ok(());
    };
    let before = read(path)?;
    fs::write(path, document::replaced(&before, name, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What is above its bound, in words.
fn excess(cli: &Cli, count: Count) -> Option<String> {
    match count {
        Count::SyscallsPerMessage(calls) => {
            let most = cli.most_syscalls.filter(|most| calls > *most)?;
            Some(format!(
                "{calls:.2} system calls for a message, more than {most}"
            ))
        }
        Count::Bytes(bytes) => {
            let most = cli.most_bytes.filter(|most| bytes > *most)?;
            Some(format!("the binary has {bytes} bytes, more than {most}"))
        }
    }
}
