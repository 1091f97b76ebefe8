use std::time::Duration;

use tokio::time::timeout;

use super::super::order::Priority;
use super::super::waiting::MOST_HELD;
use super::*;
use crate::spool::order::Order as ByWhat;
use std::fs;
use tempfile::TempDir;

async fn action_dir() -> (TempDir, ActionDir) {
    let dir = tempfile::tempdir().unwrap();
    let action_dir = opened(dir.path(), ByWhat::Lexical, Looks::default()).await;
    (dir, action_dir)
}

async fn opened(dir: &Path, order: ByWhat, looks: Looks) -> ActionDir {
    let options = queue::QueueOptions {
        order,
        window: 10,
        retries: 0,
        jam: Duration::from_secs(60),
    };
    let (disks, _working) = Disks::new();
    let action_dir = ActionDir::open(dir, 10, options, looks, &disks).await;
    action_dir.unwrap()
}

/// Files that wait, in the order of their names and of their times.
fn fill(dir: &Path, names: impl Iterator<Item = usize>) {
    let new = dir.join("new");
    fs::create_dir_all(&new).unwrap();
    let time = std::time::UNIX_EPOCH;
    for n in names {
        let file = fs::File::create(new.join(format!("{n:05}"))).unwrap();
        file.set_modified(time + Duration::from_secs(n as u64))
            .unwrap();
    }
}

/// Carries out so many, one after the other.
async fn carried_out(action_dir: &mut ActionDir, count: usize) -> Vec<usize> {
    let mut names = Vec::new();
    while names.len() < count {
        let (name, opened, _) = next(action_dir).await;
        names.push(name.to_string().parse().unwrap());
        action_dir.settle(&name, HeldFile::Open(opened), Outcome::Delivered, "");
    }
    names
}

/// The next request, with its contents, as soon as there is one. What has vanished is settled.
async fn next(action_dir: &mut ActionDir) -> (Name, Opened, Vec<u8>) {
    loop {
        if action_dir.readiness() == Readiness::Nothing {
            let notice = action_dir.notice().await;
            action_dir.noticed(notice);
            continue;
        }
        let Some(mut taken) = action_dir.take() else {
            continue;
        };
        let opened = loop {
            tokio::select! {
                opened = taken.opening.opened() => break opened,
                notice = action_dir.notice() => action_dir.noticed(notice),
            }
        };
        match opened {
            Ok((opened, contents)) => return (taken.name, opened, contents),
            Err((outcome, held)) => action_dir.settle(&taken.name, held, outcome, ""),
        }
    }
}

async fn until_nothing_leaves(action_dir: &mut ActionDir) {
    while action_dir.is_leaving() {
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
    }
}

#[tokio::test]
async fn a_file_that_is_written_again_while_it_is_in_flight_is_a_request_again() {
    let (dir, mut action_dir) = action_dir().await;
    let path = dir.path().join("new/a");
    for (first, second) in [("old", "new"), ("same", "same")] {
        fs::write(&path, first).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let (name, opened, contents) = next(&mut action_dir).await;
        assert_eq!(contents, first.as_bytes());
        // Neither its size nor its time shows it.
        let again = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&again, second.as_bytes(), 0).unwrap();
        again.set_modified(modified).unwrap();
        drop(again);
        action_dir.settle(&name, HeldFile::Open(opened), Outcome::Delivered, "");
        let (name, opened, contents) = next(&mut action_dir).await;
        assert_eq!(contents, second.as_bytes());
        action_dir.settle(&name, HeldFile::Open(opened), Outcome::Delivered, "");
        until_nothing_leaves(&mut action_dir).await;
        assert!(!path.exists(), "it was carried out twice, and is done");
    }
}

#[tokio::test]
async fn more_than_are_held_are_taken_in_their_order_to_the_last_one() {
    let count = MOST_HELD + 1500;
    let forth: Vec<usize> = (0..count).collect();
    let back: Vec<usize> = (0..count).rev().collect();
    for (order, expect) in [(ByWhat::Lexical, &forth), (ByWhat::NewestFirst, &back)] {
        let dir = tempfile::tempdir().unwrap();
        // Not in the order in which they are to be taken.
        fill(dir.path(), (0..count).map(|n| (n * 7919) % count));
        let mut action_dir = opened(dir.path(), order, Looks::default()).await;
        action_dir.link_up();
        let taken = carried_out(&mut action_dir, count).await;
        assert!(taken == *expect, "{order:?}");
        until_nothing_leaves(&mut action_dir).await;
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn who_arrives_does_not_overtake_those_that_wait_already() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), (0..600).map(|n| n * 2));
    let mut action_dir = opened(dir.path(), ByWhat::Lexical, Looks::default()).await;
    let mut taken = carried_out(&mut action_dir, 10).await;
    fill(dir.path(), [1001, 5000].into_iter());
    taken.extend(carried_out(&mut action_dir, 592).await);
    let mut expect: Vec<usize> = (0..600).map(|n| n * 2).chain([1001, 5000]).collect();
    expect.sort_unstable();
    assert_eq!(taken, expect);
}

