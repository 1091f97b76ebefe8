//! A file moved into `new/` is published, acknowledged and removed: against the sandbox and a real
//! mosquitto, with both protocol versions.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use common::broker::{Broker, Delivery};
use common::{LONG, wait_for};

on_each_broker!(
    a_file_moved_into_new_is_published_and_removed,
    files_that_wait_at_the_start_are_published,
    every_kind_of_payload_arrives_as_promised,
    a_hard_link_and_a_file_written_in_place_are_published_whole,
    a_bad_message_goes_to_failed_and_the_others_flow,
    a_broker_that_comes_back_gets_everything,
    a_burst_larger_than_every_window_arrives,
    qos_0_is_removed_when_it_is_written,
    several_directories_share_one_connection,
);

fn a_file_moved_into_new_is_published_and_removed(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.start().wait_for_log("connected to");
    device.drop_message("first", "a/b", "hello");
    let expect = Delivery {
        topic: "a/b".into(),
        payload: b"hello".to_vec(),
    };
    assert_eq!(broker.wait_for(1), [expect]);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
    // What is logged is read by another thread.
    device.wait_for_log("published 'first' to a/b");
    assert_eq!(device.logged("published 'first' to a/b"), 1);
    assert_eq!(device.stop(), Some(0));
}

fn files_that_wait_at_the_start_are_published(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.message_option("--message-concurrency", 1);
    for name in ["c", "a", "b"] {
        device.drop_message(name, "t", name);
    }
    device.start();
    let order: Vec<String> = broker.wait_for(3).iter().map(Delivery::text).collect();
    assert_eq!(order, ["a", "b", "c"], "taken in file-name order");
    device.wait_until_empty();
}

