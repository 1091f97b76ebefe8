//! The durable inbox: a message is a file before the broker forgets it, whatever happens.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::broker::Broker;
use common::inbox::{
    Consumer, Seen, acknowledged, cloud, consume, header, messages, payload,
    wait_for_acknowledgements, wait_for_messages, wait_for_subscription,
};
use common::tmpfs::Tmpfs;
use common::{Device, LONG, wait_for};
use iotcore_sandbox::{CloudMessage, Cut, Deny, Event, Properties, Sandbox};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;

const VERSIONS: [&str; 2] = ["5", "3.1.1"];
const CLIENT: &str = "device-1_1";

fn started(sandbox: &Sandbox, version: &str, topic: &str) -> (Device, std::path::PathBuf) {
    let mut device = Device::new(sandbox);
    device.option("--mqtt", version);
    let inbox = device.inbox(topic, "inbox");
    device.start();
    wait_for_subscription(sandbox, CLIENT);
    (device, inbox)
}

#[test]
fn a_message_is_a_file_with_a_header_beside_it() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        let (device, inbox) = started(&sandbox, version, "orders/#");
        let binary: Vec<u8> = (0..128 * 1024).map(|n| (n % 251) as u8).collect();
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        sandbox.publish_with(CloudMessage {
            qos: 1,
            properties: Properties {
                content_type: Some("application/octet-stream".into()),
                response_topic: Some("answers".into()),
                correlation_data: Some(vec![0, 255].into()),
                user: vec![("a".into(), "1".into())],
                ..Properties::default()
            },
            ..CloudMessage::new("orders/../../etc/7", binary.clone())
        });
        sandbox.publish("orders", b"not ours on AWS", 1);
        sandbox.publish("orders/zero", b"", 0);
        let names = wait_for_messages(&inbox, 2);
        assert_eq!(fs::read(inbox.join("new").join(&names[0])).unwrap(), binary);
        let first = header(&inbox, &names[0]);
        assert_eq!(
            (&first["topic"], &first["qos"], &first["retain"]),
            (&json!("orders/../../etc/7"), &json!(1), &json!(false))
        );
        let received: f64 = first["received"].to_string().parse().unwrap();
        assert!(received >= before as f64, "{received} since {before}");
        let properties = json!({
            "content_type": "application/octet-stream",
            "response_topic": "answers",
            "correlation_data_base64": "AP8=",
            "user": {"a": "1"},
        });
        assert_eq!(
            first.get("properties"),
            (version == "5").then_some(&properties)
        );
        let second = header(&inbox, &names[1]);
        assert_eq!(
            (&second["topic"], &second["qos"]),
            (&json!("orders/zero"), &json!(0))
        );
        wait_for_acknowledgements(&sandbox, 1);
        device.wait_for_log(&format!("received '{}' on orders/", names[0]));
        assert!(
            !device.log().contains("not ours"),
            "payloads are not logged"
        );
    }
}

#[test]
fn the_consumer_need_not_know_of_headers_and_names_go_on_after_a_restart() {
    let sandbox = cloud().start().unwrap();
    let (mut device, inbox) = started(&sandbox, "5", "t");
    let mut last = String::new();
    for round in 0..3 {
        for n in 0..5 {
            sandbox.publish("t", n.to_string().as_bytes(), 1);
        }
        let names = wait_for_messages(&inbox, 5);
        assert!(names[0] > last, "{names:?} after {last}");
        names.iter().for_each(|name| consume(&inbox, name));
        last = names[4].clone();
        let sequence = last.split('.').nth(1).unwrap().trim_start_matches('0');
        assert_eq!(
            sequence,
            ((round + 1) * 5).to_string(),
            "nothing is counted anew"
        );
        let headers = || fs::read_dir(inbox.join("new")).unwrap().count();
        wait_for(
            "headers without a message are gone, but the newest",
            LONG,
            || headers() == 1,
        );
        assert_eq!(device.stop(), Some(0));
        device.start();
        device.wait_for_log("connected to");
    }
}

