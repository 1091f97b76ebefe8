//! The sandbox as a program: `iotcore-sandbox [--port PORT] [--dir DIR]`. Prints one line for each event until Ctrl-C.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Parser;
use iotcore_sandbox::{Event, Issued, Sandbox};
use tokio::signal::unix::{SignalKind, signal};

/// A local AWS IoT Core on localhost, to run and test devices against.
///
/// Writes its CA and a certstore for a device into DIR, listens on PORT,
/// prints what happens, and ends on Ctrl-C.
///
/// Keeps the shadows of things in DIR/shadow: THING.desired.json and
/// THING.reported.json, or THING~NAME.desired.json and
/// THING~NAME.reported.json for named shadows. Edit a .desired.json, or
/// create one, to change what is desired.
///
/// New devices can be provisioned with the claim certificate in DIR/claim,
/// which is a certstore too. The template is called 'fleet'. It requires
/// the parameter SerialNumber and registers the thing device-SERIALNUMBER,
/// with an empty configuration. Requests are JSON, not CBOR.
#[derive(Debug, Parser)]
#[command(
    name = "iotcore-sandbox",
    // The last one of a repeated option counts.
    args_override_self = true,
    verbatim_doc_comment,
    after_help = "Exit codes: 0 ended by Ctrl-C, 1 cannot start."
)]
struct Options {
    /// Port of 127.0.0.1 to listen on, 0 for any free one
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    port: u16,

    /// Directory of certificates and shadows, created if necessary
    #[arg(long, value_name = "DIR", default_value = "iotcore-sandbox")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let Options { port, dir } = options;
    std::fs::create_dir_all(dir).map_err(|error| {
        let dir = dir.display();
        anyhow!("--dir={dir}: cannot create it: {error}; choose a directory that you may write to")
    })?;
    let interrupted = interrupted()?;
    let sandbox = Sandbox::builder()
        .port(*port)
        .dir(dir)
        .shadow_dir(dir.join("shadow"))
        .keep_records(10_000)
        .start()?;
    announce(&sandbox, dir)?;
    follow(&sandbox, &interrupted);
    Ok(())
}

fn announce(sandbox: &Sandbox, dir: &Path) -> anyhow::Result<()> {
    let (certstore, claim) = (dir.join("certstore"), dir.join("claim"));
    let id = certificate(sandbox, &certstore)?;
    let claim_id = certificate(sandbox, &claim)?;
    sandbox.pki().make_claim(&claim_id);
    println!("listening on {}:{}", sandbox.host(), sandbox.port());
    println!("CA certificate: {}", sandbox.pki().ca_file().display());
    println!("certstore: {} with certificate {id}", certstore.display());
    println!("claim: {} with certificate {claim_id}", claim.display());
    println!("shadows: {}", dir.join("shadow").display());
    Ok(())
}

/// The certificate that an earlier run wrote, or a new one; `endpoint.txt` has this run's port in both cases.
fn certificate(sandbox: &Sandbox, certstore: &Path) -> anyhow::Result<String> {
    let directories = std::fs::read_dir(certstore).into_iter().flatten().flatten();
    let mut ids = directories.filter_map(|entry| entry.file_name().into_string().ok());
    let Some(id) = ids.find(|name| name.len() == 64) else {
        let Issued { id, .. } = sandbox.pki().write_certstore(certstore, sandbox.port());
        return Ok(id);
    };
    let endpoint = certstore.join("endpoint.txt");
    let written = std::fs::write(
        &endpoint,
        format!("{}:{}\n", sandbox.host(), sandbox.port()),
    );
    written.with_context(|| format!("cannot write {}", endpoint.display()))?;
    Ok(id)
}

/// Becomes true on Ctrl-C, from when this returns.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
    std::thread::spawn(move || {
        runtime.block_on(signals.recv());
        raised.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}

fn follow(sandbox: &Sandbox, interrupted: &AtomicBool) {
    let mut last = 0;
    while !interrupted.load(Ordering::Relaxed) {
        for record in sandbox.records_after(last, Duration::from_millis(200)) {
            last = record.sequence;
            // If nobody reads the output any more, the sandbox still serves.
            let _ = match record.event {
                Event::ShadowFile { .. } => writeln!(std::io::stderr(), "{record}"),
                _ => writeln!(std::io::stdout(), "{record}"),
            };
        }
    }
}
