//! A local AWS IoT Core and the daemon together, on a directory tree to play with. Ends on Ctrl-C.
//! With `--provision` the device has nothing but a claim certificate at first, and gets its own.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chariotd::cli::Cli;
use chariotd::config::Config;
use chariotd::exit::Exit;
use chariotd::{daemon, logging};
use iotcore_sandbox::{Event, Record, Sandbox, ShadowKind, ShadowOperation};
use serde_json::json;

fn main() -> Result<()> {
    logging::start();
    let dir = tempfile::Builder::new()
        .prefix("chariotd-demo-")
        .tempdir()
        .context("cannot make a directory")?;
    let sandbox = Sandbox::builder()
        .shadow_dir(dir.path().join("cloud"))
        .start()?;
    let provision = std::env::args().any(|argument| argument == "--provision");
    if provision {
        write_claim(&sandbox, dir.path())?;
    } else {
        sandbox
            .pki()
            .write_certstore(&dir.path().join("certs"), sandbox.port());
    }
    let messages = dir.path().join("messages");
    fs::create_dir(&messages).context("cannot make the messages directory")?;

    let services = dir.path().join("services");
    fs::create_dir_all(&services).context("cannot make the services directory")?;
    fs::create_dir(dir.path().join("updates")).context("cannot make the updates directory")?;
    fs::write(services.join("lamp.js"), lamp(dir.path())).context("cannot write lamp.js")?;
    sandbox
        .shadow("demo-thing")
        .desire(json!({"lamp": {"color": "green"}}));

    explain(&sandbox, dir.path());
    let mut exit = run(&sandbox, dir.path(), provision)?;
    if let Exit::Provisioned = exit {
        println!(
            "\nThe device has its certificate and starts again, as a supervisor would let it.\n"
        );
        exit = run(&sandbox, dir.path(), provision)?;
    }
    match exit {
        Exit::Stopped(_) => {
            println!("\nThe demo is over, its directory is removed.");
            Ok(())
        }
        exit => Err(anyhow!("{exit}")),
    }
}

/// The daemon, until it ends; meanwhile prints what the cloud sees.
fn run(sandbox: &Sandbox, dir: &Path, provision: bool) -> Result<Exit> {
    let config = configuration(sandbox, dir, provision)?;
    let exit = thread::scope(|scope| {
        let device = scope.spawn(|| daemon::run(config));
        watch(sandbox, || device.is_finished());
        device.join()
    });
    exit.map_err(|_| anyhow!("the daemon failed"))
}

/// What a device has when it leaves the factory.
fn write_claim(sandbox: &Sandbox, dir: &Path) -> Result<()> {
    sandbox
        .pki()
        .write_claim_store(&dir.join("claims"), sandbox.port());
    fs::create_dir(dir.join("certs")).context("cannot make the certificate store")?;
    let endpoint = format!("{}:{}\n", sandbox.host(), sandbox.port());
    fs::write(dir.join("certs/endpoint.txt"), endpoint).context("cannot write endpoint.txt")?;
    let settings = json!({
        "claimstore": dir.join("claims"),
        "template": "fleet",
        "parameters": {"SerialNumber": "0001"},
        "csr": true,
    });
    fs::write(dir.join("fleetprov.json"), settings.to_string())
        .context("cannot write fleetprov.json")
}

fn configuration(sandbox: &Sandbox, dir: &Path, provision: bool) -> Result<Config> {
    let cli = Cli {
        clientid: Some("demo-device".into()),
        cacert: Some(sandbox.pki().ca_file().display().to_string()),
        certstore: Some(dir.join("certs").display().to_string()),
        fleetprov: provision.then(|| dir.join("fleetprov.json").display().to_string()),
        messages: vec![dir.join("messages").display().to_string()],
        services: vec![format!("demo-thing:{}", dir.join("services").display())],
        updates: vec![format!("demo-thing:{}", dir.join("updates").display())],
        ..Cli::default()
    };
    Config::new(&cli).map_err(|problems| anyhow!(problems.join("; ")))
}

/// A service whose configuration is a file to be sourced by a shell.
fn lamp(dir: &Path) -> String {
    format!(
        "module.exports = {{\n  key: 'lamp',\n  outfile: '{outfile}',\n  outformat: 'SHELL',\n  \
         notifycmd: '. {outfile}; echo the lamp is now $color',\n\n  \
         validate(lamp) {{\n    if (lamp.color === 'black') throw new Error('a lamp is never black');\n  }},\n}};\n",
        outfile = dir.join("lamp.conf").display()
    )
}

fn explain(sandbox: &Sandbox, dir: &Path) {
    println!(
        "A local AWS IoT Core listens on localhost:{port}. chariotd connects to it with a certificate\n\
         from {dir}/certs.\n\
         Paste these into another terminal, one after the other:\n\n\
         cd {dir}\n\n\
         # 1. a message\n\
         echo '{{\"topic\":\"demo/kitchen\",\"payload\":{{\"celsius\":21.5}}}}' > messages/tmp/first && mv messages/tmp/first messages/new/\n\n\
         # 2. a hundred messages\n\
         for n in $(seq 100); do echo \"{{\\\"topic\\\":\\\"demo/count\\\",\\\"payload\\\":$n}}\" > messages/tmp/$n; mv messages/tmp/$n messages/new/; done\n\n\
         # 3. a bad one: it goes to failed/, with the reason beside it\n\
         echo 'not JSON' > messages/tmp/bad && mv messages/tmp/bad messages/new/; sleep 1; cat messages/failed/.bad.reason\n\n\
         # 4. a setting changed in the cloud becomes lamp.conf, and its service is told\n\
         echo '{{\"lamp\":{{\"color\":\"red\"}}}}' > cloud/demo-thing.desired.json; sleep 2; cat lamp.conf\n\n\
         # 5. one that the service rejects\n\
         echo '{{\"lamp\":{{\"color\":\"black\"}}}}' > cloud/demo-thing.desired.json; sleep 2; cat lamp.conf\n\n\
         # 6. an update of the device becomes reported state in the cloud\n\
         echo '{{\"hours\":7}}' > updates/tmp/lamp.1 && mv updates/tmp/lamp.1 updates/new/; sleep 1; cat cloud/demo-thing.reported.json\n\n\
         Ctrl-C ends the demo. Lines that begin with \"cloud\" tell what the cloud sees, the others are\n\
         the daemon's log.\n",
        port = sandbox.port(),
        dir = dir.display(),
    );
}

/// Prints what the cloud sees until the device has left.
fn watch(sandbox: &Sandbox, over: impl Fn() -> bool) {
    let mut seen = 0;
    loop {
        // Asked first, so that the last records are printed too.
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
        Event::Publish(publish) if !publish.topic.starts_with('$') => {
            println!("cloud: received {} on {}", publish.text(), publish.topic);
        }
        Event::Shadow(event) if event.kind == ShadowKind::Accepted(ShadowOperation::Update) => {
            println!("cloud: the shadow of {} has changed", event.name);
        }
        Event::Provisioning(event) => println!("cloud: {event}"),
        Event::Connect { .. } => println!("cloud: a device connects"),
        Event::DisconnectReceived { .. } => println!("cloud: the device says disconnect"),
        _ => {}
    }
}