#[test]
fn files_belong_to_those_whose_directory_it_is() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    let inbox = device.inbox("t", "inbox");
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o770)).unwrap();
    if common::is_root() {
        std::os::unix::fs::chown(&inbox, Some(1234), Some(2345)).unwrap();
    }
    device.start();
    wait_for_subscription(&sandbox, CLIENT);
    sandbox.publish("t", b"x", 1);
    let name = wait_for_messages(&inbox, 1).remove(0);
    let whole = fs::metadata(&inbox).unwrap();
    for file in [name.clone(), format!(".{name}.json")] {
        let meta = fs::metadata(inbox.join("new").join(file)).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o660);
        assert_eq!((meta.uid(), meta.gid()), (whole.uid(), whole.gid()));
    }
}

#[test]
fn what_a_killed_run_left_half_written_is_removed_at_the_start() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    let inbox = device.inbox("t", "inbox");
    fs::create_dir(inbox.join("tmp")).unwrap();
    for name in ["1700000000.0000000001", ".1700000000.0000000001.json"] {
        fs::write(inbox.join("tmp").join(name), "half").unwrap();
    }
    device.start().wait_for_log("connected to");
    assert_eq!(fs::read_dir(inbox.join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_full_inbox_stops_the_acknowledgements_and_goes_on_without_loss() {
    for (version, option, value) in [
        ("5", "--inbox-max-files", 5),
        ("3.1.1", "--inbox-max-files", 5),
        // Five messages of 1000 bytes with their headers, and no sixth.
        ("5", "--inbox-max-bytes", 5900),
    ] {
        let sandbox = cloud().start().unwrap();
        let mut device = Device::new(&sandbox);
        device.option("--mqtt", version).option(option, value);
        let inbox = device.inbox("t", "inbox");
        device.start();
        wait_for_subscription(&sandbox, CLIENT);
        for n in 0..150 {
            sandbox.publish("t", format!("{n:01000}").as_bytes(), 1);
        }
        device.wait_for_log("inbox is full with 5 messages");
        // Publishing goes on, on the other connection.
        device.drop_message("up", "up", "x");
        device.wait_until_empty();
        wait_for_acknowledgements(&sandbox, 5);
        let mut seen: Vec<usize> = Vec::new();
        while seen.len() < 150 {
            let names = wait_for_messages(&inbox, 1);
            assert!(names.len() <= 5, "{names:?}");
            assert!(acknowledged(&sandbox) <= seen.len() + 5, "{option}");
            for name in names {
                seen.push(payload(&inbox, &name).parse().unwrap());
                consume(&inbox, &name);
            }
        }
        assert_eq!(
            seen,
            (0..150).collect::<Vec<usize>>(),
            "once each, in order"
        );
        wait_for_acknowledgements(&sandbox, 150);
        device.wait_for_log("inbox has room again");
        assert_eq!(device.logged("connection lost"), 0);
        assert!(device.logged("is full with") < 150, "not for each message");
    }
}

#[test]
fn a_full_inbox_drops_what_nobody_keeps_for_it() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    device.option("--inbox-max-files", 2);
    let inbox = device.inbox("t", "inbox");
    device.start();
    wait_for_subscription(&sandbox, CLIENT);
    for n in 0..4 {
        sandbox.publish("t", n.to_string().as_bytes(), 0);
    }
    device.wait_for_log("dropped a message of QoS 0, ");
    device.wait_for_log("(2 so far)");
    let names = messages(&inbox);
    names.iter().for_each(|name| consume(&inbox, name));
    sandbox.publish("t", b"4", 0);
    wait_for_messages(&inbox, 1);
}

#[test]
fn an_inbox_that_stays_full_over_a_reconnect_has_every_message_once() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--inbox-max-files", 3);
        let inbox = device.inbox("t", "inbox");
        device.start();
        wait_for_subscription(&sandbox, CLIENT);
        for n in 0..50 {
            sandbox.publish("t", n.to_string().as_bytes(), 1);
        }
        device.wait_for_log("inbox is full with 3 messages");
        wait_for_acknowledgements(&sandbox, 3);
        sandbox.cut(CLIENT, Cut::Reset);
        let connected = || device.logged("as 'device-1_1'");
        wait_for("it is back", LONG, || connected() == 2);
        let mut seen: Vec<usize> = Vec::new();
        while seen.len() < 50 {
            for name in wait_for_messages(&inbox, 1) {
                seen.push(payload(&inbox, &name).parse().unwrap());
                consume(&inbox, &name);
            }
        }
        assert_eq!(seen, (0..50).collect::<Vec<usize>>(), "{version}");
    }
}

