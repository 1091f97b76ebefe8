use super::*;
use crate::spool::opened::LARGEST_FILE;
use std::fs::File;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn name(text: &str) -> Name {
    Name::new(text.as_ref())
}

fn maildir(keep: usize) -> (TempDir, Maildir) {
    let dir = tempfile::tempdir().unwrap();
    let maildir = Maildir::open(dir.path(), keep).unwrap();
    (dir, maildir)
}

fn write(dir: &TempDir, path: &str, text: &str) {
    fs::write(dir.path().join(path), text).unwrap();
}

fn text(dir: &TempDir, path: &str) -> Option<String> {
    fs::read_to_string(dir.path().join(path)).ok()
}

fn request(maildir: &Maildir, text: &str) -> Opened {
    maildir.request(&name(text)).unwrap()
}

/// `again`: a writer has closed its file since it was opened.
fn remove(maildir: &mut Maildir, text: &str, opened: &Opened, again: bool) -> Removal {
    let taken = maildir.take_aside(&name(text), opened.identity);
    maildir.remove(&name(text), opened, taken, again)
}

fn refusal(maildir: &Maildir, text: &str) -> String {
    match maildir.request(&name(text)) {
        Err(OpenError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_read_and_removed() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "new/a", "contents");
    let mut opened = request(&maildir, "a");
    assert_eq!(opened.read().unwrap(), b"contents");
    assert_eq!(
        opened.read().unwrap(),
        b"contents",
        "reading again starts afresh"
    );
    assert!(matches!(
        remove(&mut maildir, "a", &opened, false),
        Removal::Done
    ));
    assert_eq!(text(&dir, "new/a"), None);
    assert!(
        matches!(remove(&mut maildir, "a", &opened, false), Removal::Done),
        "gone is gone"
    );
}

#[test]
fn a_newer_file_of_the_same_name_is_never_removed() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "new/a", "old");
    let opened = request(&maildir, "a");
    write(&dir, "tmp/a", "new");
    fs::rename(dir.path().join("tmp/a"), dir.path().join("new/a")).unwrap();
    assert!(matches!(
        remove(&mut maildir, "a", &opened, false),
        Removal::Replaced
    ));
    assert!(matches!(
        maildir.fail(&name("a"), &HeldFile::Open(opened), "x", || false),
        Removal::Replaced
    ));
    assert_eq!(text(&dir, "new/a").as_deref(), Some("new"));
}

#[test]
fn a_file_that_was_taken_aside_and_is_another_one_is_put_back() {
    let (dir, maildir) = maildir(10);
    write(&dir, ".removing/a", "newer");
    maildir.put_back(&name("a"));
    assert_eq!(text(&dir, "new/a").as_deref(), Some("newer"));
    assert_eq!(text(&dir, ".removing/a"), None);
}

#[test]
fn a_file_that_was_put_back_never_replaces_a_newer_one() {
    let (dir, maildir) = maildir(10);
    write(&dir, ".removing/a", "older");
    write(&dir, "new/a", "newest");
    maildir.put_back(&name("a"));
    assert_eq!(text(&dir, "new/a").as_deref(), Some("newest"));
    assert_eq!(text(&dir, ".removing/a"), None);
}

#[test]
fn without_a_place_to_take_files_aside_they_are_removed_and_moved_from_where_they_are() {
    let (dir, mut maildir) = maildir(10);
    // As when the directory belongs to somebody else and it cannot be made.
    fs::remove_dir(maildir.removing("")).unwrap();
    write(&dir, ".removing", "a file");
    write(&dir, "new/a", "x");
    write(&dir, "new/b", "x");
    let opened = request(&maildir, "a");
    assert!(matches!(
        remove(&mut maildir, "a", &opened, false),
        Removal::Done
    ));
    assert_eq!(text(&dir, "new/a"), None, "done means gone");
    assert!(matches!(
        maildir.fail(&name("b"), &HeldFile::Closed(None), "x", || false),
        Removal::Done
    ));
    assert_eq!(text(&dir, "new/b"), None);
    assert!(text(&dir, "failed/b").is_some(), "it is not lost");
}

