//! What it costs when nothing happens.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::process::Usage;
use crate::report::Section;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "what",
        "PSS KiB",
        "RSS KiB",
        "private KiB",
        "threads",
        "switches in 10 min",
        "CPU ms in 10 min",
    ];
    let mut section = Section::new("Connected and idle", "KiB PSS", &columns);
    let time = if setup.quick {
        Duration::from_secs(2)
    } else {
        Duration::from_secs(60)
    };
    for (what, services) in [("one directory", 0), ("and five services in JavaScript", 5)] {
        let mut device = Device::new(&setup.program, &setup.place, broker)?;
        device.messages();
        if services > 0 {
            let dir = device.path("services");
            definitions(&dir, services)?;
            device.option("services", format!("thing:{}", dir.display()));
        }
        let running = device.start()?;
        running.logged("connected to")?;
        // Until everything that a connection begins with has been asked for in vain.
        thread::sleep(Duration::from_secs(if setup.quick { 2 } else { 15 }));
        let before = Usage::of(running.id())?;
        thread::sleep(time);
        let after = Usage::of(running.id())?;
        let scale = 600.0 / time.as_secs_f64();
        let switches = (after.switches - before.switches) as f64 * scale;
        let cpu = (after.cpu - before.cpu).as_secs_f64() * 1000.0 * scale;
        section.row(&[
            &what,
            &after.pss,
            &after.rss,
            &after.private,
            &after.threads,
            &format!("{switches:.0}"),
            &format!("{cpu:.0}"),
        ]);
        section.bar(what, after.pss as f64);
        running.stop()?;
    }
    Ok(section)
}

pub fn definitions(dir: &std::path::Path, count: usize) -> Result<()> {
    fs::create_dir_all(dir)?;
    for number in 0..count {
        let text = format!(
            "exports.key = 'svc{number}';\nexports.outfile = '{}/svc{number}.conf';\nexports.outformat = 'SHELL';\nexports.notifycmd = 'true';\nexports.validate = function (value) {{ return typeof value === 'object'; }};\n",
            dir.display()
        );
        fs::write(dir.join(format!("svc{number}.js")), text)?;
    }
    Ok(())
}
