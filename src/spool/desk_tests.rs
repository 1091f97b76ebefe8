use super::*;
use crate::spool::order::Order as ByWhat;
use std::fs;
use tempfile::TempDir;

async fn desk() -> (TempDir, Desk) {
    let dir = tempfile::tempdir().unwrap();
    let options = queue::Options {
        order: ByWhat::Lexical,
        window: 10,
        retries: 0,
        jam: Duration::from_secs(60),
    };
    let (disks, _working) = Disks::new();
    let desk = Desk::open(dir.path(), 10, options, without_priority, &disks).await;
    (dir, desk.unwrap())
}

/// The next request, with its contents, as soon as there is one.
async fn next(desk: &mut Desk) -> (Name, Opened, Vec<u8>) {
    loop {
        if desk.readiness() != Readiness::Nothing
            && let Some(mut taken) = desk.take()
        {
            loop {
                tokio::select! {
                    opened = taken.opening.opened() => {
                        let (opened, contents) = opened.unwrap();
                        return (taken.name, opened, contents);
                    }
                    notice = desk.notice() => desk.noticed(notice),
                }
            }
        }
        let notice = desk.notice().await;
        desk.noticed(notice);
    }
}

async fn until_nothing_leaves(desk: &mut Desk) {
    while desk.is_leaving() {
        let notice = desk.notice().await;
        desk.noticed(notice);
    }
}

#[tokio::test]
async fn a_file_that_is_written_again_while_it_is_in_flight_is_a_request_again() {
    let (dir, mut desk) = desk().await;
    let path = dir.path().join("new/a");
    for (first, second) in [("old", "new"), ("same", "same")] {
        fs::write(&path, first).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let (name, opened, contents) = next(&mut desk).await;
        assert_eq!(contents, first.as_bytes());
        // Neither its size nor its time tells.
        let again = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&again, second.as_bytes(), 0).unwrap();
        again.set_modified(modified).unwrap();
        drop(again);
        desk.settle(&name, Held::Open(opened), Outcome::Delivered, "");
        let (name, opened, contents) = next(&mut desk).await;
        assert_eq!(contents, second.as_bytes());
        desk.settle(&name, Held::Open(opened), Outcome::Delivered, "");
        until_nothing_leaves(&mut desk).await;
        assert!(!path.exists(), "it was carried out twice, and is done");
    }
}