#[test]
fn a_full_or_read_only_disk_delays_messages_and_loses_none() {
    for read_only in [true, false] {
        let sandbox = cloud().start().unwrap();
        let mut device = Device::new(&sandbox);
        let place = device.path("disk");
        let Some(disk) = Tmpfs::mount(&place, "256k") else {
            return;
        };
        let inbox = device.inbox("t", "disk/inbox");
        device.start();
        wait_for_subscription(&sandbox, CLIENT);
        sandbox.publish("t", b"0", 1);
        wait_for_messages(&inbox, 1);
        wait_for_acknowledgements(&sandbox, 1);
        if read_only {
            disk.read_only(true);
        } else {
            disk.fill();
        }
        for n in 1..10 {
            sandbox.publish("t", n.to_string().as_bytes(), 1);
        }
        device.wait_for_log("cannot keep a message in");
        // It is tried at least once more.
        device.wait_for_log("(2 so far)");
        assert_eq!(messages(&inbox).len(), 1);
        assert_eq!(acknowledged(&sandbox), 1);
        assert_eq!(
            fs::read_dir(inbox.join("tmp")).unwrap().count(),
            0,
            "no litter"
        );
        if read_only {
            disk.read_only(false);
        } else {
            disk.empty();
        }
        let names = wait_for_messages(&inbox, 10);
        wait_for_acknowledgements(&sandbox, 10);
        let seen: Vec<String> = names.iter().map(|name| payload(&inbox, name)).collect();
        assert_eq!(seen.concat(), "0123456789");
        device.wait_for_log("messages can be kept in");
        device.stop();
    }
}

#[test]
fn an_inbox_that_was_removed_is_made_again() {
    let sandbox = cloud().start().unwrap();
    let (device, inbox) = started(&sandbox, "5", "t");
    fs::remove_dir_all(inbox.join("new")).unwrap();
    device.wait_for_log("new was missing and is made again");
    sandbox.publish("t", b"x", 1);
    wait_for_messages(&inbox, 1);
    fs::remove_dir_all(inbox.join("tmp")).unwrap();
    sandbox.publish("t", b"y", 1);
    wait_for_messages(&inbox, 2);
}

#[test]
fn topics_may_share_an_inbox_or_have_several() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    let one = device.inbox("a/+", "one");
    device.inbox("b", "one");
    let other = device.inbox("a/#", "other");
    device.start();
    wait_for_subscription(&sandbox, CLIENT);
    wait_for_subscription(&sandbox, "device-1_2");
    for topic in ["a/b", "b", "a/b/c"] {
        sandbox.publish(topic, topic.as_bytes(), 1);
    }
    let topics = |inbox, count| -> Vec<String> {
        let names = wait_for_messages(inbox, count);
        names.iter().map(|name| payload(inbox, name)).collect()
    };
    assert_eq!(topics(&one, 2), ["a/b", "b"]);
    assert_eq!(topics(&other, 2), ["a/b", "a/b/c"]);
}

#[test]
fn inboxes_that_must_share_a_connection_say_so_and_work() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    device
        .option("--max-connections", 2)
        .option("--inbox-max-files", 5);
    let (full, other) = (device.inbox("full", "full"), device.inbox("other", "other"));
    device.start().wait_for_log("share a connection");
    wait_for_subscription(&sandbox, CLIENT);
    for _ in 0..20 {
        sandbox.publish("full", b"x", 1);
    }
    device.wait_for_log("full is full with 5 messages");
    sandbox.publish("other", b"y", 1);
    wait_for_messages(&other, 1);
    assert_eq!(messages(&full).len(), 5);
    let mut connected = sandbox.connected();
    connected.sort();
    assert_eq!(connected, ["device-1", CLIENT]);
}

