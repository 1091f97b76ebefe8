//! The sandbox as a program: `iotcore-sandbox [--port PORT] [--dir DIR]`. Prints one line for each event until Ctrl-C.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use iotcore_sandbox::{Event, Issued, Sandbox};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: iotcore-sandbox [--port PORT] [--dir DIR]

A local AWS IoT Core on localhost. Writes its CA and a certstore for a device into DIR
(default: ./iotcore-sandbox), listens on PORT (default: 8883), prints what happens, and
ends on Ctrl-C.

Keeps the shadows of things in DIR/shadow: THING.desired.json and THING.reported.json, or
THING~NAME.desired.json and THING~NAME.reported.json for named ones. Edit a .desired.json,
or make a new one, to change what is desired.

New devices may be provisioned with the claim certificate in DIR/claim, a certstore too.
The template is called 'fleet'. It wants the parameter SerialNumber and makes the thing
device-SERIALNUMBER, with an empty configuration. Requests are JSON, not CBOR.";

struct Options {
    port: u16,
    dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Some(options) = parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let interrupted = interrupted()?;
    let sandbox = Sandbox::builder()
        .port(options.port)
        .dir(&options.dir)
        .shadow_dir(options.dir.join("shadow"))
        .keep_records(10_000)
        .start()?;
    greet(&sandbox, &options.dir)?;
    follow(&sandbox, &interrupted);
    Ok(())
}

/// `None` if the user wants help.
fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Options>> {
    let mut options = Options {
        port: 8883,
        dir: PathBuf::from("iotcore-sandbox"),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{argument} needs a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--port" => {
                let text = value()?;
                options.port = text
                    .parse()
                    .with_context(|| format!("--port={text}: not a port"))?;
            }
            "--dir" => options.dir = value()?.into(),
            "--help" | "-h" => return Ok(None),
            other => bail!("unknown argument '{other}'\n{USAGE}"),
        }
    }
    Ok(Some(options))
}

fn greet(sandbox: &Sandbox, dir: &Path) -> anyhow::Result<()> {
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

/// The certificate that an earlier run wrote, or a new one; `endpoint.txt` names this run's port in any case.
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
            // Nobody reads any more: go on serving.
            let _ = match record.event {
                Event::ShadowFile { .. } => writeln!(std::io::stderr(), "{record}"),
                _ => writeln!(std::io::stdout(), "{record}"),
            };
        }
    }
}
