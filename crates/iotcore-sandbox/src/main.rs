//! The sandbox as a program. Prints one line for each event until Ctrl-C.

mod options;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Parser;
use iotcore_sandbox::{Event, Issued, RoleAlias, Sandbox};
use options::Options;
use tokio::signal::unix::{SignalKind, signal};

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
    let dir = &options.dir;
    let lifetime = Duration::from_secs(options.credential_lifetime);
    let mut builder = Sandbox::builder()
        .port(options.port)
        .wss_port(options.wss_port)
        .credential_port(options.credential_provider_port)
        .region(&options.region)
        .role_alias(RoleAlias::new("device").lifetime(lifetime))
        .clock_skew(options.clock_skew)
        .keep_records(10_000);
    for authorizer in options.authorizers()? {
        builder = builder.authorizer(authorizer);
    }
    std::fs::create_dir_all(dir).map_err(|error| {
        let dir = dir.display();
        anyhow!("--dir={dir}: cannot create it: {error}; choose a directory that you may write to")
    })?;
    let interrupted = interrupted()?;
    let sandbox = builder.dir(dir).shadow_dir(dir.join("shadow")).start()?;
    announce(&sandbox, options)?;
    follow(&sandbox, &interrupted);
    Ok(())
}

fn announce(sandbox: &Sandbox, options: &Options) -> anyhow::Result<()> {
    let dir = &options.dir;
    let (certstore, claim) = (dir.join("certstore"), dir.join("claim"));
    let id = certificate(sandbox, &certstore)?;
    let claim_id = certificate(sandbox, &claim)?;
    sandbox.pki().make_claim(&claim_id);
    println!("listening on {}:{}", sandbox.host(), sandbox.port());
    println!("CA certificate: {}", sandbox.pki().ca_file().display());
    println!("certstore: {} with certificate {id}", certstore.display());
    println!("claim: {} with certificate {claim_id}", claim.display());
    println!("shadows: {}", dir.join("shadow").display());
    println!(
        "WebSocket and authorisers: localhost:{}",
        sandbox.wss_port()
    );
    let (file, region) = (dir.join("aws-credentials"), &options.region);
    sandbox.keep_access_key(&file)?;
    println!("access key: {} for {region}", file.display());
    let port = sandbox.credential_port();
    println!("credential provider: https://localhost:{port}/role-aliases/device/credentials");
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
