use super::*;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

fn fifo() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    (dir, path)
}

/// A reader that has the FIFO open and has not read yet.
fn reader(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .unwrap()
}

#[track_caller]
fn fails(path: &Path, part: &str) {
    let error = format!("{:#}", write(path, b"x", SHORT).unwrap_err());
    assert!(error.contains(part), "{part:?} is not in {error:?}");
    assert!(error.contains(&path.display().to_string()), "{error:?}");
}

#[test]
fn a_fifo_with_a_reader_gets_the_payload_as_it_is() {
    let (_dir, path) = fifo();
    let mut reader = reader(&path);
    write(&path, b"one\0\n", LIMIT).unwrap();
    write(&path, b"", LIMIT).unwrap();
    write(&path, b"two", LIMIT).unwrap();
    let mut seen = Vec::new();
    reader.read_to_end(&mut seen).unwrap();
    assert_eq!(seen, b"one\0\ntwo");
}

#[test]
fn a_fifo_without_a_reader_fails_at_once() {
    let (_dir, path) = fifo();
    let start = Instant::now();
    assert!(write(&path, b"x", LIMIT).is_err());
    assert!(start.elapsed() < LIMIT);
    fails(&path, "no process has the FIFO open");
}

#[test]
fn a_slow_reader_gets_a_large_message_piece_by_piece() {
    let (_dir, path) = fifo();
    let mut reader = reader(&path);
    let payload: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (seen, expect) = (std::sync::mpsc::channel(), payload.clone());
    let slow = std::thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 7000]);
        while all.len() < 300_000 {
            match reader.read(&mut piece) {
                Ok(n) => all.extend_from_slice(&piece[..n]),
                Err(_) => sleep(Duration::from_millis(1)),
            }
        }
        seen.0.send(all).unwrap();
    });
    write(&path, &payload, LIMIT).unwrap();
    assert!(seen.1.recv().unwrap() == expect);
    slow.join().unwrap();
}

#[test]
fn a_reader_that_does_not_read_costs_the_message_and_no_more_than_the_limit() {
    let (_dir, path) = fifo();
    let _reader = reader(&path);
    let error = format!("{:#}", write(&path, &[0; 200_000], SHORT).unwrap_err());
    assert!(error.contains("too slow"), "{error}");
}

#[test]
fn a_reader_that_goes_away_in_the_middle_is_an_error() {
    let (_dir, path) = fifo();
    let reader = reader(&path);
    let (_, error) = std::thread::scope(|scope| {
        let gone = scope.spawn(move || {
            sleep(SHORT);
            drop(reader);
        });
        let error = write(&path, &[0; 200_000], LIMIT).unwrap_err();
        (gone.join(), error)
    });
    assert!(
        format!("{error:#}").contains("of 200000 bytes"),
        "{error:#}"
    );
}

#[test]
fn what_is_missing_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    fails(&dir.path().join("none"), "make it first");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fails(&dir.path().join("no/such"), "make it first");
}

#[test]
fn a_directory_and_a_socket_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    fails(dir.path(), "directory");
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fails(&socket, "No such device");
}

#[test]
fn a_regular_file_is_replaced_as_a_whole_and_a_link_to_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::write(&real, "a long old message").unwrap();
    fs::set_permissions(&real, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    symlink("real", &link).unwrap();
    let mut held = File::open(&real).unwrap();
    write(&link, b"new", LIMIT).unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    let mut old = String::new();
    held.read_to_string(&mut old).unwrap();
    assert_eq!(old, "a long old message", "a reader never sees a mixture");
    write(&real, b"", LIMIT).unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"");
}

#[test]
fn a_device_is_written_to_and_a_full_one_is_an_error() {
    write(Path::new("/dev/null"), b"x", LIMIT).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    fails(Path::new("/dev/full"), "0 of 1 bytes were written");
}
