//! Every crash point: the daemon is killed at, or refused, the n-th system call of a story, then
//! started again; nothing is lost, nothing half-written is seen, and only what was in flight repeats.
//!
//! `CRASH_POINTS=all` tries every point, `CRASH_POINTS=300` about so many of them, and
//! `CRASH_SEED=7` begins with the seventh. Without them it is a sample that CI has time for.

#[path = "../common/mod.rs"]
mod common;
mod model;
mod parts;
mod points;
mod story;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::strace::can_trace;
use parts::{PARTS, Part};
use points::Point;
use story::Outcome;

/// As many as take about a minute with two processors.
const SAMPLE: usize = 144;
const AT_ONCE: usize = 4;

#[test]
fn a_kill_or_a_failure_at_any_system_call_loses_nothing() {
    if !can_trace() {
        return;
    }
    let of = |part: &Part| points::all(*part, &story::calls(*part));
    let all: Vec<Point> = PARTS.iter().flat_map(of).collect();
    let chosen = sample(&all);
    let start = Instant::now();
    let outcomes = try_each(&chosen);
    let told = table::write(&outcomes);
    println!(
        "{} of {} points in {} s\n\n{told}",
        chosen.len(),
        all.len(),
        start.elapsed().as_secs()
    );
    table::last_words(&outcomes);
    let wrong: Vec<String> = outcomes.iter().filter_map(Outcome::problem).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reached = outcomes.iter().filter(|one| one.reached).count();
    assert!(reached * 2 > chosen.len(), "{reached} points were reached");
}

/// Every k-th of them, beginning somewhere.
fn sample(all: &[Point]) -> Vec<Point> {
    let wanted = match std::env::var("CRASH_POINTS").as_deref() {
        Ok("all") => all.len(),
        Ok(count) => count.parse().expect("CRASH_POINTS is `all` or a number"),
        Err(_) => SAMPLE,
    };
    let seed = std::env::var("CRASH_SEED").ok();
    let seed = seed.map_or_else(
        || fastrand::usize(..10_000),
        |text| text.parse().expect("CRASH_SEED is a number"),
    );
    let step = all.len().div_ceil(wanted.max(1)).max(1);
    println!("CRASH_SEED={seed}, every {step}th point");
    all.iter()
        .skip(seed % step)
        .step_by(step)
        .copied()
        .collect()
}

/// Some at a time, because each waits for the disk, the sandbox and strace most of the time.
fn try_each(points: &[Point]) -> Vec<Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = story::tried(*point);
            if let Some(problem) = outcome.problem() {
                println!("{problem}");
            }
            outcomes.lock().expect("the outcomes").push(outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().expect("the outcomes")
}

/// What a daemon that was refused something has to go on; then it is killed, too.
const PATIENCE: Duration = Duration::from_secs(3);