#[test]
fn a_single_connection_is_enough_where_a_policy_allows_no_more() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--max-connections", 1);
        let inbox = device.inbox("t", "inbox");
        device.start().wait_for_log("shares the only connection");
        wait_for_subscription(&sandbox, "device-1");
        sandbox.publish("t", b"x", 1);
        device.drop_message("up", "up", "x");
        wait_for_messages(&inbox, 1);
        device.wait_until_empty();
        assert_eq!(sandbox.connected(), ["device-1"]);
    }
}

#[test]
fn a_single_connection_loses_nothing_either_way_when_it_is_cut() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--max-connections", 1);
        device.message_option("--message-concurrency", 100);
        let inbox = device.inbox("n/+", "inbox");
        device.start();
        wait_for_subscription(&sandbox, "device-1");
        let consumer = Consumer::start(&inbox);
        let count = 500;
        for n in 0..count {
            device.drop_message(&format!("{n:04}"), "up", &n.to_string());
            sandbox.publish(&format!("n/{n}"), n.to_string().as_bytes(), 1);
            if n % 100 == 50 {
                consumer.wait_for(n / 2, LONG);
                sandbox.cut("device-1", Cut::Reset);
            }
        }
        device.wait_until_empty();
        consumer.wait_for(count, LONG);
        let published = sandbox.published().into_iter().map(|one| one.text());
        let different: BTreeSet<String> = published.collect();
        assert_eq!(different.len(), count, "{version}");
        check_acknowledgements(&sandbox, &consumer.seen());
    }
}

#[test]
fn a_policy_that_forbids_the_second_client_id_is_named_and_costs_only_the_inbox() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        sandbox.policy(CLIENT, vec![Deny::Connect]);
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--connect-attempts", 1);
        let inbox = device.inbox("orders/+", "inbox");
        device.start();
        device.wait_for_log(
            "'device-1_1' may not connect, so nothing is received on orders/+; allow iot:Connect",
        );
        device.wait_for_log("connection of 'device-1_1' failed: refused");
        device.drop_message("up", "up", "x");
        device.wait_until_empty();
        sandbox.policy(CLIENT, vec![]);
        wait_for_subscription(&sandbox, CLIENT);
        sandbox.publish("orders/1", b"x", 1);
        wait_for_messages(&inbox, 1);
        assert_eq!(device.stop(), Some(0));
    }
}

