//! The log: one line for each event on stderr, without timestamps, which the supervisor's logger
//! adds. The level is `RUST_LOG`'s, or info. Nobody waits for who reads it: lines go to a thread of
//! their own, and what it cannot take is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use log::LevelFilter;

/// Lines that wait for a reader who takes his time.
const WAITING: usize = 1024;
/// A longer line is cut, so that what waits has a bound.
const LONGEST: usize = 4096;
/// Lines that come faster than this are written together. Nobody has to wake the thread meanwhile.
const TOGETHER: Duration = Duration::from_millis(2);
/// At the end what waits is written, if it can be at once.
const AT_THE_END: Duration = Duration::from_millis(200);

/// What the thread is given.
enum LogRequest {
    Line(Vec<u8>),
    /// Everything before this is to be written.
    Flush(SyncSender<()>),
}

/// The log at work.
pub struct Log {
    /// The way to the thread. `None`: there is none, and lines are written by whoever has them.
    orders: Option<SyncSender<LogRequest>>,
    /// What is wrong with `RUST_LOG`, which is then as if it were not set.
    pub problem: Option<String>,
}

/// Starts logging. To be called once.
pub fn start() -> Log {
    let (orders, to_do) = sync_channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = dropped.clone();
    let writer = thread::Builder::new()
        .name("log".into())
        .spawn(move || write_all(&to_do, &counter, &mut io::stderr()));
    let mut builder = env_logger::Builder::new();
    let orders = writer.is_ok().then_some(orders);
    if let Some(orders) = orders.clone() {
        let pipe = Pipe { orders, dropped };
        builder.target(env_logger::Target::Pipe(Box::new(pipe)));
    }
    builder
        .filter_level(LevelFilter::Info)
        // What these have to say, we say in our own words.
        .filter_module("rumqttc", LevelFilter::Off)
        .filter_module("rustls", LevelFilter::Off)
        .format(|line, record| {
            if holds_payloads(record.target()) {
                return Ok(());
            }
            let level = record.level().as_str().to_lowercase();
            let text = record
                .args()
                .to_string()
                .replace(|c: char| c.is_control(), " ");
            writeln!(line, "{level}: {text}")
        });
    let problem = match wanted() {
        Ok(wanted) => {
            builder.parse_filters(&wanted);
            None
        }
        Err(problem) => Some(problem),
    };
    builder.init();
    Log { orders, problem }
}

/// These write whole messages at the level trace, with the secrets in them: `RUST_LOG` cannot ask for that.
fn holds_payloads(target: &str) -> bool {
    let module = target.split("::").next().unwrap_or_default();
    ["tungstenite", "tokio_tungstenite"].contains(&module)
}

/// What `RUST_LOG` says; nothing where it is not set. The logging library would write what is wrong
/// with it in a form of its own.
fn wanted() -> Result<String, String> {
    let Some(wanted) = std::env::var_os("RUST_LOG") else {
        return Ok(String::new());
    };
    let wanted = wanted.to_string_lossy();
    match env_filter::Builder::new().try_parse(&wanted) {
        Ok(_) => Ok(wanted.into_owned()),
        Err(_) => Err(format!(
            "RUST_LOG='{wanted}' is ignored: use error, warn, info, debug or off, or MODULE=LEVEL with commas between"
        )),
    }
}

impl Log {
    /// Waits until all lines are written, but not for a reader who reads nothing.
    pub fn finish(&self) {
        let Some(orders) = &self.orders else { return };
        let until = Instant::now() + AT_THE_END;
        let (written, done) = sync_channel(1);
        let mut flush = LogRequest::Flush(written);
        while let Err(TrySendError::Full(again)) = orders.try_send(flush) {
            if Instant::now() >= until {
                return;
            }
            flush = again;
            thread::sleep(Duration::from_millis(5));
        }
        let _ = done.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// What the logging library writes to: each record is one call.
struct Pipe {
    orders: SyncSender<LogRequest>,
    dropped: Arc<AtomicU64>,
}

impl Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut kept = line[..line.len().min(LONGEST)].to_vec();
        if kept.len() < line.len() {
            kept.push(b'\n');
        }
        if self.orders.try_send(LogRequest::Line(kept)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds the lines that wait already, as long as a pipe takes all of them whole. What comes next, if it is
/// known: a line that is too much, or somebody who waits.
fn gather(lines: &mut Vec<u8>, to_do: &Receiver<LogRequest>) -> Option<LogRequest> {
    loop {
        match to_do.try_recv().ok()? {
            LogRequest::Line(line) if lines.len() + line.len() <= LONGEST => lines.extend(line),
            next => return Some(next),
        }
    }
}

/// Leaves other lines time to come, if the last ones were written just now.
fn rest_since(written: Option<Instant>) {
    if let Some(rest) = written.and_then(|since| TOGETHER.checked_sub(since.elapsed())) {
        thread::sleep(rest);
    }
}

/// The thread: waits for the reader, so that nobody else does.
fn write_all(to_do: &Receiver<LogRequest>, dropped: &AtomicU64, to: &mut impl Write) {
    let mut next = None;
    let mut written = None;
    while let Some(order) = next.take().or_else(|| to_do.recv().ok()) {
        match order {
            LogRequest::Line(mut lines) => {
                rest_since(written);
                next = gather(&mut lines, to_do);
                // A log that is gone is no reason to end.
                let _ = to.write_all(&lines);
                // What was gathered too much has waited already.
                written = next.is_none().then(Instant::now);
            }
            LogRequest::Flush(written) => drop(written.try_send(())),
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(
                to,
                "warn: {count} lines were dropped while the log could not be written"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_counted_and_logged() {
        let (orders, to_do) = sync_channel(3);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut pipe = Pipe {
            orders,
            dropped: dropped.clone(),
        };
        for n in 0..10 {
            pipe.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        drop(pipe);
        let mut written = Vec::new();
        write_all(&to_do, &dropped, &mut written);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "line 0\nline 1\nline 2\nwarn: 7 lines were dropped while the log could not be written\n"
        );
    }

    /// Keeps what each write was given.
    struct Pieces(Vec<Vec<u8>>);

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.push(piece.to_vec());
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_wait_are_written_together_in_pieces_that_a_pipe_takes_whole() {
        let (orders, to_do) = sync_channel(100);
        for length in [1000, 1000, 1000, 1000, 1000, LONGEST, 10, 10] {
            let line = LogRequest::Line(vec![b'x'; length]);
            orders.try_send(line).expect("there is room");
        }
        drop(orders);
        let mut pieces = Pieces(Vec::new());
        write_all(&to_do, &AtomicU64::new(0), &mut pieces);
        let lengths: Vec<usize> = pieces.0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [4000, 1000, LONGEST, 20]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let (orders, to_do) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut pipe = Pipe { orders, dropped };
        pipe.write_all(&[b'x'; 100_000]).unwrap();
        let Ok(LogRequest::Line(line)) = to_do.recv() else {
            panic!("a line")
        };
        assert_eq!((line.len(), line.last()), (LONGEST + 1, Some(&b'\n')));
    }
}
