use super::*;
use crate::spool::order::Order as ByWhat;
use std::fs;
use tempfile::TempDir;

async fn action_dir() -> (TempDir, ActionDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = queue::QueueOptions {
        order: ByWhat::Lexical,
        window: 10,
        retries: 0,
        jam: Duration::from_secs(60),
    };
    let (disks, _working) = Disks::new();
    let action_dir = ActionDir::open(dir.path(), 10, options, Looks::default(), &disks).await;
    (dir, action_dir.unwrap())
}

/// The next request, with its contents, as soon as there is one.
async fn next(action_dir: &mut ActionDir) -> (Name, Opened, Vec<u8>) {
    loop {
        if action_dir.readiness() != Readiness::Nothing
            && let Some(mut taken) = action_dir.take()
        {
            loop {
                tokio::select! {
                    opened = taken.opening.opened() => {
                        let (opened, contents) = opened.unwrap();
                        return (taken.name, opened, contents);
                    }
                    notice = action_dir.notice() => action_dir.noticed(notice),
                }
            }
        }
        let notice = action_dir.notice().await;
        action_dir.noticed(notice);
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