#[test]
fn parts_that_are_links_are_refused_so_that_nothing_elsewhere_is_touched() {
    for part in ["new", "failed", "tmp"] {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(elsewhere.path(), dir.path().join(part)).unwrap();
        let error = Maildir::open(dir.path(), 0).unwrap_err();
        assert!(format!("{error:#}").contains("symbolic link"), "{error:#}");
    }
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("precious"), "x").unwrap();
    symlink(elsewhere.path(), dir.path().join(".removing")).unwrap();
    let mut maildir = Maildir::open(dir.path(), 0).unwrap();
    write(&dir, "new/precious", "bad");
    let opened = request(&maildir, "precious");
    assert!(matches!(
        remove(&mut maildir, "precious", &opened, false),
        Removal::Done
    ));
    assert!(elsewhere.path().join("precious").exists());
}

#[test]
fn a_link_in_the_place_of_the_one_that_was_opened_leads_nothing_elsewhere() {
    let (dir, mut maildir) = maildir(10);
    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["a", "b"] {
        fs::write(elsewhere.path().join(file), "precious").unwrap();
        write(&dir, &format!("new/{file}"), "bad");
    }
    let opened = request(&maildir, "a");
    let taken = maildir.take_aside(&name("a"), opened.identity);
    fs::rename(maildir.removing(""), dir.path().join("moved")).unwrap();
    symlink(elsewhere.path(), dir.path().join(".removing")).unwrap();
    let departure = maildir.remove(&name("a"), &opened, taken, false);
    assert!(matches!(departure, Removal::Done), "{departure:?}");
    assert_eq!(text(&dir, "moved/a"), None, "it was the file that is gone");
    let departure = maildir.fail(&name("b"), &HeldFile::Closed(None), "x", || false);
    assert!(matches!(departure, Removal::Done), "{departure:?}");
    assert_eq!(text(&dir, "failed/b").as_deref(), Some("bad"));
    for file in ["a", "b"] {
        let kept = fs::read_to_string(elsewhere.path().join(file));
        assert_eq!(kept.unwrap(), "precious", "{file}");
    }
}

#[test]
fn what_a_crash_left_half_removed_is_a_request_again() {
    let (dir, first) = maildir(10);
    drop(first);
    write(&dir, ".removing/a", "half removed");
    let maildir = Maildir::open(dir.path(), 10).unwrap();
    assert_eq!(text(&dir, "new/a").as_deref(), Some("half removed"));
    assert!(!maildir.removing("a").exists());
}

#[test]
fn only_regular_files_of_a_sensible_size_are_requests() {
    let (dir, maildir) = maildir(10);
    write(&dir, "secret", "x");
    symlink(dir.path().join("secret"), dir.path().join("new/link")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("new/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let large = File::create(dir.path().join("new/large")).unwrap();
    large.set_len(LARGEST_FILE + 1).unwrap();
    write(&dir, "new/limit", &"x".repeat(LARGEST_FILE as usize));
    fs::create_dir(dir.path().join("new/sub")).unwrap();

    assert!(refusal(&maildir, "link").contains("symbolic link"));
    assert!(refusal(&maildir, "fifo").contains("FIFO"));
    assert!(refusal(&maildir, "large").contains("more than 1 MiB"));
    assert_eq!(
        request(&maildir, "limit").read().unwrap().len() as u64,
        LARGEST_FILE
    );
    assert!(matches!(
        maildir.request(&name("sub")),
        Err(OpenError::Directory)
    ));
    assert!(matches!(
        maildir.request(&name("absent")),
        Err(OpenError::Vanished)
    ));
}

#[test]
fn a_failed_request_stands_in_failed_with_its_reason() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "new/a", "bad");
    let opened = request(&maildir, "a");
    let departure = maildir.fail(
        &name("a"),
        &HeldFile::Open(opened),
        "is not JSON:\nreally",
        || false,
    );
    assert!(matches!(departure, Removal::Done));
    assert_eq!(text(&dir, "failed/a").as_deref(), Some("bad"));
    assert_eq!(
        text(&dir, "failed/.a.reason").as_deref(),
        Some("is not JSON: really\n")
    );
}