#[test]
fn a_directory_that_cannot_be_an_inbox_ends_the_start() {
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    let inbox = device.inbox("t", "inbox");
    fs::write(inbox.join("new"), "a file").unwrap();
    let check = device.command().arg("--check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(100), "{said}");
    assert!(said.contains("new is not a directory"), "{said}");
    device.start();
    assert_eq!(device.exit_code(), Some(100));
    device.wait_for_log("new is not a directory");
}

/// Each message was in `new/` when its acknowledgement came. Its number is the last level of its
/// topic.
fn check_acknowledgements(sandbox: &Sandbox, seen: &BTreeMap<usize, Seen>) -> usize {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let mut delivered: HashMap<(u64, u16), usize> = HashMap::new();
    let mut checked = 0;
    for record in sandbox.record() {
        let connection = record.connection.unwrap_or_default();
        match record.event {
            Event::Delivered {
                topic,
                packet_id: Some(id),
                ..
            } => {
                let number = topic.rsplit('/').next().unwrap().parse().unwrap();
                delivered.insert((connection, id), number);
            }
            Event::PubackReceived { packet_id } => {
                let number = delivered[&(connection, packet_id)];
                let acknowledged = clock - now.duration_since(record.at);
                let seen = seen.get(&number);
                let since = seen
                    .unwrap_or_else(|| panic!("{number} was never there"))
                    .since;
                assert!(since <= acknowledged, "{number} was acknowledged too early");
                checked += 1;
            }
            _ => {}
        }
    }
    checked
}

/// INBOX_MESSAGES=20000 for the long one; CI takes a smaller count.
fn killed_and_cut(version: &str) {
    let count: usize = std::env::var("INBOX_MESSAGES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(2_000);
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    device
        .option("--mqtt", version)
        .option("--inbox-max-files", 200);
    let inbox = device.inbox("n/+", "inbox");
    device.start();
    wait_for_subscription(&sandbox, CLIENT);
    let consumer = Consumer::start(&inbox);
    let mut random = fastrand::Rng::new();
    eprintln!("seed {}", random.get_seed());
    let (kills, cuts) = (20, 10);
    let mut events: Vec<(usize, bool)> = (0..kills + cuts)
        .map(|n| (random.usize(..count * 9 / 10), n < kills))
        .collect();
    events.sort_unstable();
    let mut published = 0;
    let mut publish_up_to = |until: usize| {
        while published < until {
            sandbox.publish(
                &format!("n/{published}"),
                published.to_string().as_bytes(),
                1,
            );
            published += 1;
        }
    };
    for (at, kill) in events {
        publish_up_to(at);
        // Somewhere in the middle of what is on its way.
        let on_the_way = sandbox.record().len() + random.usize(..50);
        sandbox.wait_for(Duration::from_millis(200), |records| {
            (records.len() >= on_the_way).then_some(())
        });
        thread::sleep(Duration::from_micros(random.u64(..3000)));
        if kill {
            device.kill();
            device.start();
        } else {
            let how = [Cut::Reset, Cut::Close, Cut::Disconnect(0x8b)];
            sandbox.cut(CLIENT, how[random.usize(..3)]);
        }
    }
    publish_up_to(count);
    consumer.wait_for(count, LONG + Duration::from_millis(10) * count as u32);
    let stored = |records: &[iotcore_sandbox::Record]| {
        let is_puback = |event: &Event| matches!(event, Event::PubackReceived { .. });
        records
            .iter()
            .filter(|record| is_puback(&record.event))
            .count()
            >= count
    };
    let all = sandbox.wait_for(LONG, |records| stored(records).then_some(()));
    assert!(all.is_some(), "everything is acknowledged in the end");
    let seen = consumer.seen();
    let copies: usize = seen.values().map(|it| it.times).sum();
    let checked = check_acknowledgements(&sandbox, &seen);
    eprintln!(
        "MQTT {version}: {count} messages, {kills} kills, {cuts} cuts: {} duplicates, {checked} acknowledgements checked",
        copies - count
    );
    let window = 100 + 32;
    assert!(copies - count <= window * (kills + cuts), "{copies} copies");
}

#[test]
fn numbered_messages_all_arrive_while_the_daemon_is_killed_and_cut_with_mqtt_5() {
    killed_and_cut("5");
}

#[test]
fn numbered_messages_all_arrive_while_the_daemon_is_killed_and_cut_with_mqtt_3_1_1() {
    killed_and_cut("3.1.1");
}

#[test]
fn a_stopped_process_misses_nothing_that_was_sent_while_it_was_away() {
    for version in VERSIONS {
        let sandbox = cloud().start().unwrap();
        let (mut device, inbox) = started(&sandbox, version, "t");
        device.signal(Signal::SIGTERM);
        assert_eq!(device.exit_code(), Some(0));
        let disconnects = sandbox.wait_for(LONG, |records| {
            let disconnect = |event: &Event| matches!(event, Event::DisconnectReceived { .. });
            let count = records
                .iter()
                .filter(|record| disconnect(&record.event))
                .count();
            (count == 2).then_some(())
        });
        assert!(disconnects.is_some(), "on both connections");
        for n in 0..10 {
            sandbox.publish("t", n.to_string().as_bytes(), 1);
        }
        device.start();
        let names = wait_for_messages(&inbox, 10);
        let seen: Vec<String> = names.iter().map(|name| payload(&inbox, name)).collect();
        assert_eq!(seen.concat(), "0123456789");
    }
}

/// What the kernel was asked to do, in the order in which it was done, about one inbox.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Synced(String),
    Renamed(String),
    /// The directory `new/`.
    NewSynced,
    Sent,
}

/// A call that takes its time is two lines: it is done at the second one, but a write begins at the
/// first.
fn calls(trace: &str, inbox: &str) -> Vec<Call> {
    let mut pending: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let (call, begins, ends) = if rest.starts_with("<...") {
            (pending.remove(pid).unwrap_or_default(), false, true)
        } else if rest.ends_with("<unfinished ...>") {
            pending.insert(pid, rest);
            (rest, true, false)
        } else {
            (rest, true, true)
        };
        let name = |text: &str| {
            text.split('"')
                .next()
                .unwrap()
                .split('>')
                .next()
                .unwrap()
                .to_owned()
        };
        let in_tmp = call
            .split_once(&format!("{inbox}/tmp/"))
            .map(|(_, after)| name(after));
        if call.starts_with("fsync(") && ends {
            if let Some(file) = in_tmp {
                calls.push(Call::Synced(file));
            } else if call.contains(&format!("{inbox}/new>")) {
                calls.push(Call::NewSynced);
            }
        } else if call.starts_with("rename") && ends {
            calls.extend(in_tmp.map(Call::Renamed));
        } else if begins && (call.contains("<socket:") || call.contains("<TCP")) {
            calls.push(Call::Sent);
        }
    }
    calls
}

