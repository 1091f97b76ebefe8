//! A local AWS IoT Core and the daemon together, on a directory tree to play with. Ends on Ctrl-C.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chariotd::cli::Cli;
use chariotd::config::Config;
use chariotd::exit::Exit;
use chariotd::{daemon, logging};
use iotcore_sandbox::{Event, Record, Sandbox};

fn main() -> Result<()> {
    logging::start();
    let dir = tempfile::Builder::new()
        .prefix("chariotd-demo-")
        .tempdir()
        .context("cannot make a directory")?;
    let sandbox = Sandbox::start()?;
    sandbox
        .pki()
        .write_certstore(&dir.path().join("certs"), sandbox.port());
    let messages = dir.path().join("messages");
    fs::create_dir(&messages).context("cannot make the messages directory")?;

    let config = configuration(&sandbox, dir.path())?;
    explain(&sandbox, &messages);
    let exit = thread::scope(|scope| {
        let device = scope.spawn(|| daemon::run(config));
        watch(&sandbox, || device.is_finished());
        device.join()
    });
    match exit {
        Ok(Exit::Stopped(_)) => {
            println!("\nThe demo is over, its directory is removed.");
            Ok(())
        }
        Ok(exit) => Err(anyhow!("{exit}")),
        Err(_) => Err(anyhow!("the daemon failed")),
    }
}

fn configuration(sandbox: &Sandbox, dir: &Path) -> Result<Config> {
    let cli = Cli {
        clientid: Some("demo-device".into()),
        cacert: Some(sandbox.pki().ca_file().display().to_string()),
        certstore: Some(dir.join("certs").display().to_string()),
        messages: vec![dir.join("messages").display().to_string()],
        ..Cli::default()
    };
    Config::new(&cli).map_err(|problems| anyhow!(problems.join("; ")))
}

fn explain(sandbox: &Sandbox, messages: &Path) {
    println!(
        "A local AWS IoT Core listens on localhost:{port}. chariotd connects to it with a certificate\n\
         from {certs} and publishes what is moved into\n\
         {new}.\n\
         Paste these into another terminal, one after the other:\n\n\
         cd {messages}\n\n\
         # 1. a message\n\
         echo '{{\"topic\":\"demo/kitchen\",\"payload\":{{\"celsius\":21.5}}}}' > tmp/first && mv tmp/first new/\n\n\
         # 2. a hundred messages\n\
         for n in $(seq 100); do echo \"{{\\\"topic\\\":\\\"demo/count\\\",\\\"payload\\\":$n}}\" > tmp/$n; mv tmp/$n new/; done\n\n\
         # 3. a bad one: it goes to failed/, with the reason beside it\n\
         echo 'not JSON' > tmp/bad && mv tmp/bad new/; sleep 1; cat failed/.bad.reason\n\n\
         Ctrl-C ends the demo. Lines that begin with \"cloud\" tell what the cloud sees, the others are\n\
         the daemon's log.\n",
        port = sandbox.port(),
        certs = messages.with_file_name("certs").display(),
        new = messages.join("new").display(),
        messages = messages.display(),
    );
}

/// Tells what the cloud sees until the device has left.
fn watch(sandbox: &Sandbox, over: impl Fn() -> bool) {
    let mut seen = 0;
    loop {
        // Asked first, so that the last records are told too.
        let last = over();
        for record in sandbox.records_after(seen, Duration::from_millis(100)) {
            seen = record.sequence;
            tell(&record);
        }
        if last {
            return;
        }
    }
}

fn tell(record: &Record) {
    match &record.event {
        Event::Publish(publish) => {
            println!("cloud: received {} on {}", publish.text(), publish.topic);
        }
        Event::Connect { .. } => println!("cloud: a device connects"),
        Event::DisconnectReceived { .. } => println!("cloud: the device says goodbye"),
        _ => {}
    }
}
