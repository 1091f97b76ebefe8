//! Inboxes of a device, and a consumer of their messages.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use iotcore_sandbox::{Builder, Event, Sandbox};
use serde_json::Value;

use super::{Device, LONG, builder, names, wait_for};

/// Stored messages come at once.
pub fn cloud() -> Builder {
    builder().limit(|limits| limits.backlog_rate = None)
}

impl Device {
    /// An inbox `NAME/` for this topic. To be called before the start.
    pub fn inbox(&mut self, topic: &str, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("an inbox");
        self.option("--subscribe-spool", format!("{topic}:{}", dir.display()));
        dir
    }
}

/// Waits until so many messages are in the inbox.
#[track_caller]
pub fn wait_for_messages(inbox: &Path, count: usize) -> Vec<String> {
    let come = || messages(inbox).len() >= count;
    wait_for(&format!("{count} messages are in the inbox"), LONG, come);
    messages(inbox)
}

pub fn messages(inbox: &Path) -> Vec<String> {
    names(&inbox.join("new"))
}

pub fn payload(inbox: &Path, message: &str) -> String {
    let bytes = fs::read(inbox.join("new").join(message)).expect("a message");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn header(inbox: &Path, message: &str) -> Value {
    let header = inbox.join("new").join(format!(".{message}.json"));
    let text = fs::read_to_string(header).expect("its header");
    serde_json::from_str(&text).expect("JSON")
}

pub fn consume(inbox: &Path, message: &str) {
    fs::remove_file(inbox.join("new").join(message)).expect("a message");
}

/// Waits until the inbox is subscribed to by this client.
#[track_caller]
pub fn wait_for_subscription(sandbox: &Sandbox, client: &str) {
    let subscribed = sandbox.wait_for(LONG, |records| {
        let mut acknowledged = records.iter().filter(|record| {
            let suback = matches!(record.event, Event::SubackSent { .. });
            suback && record.client_id.as_deref() == Some(client)
        });
        acknowledged.next().map(drop)
    });
    assert!(subscribed.is_some(), "{client} subscribes");
}

pub fn acknowledged(sandbox: &Sandbox) -> usize {
    let all = sandbox.record();
    let is_puback = |event: &Event| matches!(event, Event::PubackReceived { .. });
    all.iter().filter(|record| is_puback(&record.event)).count()
}

#[track_caller]
pub fn wait_for_acknowledgements(sandbox: &Sandbox, count: usize) {
    let come = sandbox.wait_for(LONG, |records| {
        let is_puback = |event: &Event| matches!(event, Event::PubackReceived { .. });
        let pubacks = records.iter().filter(|record| is_puback(&record.event));
        (pubacks.count() >= count).then_some(())
    });
    assert!(come.is_some(), "{count} acknowledgements come");
}

/// Takes messages out of an inbox, oldest first, until it is asked to stop.
pub struct Consumer {
    seen: Arc<Mutex<BTreeMap<usize, Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A numbered message that was consumed.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub times: usize,
    /// When its first copy was renamed into `new/`, as coarse as the kernel's tick, never too late.
    pub since: SystemTime,
}

impl Consumer {
    /// Their payloads are numbers.
    pub fn start(inbox: &Path) -> Consumer {
        let (inbox, stop) = (inbox.to_owned(), Arc::new(AtomicBool::new(false)));
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let (told, mine) = (stop.clone(), seen.clone());
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for message in messages(&inbox) {
                    take(&inbox, &message, &mine);
                }
                thread::sleep(Duration::from_millis(fastrand::u64(..20)));
            }
        });
        Consumer {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub fn seen(&self) -> BTreeMap<usize, Seen> {
        self.seen.lock().expect("the numbers").clone()
    }

    #[track_caller]
    pub fn wait_for(&self, count: usize, limit: Duration) {
        wait_for(&format!("{count} messages are consumed"), limit, || {
            self.seen.lock().expect("the numbers").len() >= count
        });
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn take(inbox: &Path, message: &str, seen: &Mutex<BTreeMap<usize, Seen>>) {
    let meta = fs::metadata(inbox.join("new").join(message)).expect("only we remove messages");
    let since = Duration::new(
        u64::try_from(meta.ctime()).expect("a time"),
        u32::try_from(meta.ctime_nsec()).expect("nanoseconds"),
    );
    let since = SystemTime::UNIX_EPOCH + since;
    let number = payload(inbox, message).parse().expect("a number");
    assert!(
        header(inbox, message)["topic"].is_string(),
        "whole from the first look on"
    );
    let mut seen = seen.lock().expect("the numbers");
    let entry = seen.entry(number).or_insert(Seen { times: 0, since });
    entry.times += 1;
    drop(seen);
    consume(inbox, message);
}