#[test]
fn the_kernel_has_synced_everything_before_the_acknowledgement_is_written() {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    if !works.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not installed, or may not be used (apt install strace)");
        return;
    }
    let sandbox = cloud().start().unwrap();
    let mut device = Device::new(&sandbox);
    let inbox = device.inbox("t", "inbox");
    let trace = device.path("trace");
    let daemon = device.command();
    let mut traced = Command::new("strace");
    // As a process beside the daemon, which is then our child as ever.
    traced.args(["-D", "-f", "-y", "-s", "0", "-o"]).arg(&trace);
    traced.args([
        "-e",
        "trace=fsync,rename,renameat,renameat2,write,writev,sendto,sendmsg",
    ]);
    traced
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .env_remove("RUST_LOG");
    device.start_as(traced);
    wait_for_subscription(&sandbox, CLIENT);
    for n in 1..=20 {
        sandbox.publish("t", b"x", 1);
        wait_for_acknowledgements(&sandbox, n);
    }
    let names = wait_for_messages(&inbox, 20);
    let written = || fs::read_to_string(&trace).unwrap_or_default();
    let all = || {
        let calls = calls(&written(), &inbox.display().to_string());
        let first = calls
            .iter()
            .position(|call| matches!(call, Call::Synced(_)));
        let mut calls: Vec<_> = calls
            .into_iter()
            .skip(first.unwrap_or(usize::MAX))
            .collect();
        // An acknowledgement is written to the relay, by the relay to the broker, and back again comes
        // what that has to say: one after the other, and none before the directory is synced.
        calls.dedup_by(|a, b| matches!((a, b), (Call::Sent, Call::Sent)));
        calls
    };
    wait_for("the trace is written", LONG, || all().len() >= 20 * 6);
    let expect: Vec<Call> = names
        .iter()
        .flat_map(|name| {
            let header = format!(".{name}.json");
            [
                Call::Synced(header.clone()),
                Call::Synced(name.clone()),
                Call::Renamed(header),
                Call::Renamed(name.clone()),
                Call::NewSynced,
                Call::Sent,
            ]
        })
        .collect();
    assert_eq!(all(), expect);
}

/// A shell, or a line that it is not there.
fn shell(name: &str) -> Option<Command> {
    let works = Command::new(name)
        .arg(if name == "busybox" { "true" } else { "-c" })
        .arg(":")
        .output();
    if !works.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {name} is not installed (apt install dash busybox-static)");
        return None;
    }
    let mut command = Command::new(name);
    if name == "busybox" {
        command.arg("sh");
    }
    Some(command)
}