fn every_kind_of_payload_arrives_as_promised(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.start();
    let table: [(&str, &str, &[u8]); 6] = [
        (
            "string",
            r#"{"topic":"string","payload":"as \"it\" is\n"}"#,
            b"as \"it\" is\n",
        ),
        (
            "object",
            r#"{"topic":"object","payload":{ "z": 1.10, "a": [1, 2.50, 12345678901234567890123] }}"#,
            br#"{"z":1.10,"a":[1,2.50,12345678901234567890123]}"#,
        ),
        ("null", r#"{"topic":"null","payload":null}"#, b"null"),
        (
            "bytes",
            r#"{"topic":"bytes","payload_base64":"AAH/gA=="}"#,
            b"\x00\x01\xff\x80",
        ),
        ("empty", r#"{"topic":"empty","payload":""}"#, b""),
        (
            "odd",
            r#"{"topic":"odd","payload":"x","compress":"rar"}"#,
            b"x",
        ),
    ];
    for (name, file, _) in &table {
        device.drop_file(name, file);
    }
    for how in ["gzip", "deflate"] {
        let file = format!(
            r#"{{"topic":"{how}","payload":"{}","compress":"{how}"}}"#,
            "squeeze ".repeat(1000)
        );
        device.drop_file(how, file);
    }
    let seen = broker.wait_for(8);
    let payload = |topic: &str| {
        seen.iter()
            .find(|one| one.topic == topic)
            .expect(topic)
            .payload
            .clone()
    };
    for (topic, _, expect) in table {
        assert_eq!(payload(topic), expect, "{topic}");
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&payload("gzip")[..])
        .read_to_string(&mut text)
        .expect("gzip");
    assert_eq!(text, "squeeze ".repeat(1000));
    text.clear();
    flate2::read::ZlibDecoder::new(&payload("deflate")[..])
        .read_to_string(&mut text)
        .expect("zlib format");
    assert_eq!(text, "squeeze ".repeat(1000));
    device.wait_for_log("'odd': sent uncompressed");
    device.wait_until_empty();
}

fn a_hard_link_and_a_file_written_in_place_are_published_whole(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.start().wait_for_log("connected to");
    wait_for("new/ is made", LONG, || device.new_dir().is_dir());

    let prepared = device.messages().join("tmp/prepared");
    fs::write(&prepared, r#"{"topic":"link","payload":"linked"}"#).unwrap();
    fs::hard_link(&prepared, device.new_dir().join("linked")).unwrap();
    fs::remove_file(&prepared).unwrap();
    broker.wait_for(1);

    let mut slow = fs::File::create(device.new_dir().join("slow")).unwrap();
    slow.write_all(br#"{"topic":"slow","#).unwrap();
    // The file is there and looks complete to everybody who does not know its writer.
    device.drop_message("other", "other", "x");
    broker.wait_for(2);
    slow.write_all(br#""payload":"whole"}"#).unwrap();
    drop(slow);
    let seen = broker.wait_for(3);
    assert_eq!(
        seen[2],
        Delivery {
            topic: "slow".into(),
            payload: b"whole".to_vec()
        }
    );
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
}

fn a_bad_message_goes_to_failed_and_the_others_flow(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.start();
    device.drop_file("a-bad", "{");
    device.drop_message("b-good", "t", "x");
    broker.wait_for(1);
    assert!(device.wait_for_failure("a-bad").contains("is not JSON"));
    device.wait_until_empty();
}

fn a_broker_that_comes_back_gets_everything(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device
        .message_option("--message-retries", 0)
        .option("--connect-attempts", 0);
    device.start().wait_for_log("connected to");
    let mut sent = BTreeSet::new();
    for round in 0..3 {
        for n in 0..20 {
            let name = format!("{round}-{n}");
            device.drop_message(&name, &name, "x");
            sent.insert(name);
        }
        broker.restart(Duration::from_millis(300));
    }
    wait_for("everything is published", LONG, || {
        device.waiting().is_empty()
    });
    wait_for("the broker tells of everything", LONG, || {
        let seen: BTreeSet<String> = broker.received_topics().into_iter().collect();
        seen == sent
    });
    assert_eq!(
        device.failed(),
        [""; 0],
        "an outage costs no retry and no message"
    );
}

fn a_burst_larger_than_every_window_arrives(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.message_option("--message-concurrency", 100);
    let large = "x".repeat(100_000);
    for n in 0..300 {
        let payload = if n % 10 == 0 {
            large.clone()
        } else {
            n.to_string()
        };
        device.drop_message(&format!("{n:03}"), &format!("t/{n}"), &payload);
    }
    device.start();
    let topics: BTreeSet<String> = broker
        .wait_for(300)
        .into_iter()
        .map(|one| one.topic)
        .collect();
    assert_eq!(topics.len(), 300);
    device.wait_until_empty();
}

fn qos_0_is_removed_when_it_is_written(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    device.start();
    device.drop_file("zero", r#"{"topic":"zero","payload":"x","qos":0}"#);
    device.wait_until_empty();
    assert_eq!(broker.wait_for(1)[0].topic, "zero");
}

fn several_directories_share_one_connection(broker: &mut Broker, version: &str) {
    let mut device = broker.device(version);
    let other = device.path("other");
    fs::create_dir(&other).unwrap();
    device.option("--messages", other.display());
    device.option(
        "--message-topic-prefix",
        format!("{}:pre/", other.display()),
    );
    device.option("--default-message-topic-suffix", "/post");
    device.drop_message("x", "t", "first");
    common::drop_file(&other, "x", r#"{"topic":"t","payload":"second"}"#);
    device.start();
    let seen: BTreeSet<(String, String)> = broker
        .wait_for(2)
        .iter()
        .map(|one| (one.topic.clone(), one.text()))
        .collect();
    let expect = [("t/post", "first"), ("pre/t/post", "second")];
    assert_eq!(
        seen,
        expect
            .map(|(topic, text)| (topic.to_owned(), text.to_owned()))
            .into()
    );
}

#[test]
fn missing_directories_are_made_with_mode_and_owner_of_their_parent() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = common::sandbox();
    let mut device = common::Device::new(&sandbox);
    fs::set_permissions(device.messages(), fs::Permissions::from_mode(0o2775)).unwrap();
    if common::is_root() {
        std::os::unix::fs::chown(device.messages(), Some(1234), Some(5678)).unwrap();
    } else {
        eprintln!("skipped: only root can give a directory to another owner");
    }
    device.start().wait_for_log("connected to");
    let parent = fs::metadata(device.messages()).unwrap();
    for name in ["tmp", "new", "failed"] {
        let made = fs::metadata(device.messages().join(name)).unwrap();
        assert_eq!(made.mode(), parent.mode(), "{name}");
        assert_eq!(
            (made.uid(), made.gid()),
            (parent.uid(), parent.gid()),
            "{name}"
        );
    }
}