/// Only the contents "first" say that it is to be taken first.
fn urgent(contents: &[u8]) -> (Option<Priority>, Option<String>) {
    ((contents == b"first").then(|| Priority::new(1.0)), None)
}

#[tokio::test]
async fn priorities_are_looked_for_in_front_and_everywhere_where_that_is_wanted() {
    for (urgents, at_all, expect) in [
        (vec![1000], false, 1000),
        (vec![1900], false, 0),
        (vec![1900], true, 1900),
        (vec![1000, 1900], true, 1000),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 0..2000);
        for n in &urgents {
            fs::write(dir.path().join(format!("new/{n:05}")), "first").unwrap();
        }
        let looks = Looks {
            priority: Some(urgent),
            at_all,
        };
        let mut action_dir = opened(dir.path(), ByWhat::Lexical, looks).await;
        let taken = carried_out(&mut action_dir, 1).await;
        assert_eq!(taken, [expect], "{urgents:?} {at_all}");
    }
}

#[tokio::test]
async fn once_priorities_are_seen_all_that_wait_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 0..4000);
    for n in [3, 3900] {
        fs::write(dir.path().join(format!("new/{n:05}")), "first").unwrap();
    }
    let looks = Looks {
        priority: Some(urgent),
        at_all: false,
    };
    let mut action_dir = opened(dir.path(), ByWhat::Lexical, looks).await;
    let taken = carried_out(&mut action_dir, 3000).await;
    assert_eq!(taken[0], 3);
    assert!(taken.contains(&3900), "it did not wait for its turn");
}

async fn until_read(action_dir: &mut ActionDir, name: &str) {
    while !action_dir.prefetched.holds(&Name::new(name.as_ref())) {
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
    }
}

#[tokio::test]
async fn what_is_taken_away_before_its_turn_is_not_carried_out() {
    let (dir, mut action_dir) = action_dir().await;
    action_dir.link_up();
    fill(dir.path(), 0..1);
    until_read(&mut action_dir, "00000").await;
    fs::remove_file(dir.path().join("new/00000")).unwrap();
    fill(dir.path(), 1..2);
    // The news of it comes after that of the first.
    until_read(&mut action_dir, "00001").await;
    assert_eq!(carried_out(&mut action_dir, 1).await, [1]);
}

#[tokio::test]
async fn while_one_at_a_time_is_tried_the_last_of_all_that_wait_has_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 0..1000);
    let mut action_dir = opened(dir.path(), ByWhat::Lexical, Looks::default()).await;
    while action_dir.readiness() == Readiness::Nothing || action_dir.feeding {
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
    }
    action_dir.probing(true);
    while action_dir.feeding {
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
    }
    assert_eq!(carried_out(&mut action_dir, 2).await, [0, 999]);
}

#[tokio::test]
async fn what_waits_behind_files_that_somebody_takes_away_does_not_wait_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let rest = 10 + MOST_HELD..13 + MOST_HELD;
    fill(dir.path(), 10..rest.end);
    let mut action_dir = opened(dir.path(), ByWhat::Lexical, Looks::default()).await;
    while action_dir.readiness() == Readiness::Nothing || action_dir.feeding {
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
    }
    let gone: Vec<usize> = (10..rest.start).collect();
    let mut first = 0;
    // As many as the watch can tell of, or it would say that it has lost some. Then one that is first, and
    // told of after them.
    for some in gone.chunks(8000) {
        for n in some {
            fs::remove_file(dir.path().join(format!("new/{n:05}"))).unwrap();
        }
        let known = action_dir.queue.waiting();
        fill(dir.path(), first..first + 1);
        while action_dir.queue.waiting() == known {
            let notice = action_dir.notice().await;
            action_dir.noticed(notice);
        }
        first += 1;
    }
    // Nothing leaves meanwhile, or the directory would be read for that.
    for expect in (0..first).chain(rest) {
        // Less than the five minutes until it is read in any case.
        let (name, ..) = timeout(Duration::from_secs(60), next(&mut action_dir))
            .await
            .unwrap();
        assert_eq!(name.to_string(), format!("{expect:05}"));
    }
}
