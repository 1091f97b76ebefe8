//! Client ids and names of things that only the device knows (manual, OPTIONS).

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Device, LONG, sandbox};

fn script(device: &Device, text: &str) -> String {
    let path = device.path("name.sh");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_file_and_a_command_give_the_client_id_and_the_name_of_a_thing() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let serial = device.path("serial");
    fs::write(&serial, "device-1\0").unwrap();
    let count = device.path("count");
    let command = script(
        &device,
        &format!("echo run >>{}; echo \" $1-7\"", count.display()),
    );
    let updates = device.path("updates");
    device.without("--clientid");
    device.option("--clientid", format!("@{}", serial.display()));
    for shadow in ["", "//config"] {
        let dir = format!("{}{}", updates.display(), shadow.len());
        fs::create_dir(&dir).unwrap();
        device.option("--updates", format!("!{command} pump{shadow}:{dir}"));
    }
    device.start().wait_for_log("as 'device-1'");
    let subscribed = sandbox.wait_for_event(LONG, |event| {
        format!("{event:?}").contains("$aws/things/pump-7/shadow/name/config/")
    });
    assert!(subscribed.is_some(), "{}", device.log());
    assert_eq!(fs::read_to_string(count).unwrap(), "run\n", "asked once");
    assert_eq!(device.stop(), Some(0));
}

#[test]
fn a_name_that_cannot_be_had_is_for_a_later_start_and_a_problem_of_the_check() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.without("--clientid");
    let fails = script(&device, "echo no serial number >&2; exit 3");
    for (id, why) in [
        ("@/nowhere/serial".to_owned(), "cannot read /nowhere/serial"),
        (format!("!{fails}"), "failed: exit status: 3"),
        ("!/bin/true".to_owned(), "what it gives is empty"),
        (
            "!/bin/sleep 100".to_owned(),
            "/bin/sleep did not end within 5 s",
        ),
    ] {
        device.option("--clientid", &id);
        assert_eq!(device.start().exit_code(), Some(111), "{id}");
        device.wait_for_log(&format!("--clientid={id}: "));
        device.wait_for_log(why);
        device.without("--clientid");
    }
    device
        .option("--clientid", "@/nowhere/serial")
        .flag("--check");
    assert_eq!(device.start().exit_code(), Some(100));
}
