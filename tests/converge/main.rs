//! Convergence: whatever happens to the connection, the answers and the process, in the end the
//! cloud and the device hold the same, and it is what was asked for last. One seed makes one story:
//! `CONVERGE_SEED=7` runs a single one again, `CONVERGE_SEEDS=500` runs more of them. That is the
//! full size, for a change of anything in `shadow/`: some minutes.

#[path = "../common/mod.rs"]
mod common;
mod model;
mod story;
mod two;

use std::env;
use std::thread;

use story::Story;

const STORIES: u64 = 24;
const STORIES_AT_A_TIME: usize = 12;

#[test]
fn both_sides_agree_in_the_end_whatever_happened() {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("CONVERGE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CONVERGE_SEEDS").unwrap_or(STORIES)).collect(),
    };
    for some in seeds.chunks(STORIES_AT_A_TIME) {
        thread::scope(|scope| {
            for seed in some {
                scope.spawn(move || {
                    let told = thread::Builder::new().name(format!("seed {seed}"));
                    let story = told.spawn_scoped(scope, || Story::new(*seed).tell());
                    story.expect("a thread");
                });
            }
        });
    }
}