#[test]
fn the_example_consumer_takes_messages_in_order_and_survives_being_killed() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/inbox-consumer.sh");
    for name in ["sh", "dash", "busybox"] {
        if shell(name).is_none() {
            continue;
        }
        let sandbox = cloud().start().unwrap();
        let (device, inbox) = started(&sandbox, "5", "n/+");
        let done = device.path("done");
        let work = format!(
            "read -r n || [ \"$n\" ]; grep -q '\"topic\":\"n/' \"$MESSAGE_HEADER\" || exit 1; [ \"$n\" != 7 ] || exit 100; echo \"$n\" >>'{}'",
            done.display()
        );
        let consumer = || {
            let mut command = shell(name).expect("it was there before");
            command
                .arg(script)
                .arg(&inbox)
                .args(["sh", "-c", &work])
                .env("INBOX_WAIT", "0.05");
            let group = command.stdin(Stdio::null()).process_group(0);
            group.spawn().expect("a consumer")
        };
        // With its command: as an orphan that would go on beside the next consumer.
        let kill = |mut consumer: Child| {
            let group = Pid::from_raw(i32::try_from(consumer.id()).expect("a process id"));
            killpg(group, Signal::SIGKILL).expect("it runs");
            consumer.wait().expect("its end");
        };
        let lines = || {
            fs::read_to_string(&done)
                .unwrap_or_default()
                .lines()
                .count()
        };
        for round in 0..5 {
            let running = consumer();
            for n in 0..20 {
                let number = round * 20 + n;
                sandbox.publish(&format!("n/{number}"), number.to_string().as_bytes(), 1);
            }
            wait_for("some are done", LONG, || lines() > round * 20 + 5);
            kill(running);
        }
        let last = consumer();
        wait_for("the inbox is empty", LONG, || messages(&inbox).is_empty());
        wait_for("all are done", LONG, || lines() >= 99);
        kill(last);
        let mut numbers: Vec<usize> = fs::read_to_string(&done)
            .unwrap()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        let copies = numbers.len();
        numbers.dedup();
        let expect: Vec<usize> = (0..100).filter(|n| *n != 7).collect();
        assert_eq!(numbers, expect, "{name}: in order, each at least once");
        assert!(
            copies <= 99 + 5,
            "{name}: one repeated for each kill at most"
        );
        let failed = inbox.join("failed");
        let given_up = common::names(&failed);
        assert_eq!(given_up.len(), 1, "{name}");
        assert_eq!(fs::read(failed.join(&given_up[0])).unwrap(), b"7");
        assert!(failed.join(format!(".{}.json", given_up[0])).exists());
    }
}

#[test]
fn the_example_consumer_says_how_to_use_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/inbox-consumer.sh");
    let output = Command::new("sh").arg(script).arg("/tmp").output().unwrap();
    assert_eq!(output.status.code(), Some(100));
    let inbox = tempfile::tempdir().unwrap();
    let new = inbox.path().join("new");
    fs::create_dir(&new).unwrap();
    let once = || {
        Command::new("sh")
            .arg(script)
            .arg("-1")
            .arg(inbox.path())
            .arg("cat")
            .output()
            .unwrap()
    };
    assert!(once().stdout.is_empty(), "an empty inbox");
    for (name, text) in [("2", "b"), ("1", "a"), (".1.json", "{}")] {
        fs::write(new.join(name), text).unwrap();
    }
    let output = once();
    assert_eq!(
        (output.status.code(), output.stdout),
        (Some(0), b"ab".to_vec())
    );
    assert_eq!(common::names(&new), [""; 0]);
}

/// A real broker repeats what was not acknowledged under the same packet id and with DUP.
fn through_mosquitto(version: &str) {
    let Some(mut broker) = Broker::start("mosquitto") else {
        return;
    };
    let mut device = broker.device(version);
    let inbox = device.inbox("n/+", "inbox");
    device.option("--inbox-max-files", 50);
    device.start().wait_for_log("subscribed to 'n/+'");
    let consumer = Consumer::start(&inbox);
    let mut sender = broker.device(version);
    sender.without("--clientid").option("--clientid", "sender");
    sender.start();
    let count = 600;
    for n in 0..count {
        sender.drop_message(&format!("{n:04}"), &format!("n/{n}"), &n.to_string());
        match n {
            100 | 300 => {
                consumer.wait_for(n - 60, LONG);
                device.kill();
                device.start();
            }
            200 => broker.restart(Duration::from_millis(100)),
            _ => {}
        }
    }
    sender.wait_until_empty();
    consumer.wait_for(count, LONG);
    let copies: usize = consumer.seen().values().map(|seen| seen.times).sum();
    eprintln!(
        "MQTT {version} through mosquitto: {} duplicates",
        copies - count
    );
}

#[test]
fn nothing_is_lost_through_mosquitto_with_mqtt_5() {
    through_mosquitto("5");
}

#[test]
fn nothing_is_lost_through_mosquitto_with_mqtt_3_1_1() {
    through_mosquitto("3.1.1");
}