#[test]
fn failed_keeps_the_last_arrivals_with_their_reasons_and_no_others() {
    let (dir, mut maildir) = maildir(2);
    for text in ["c", "b", "a", "b"] {
        write(&dir, &format!("new/{text}"), "x");
        maildir.fail(&name(text), &HeldFile::Closed(None), text, || false);
    }
    let mut left: Vec<_> = fs::read_dir(dir.path().join("failed"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [".a.reason", ".b.reason", "a", "b"]);
}

#[test]
fn what_stood_in_failed_before_the_start_counts_too() {
    let (dir, first) = maildir(10);
    drop(first);
    for text in ["a", "b", "c"] {
        write(&dir, &format!("failed/{text}"), "x");
        write(&dir, &format!("failed/.{text}.reason"), "x");
    }
    let _maildir = Maildir::open(dir.path(), 1).unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("failed")).unwrap().count(),
        2,
        "one request and its reason"
    );
}

#[test]
fn the_reason_of_a_request_that_was_taken_away_goes_too() {
    let (dir, first) = maildir(10);
    drop(first);
    write(&dir, "failed/.a.reason", "x");
    write(&dir, "failed/.other", "not ours");
    let _maildir = Maildir::open(dir.path(), 10).unwrap();
    assert_eq!(text(&dir, "failed/.a.reason"), None);
    assert!(text(&dir, "failed/.other").is_some());
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let (dir, mut maildir) = maildir(0);
    write(&dir, "new/a", "x");
    assert!(matches!(
        maildir.fail(&name("a"), &HeldFile::Closed(None), "x", || false),
        Removal::Done
    ));
    assert_eq!(fs::read_dir(dir.path().join("failed")).unwrap().count(), 0);
    assert_eq!(text(&dir, "new/a"), None);
}

#[test]
fn a_reason_never_goes_through_a_link_that_somebody_left() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "victim", "precious");
    write(&dir, "new/a", "x");
    symlink(
        dir.path().join("victim"),
        dir.path().join("failed/.a.reason"),
    )
    .unwrap();
    maildir.fail(&name("a"), &HeldFile::Closed(None), "why", || false);
    assert_eq!(text(&dir, "victim").as_deref(), Some("precious"));
    assert_eq!(text(&dir, "failed/.a.reason").as_deref(), Some("why\n"));
}

#[test]
fn a_name_without_room_for_a_reason_fails_all_the_same() {
    let (dir, mut maildir) = maildir(10);
    let long = "x".repeat(255);
    write(&dir, &format!("new/{long}"), "x");
    assert!(matches!(
        maildir.fail(&name(&long), &HeldFile::Closed(None), "why", || false),
        Removal::Done
    ));
    assert_eq!(fs::read_dir(dir.path().join("failed")).unwrap().count(), 1);
}

#[test]
fn a_missing_directory_is_reported_and_a_file_in_its_place_too() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    let error = Maildir::open(&absent, 1).unwrap_err();
    assert!(
        format!("{error:#}").contains("create it first"),
        "{error:#}"
    );
    write(&dir, "new", "a file");
    let error = Maildir::open(dir.path(), 1).unwrap_err();
    assert!(
        format!("{error:#}").contains("new is not a directory"),
        "{error:#}"
    );
}

/// Writes the file in place so that neither its size nor its times show it.
fn rewrite(dir: &TempDir, path: &str, text: &str) {
    let path = dir.path().join(path);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, text).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn a_file_that_was_written_again_within_a_tick_of_the_clock_is_never_removed() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "new/a", "old");
    let mut opened = request(&maildir, "a");
    assert_eq!(opened.read().unwrap(), b"old");
    rewrite(&dir, "new/a", "new");
    let before = request(&maildir, "a").identity;
    assert_eq!(opened.identity, before, "it looks the same");
    let departure = remove(&mut maildir, "a", &opened, false);
    assert!(matches!(departure, Removal::Replaced), "{departure:?}");
    let departure = maildir.fail(&name("a"), &HeldFile::Open(opened), "x", || false);
    assert!(matches!(departure, Removal::Replaced), "{departure:?}");
    assert_eq!(text(&dir, "new/a").as_deref(), Some("new"));
}

#[test]
fn a_file_whose_writer_closes_it_again_is_never_removed() {
    let (dir, mut maildir) = maildir(10);
    write(&dir, "new/a", "same");
    let mut opened = request(&maildir, "a");
    opened.read().unwrap();
    let departure = remove(&mut maildir, "a", &opened, true);
    assert!(matches!(departure, Removal::Replaced), "{departure:?}");
    assert_eq!(text(&dir, "new/a").as_deref(), Some("same"));
}
