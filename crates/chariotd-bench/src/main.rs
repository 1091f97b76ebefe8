//! Measures the release binary beside the bare disk, the bare wire and the usual tools, in one run on
//! one machine. Prints tables in Markdown, and writes charts where it is told to.
//!
//! `cargo build --release && cargo run --release -p chariotd-bench`

mod broker;
mod daemon;
mod files;
mod process;
mod report;
mod sections;
mod wait;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use broker::Broker;
use report::Section;
use sections::{drain, idle, latency, memory, syscalls};

/// Measures chariotd.
#[derive(Parser)]
struct Cli {
    /// What to measure: drain, latency, idle, memory, syscalls [default: all]
    sections: Vec<String>,
    /// The daemon's binary
    #[arg(long, default_value = "target/release/chariotd")]
    program: PathBuf,
    /// A directory on the disk that is to be measured
    #[arg(long, default_value = "target")]
    place: PathBuf,
    /// Where to write a chart for each section
    #[arg(long)]
    charts: Option<PathBuf>,
    /// Small sizes, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Fails when a message takes more system calls than this
    #[arg(long)]
    most_syscalls: Option<f64>,
}

/// What every section needs to know.
pub struct Setup {
    pub program: PathBuf,
    pub place: PathBuf,
    pub quick: bool,
}

impl Setup {
    /// The sizes, or the smallest of them but none above a thousand.
    pub fn counts(&self, full: &[usize]) -> Vec<usize> {
        full.iter()
            .copied()
            .filter(|count| !self.quick || *count <= 1_000)
            .collect()
    }

    pub fn count(&self, full: usize) -> usize {
        if self.quick { full.min(50) } else { full }
    }
}

type Measure = fn(&Setup, &Broker) -> Result<Section>;

const ALL: [(&str, Measure); 5] = [
    ("drain", drain::run),
    ("latency", latency::run),
    ("idle", idle::run),
    ("memory", memory::run),
    ("syscalls", syscalls::run),
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
    let setup = Setup {
        program: cli.program.canonicalize().with_context(|| {
            format!(
                "there is no {}, build it with: cargo build --release",
                cli.program.display()
            )
        })?,
        place: cli.place.canonicalize()?,
        quick: cli.quick,
    };
    if let Some(unknown) = cli
        .sections
        .iter()
        .find(|name| ALL.iter().all(|(known, _)| known != name))
    {
        bail!("there is no section '{unknown}'");
    }
    let broker = Broker::start()?;
    for (name, run) in ALL {
        if !cli.sections.is_empty() && !cli.sections.iter().any(|wanted| wanted == name) {
            continue;
        }
        let section = run(&setup, &broker).with_context(|| format!("cannot measure {name}"))?;
        println!("{}", section.table());
        if let Some(dir) = &cli.charts {
            fs::create_dir_all(dir)?;
            section.chart(dir, name)?;
        }
        if let (Some(most), Some(all)) = (cli.most_syscalls, section.total)
            && all > most
        {
            bail!("{all:.2} system calls for a message, more than {most}");
        }
    }
    Ok(())
}
