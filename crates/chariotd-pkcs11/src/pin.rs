//! The file with the PIN.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{KeyError, Problem};

const LARGEST: u64 = 256;

/// The first line of the file. Nobody else may be able to read it.
pub fn read(path: &Path) -> Result<String, KeyError> {
    let shown = path.display();
    let wrong = |why: String| KeyError::new(Problem::Setting, why);
    let unreadable = |error| wrong(format!("cannot read the PIN from {shown}: {error}"));
    let file = fs::File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(wrong(format!("the PIN file {shown} is not a file")));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o177 != 0 {
        return Err(wrong(format!(
            "the PIN file {shown} can be read or changed by others (mode {mode:o}), make it 600: chmod 600 {shown}"
        )));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(wrong(format!(
            "the PIN file {shown} has more than {LARGEST} bytes, it is to hold the PIN alone"
        )));
    }
    let text =
        String::from_utf8(text).map_err(|_| wrong(format!("the PIN in {shown} is not UTF-8")))?;
    match text.lines().next() {
        Some(pin) if !pin.is_empty() => Ok(pin.to_owned()),
        _ => Err(wrong(format!(
            "the PIN file {shown} is empty, or its first line is"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], mode: u32, expect: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match (read(&path), expect) {
            (Ok(pin), Ok(expect)) => assert_eq!(pin, expect),
            (Err(why), Err(words)) => {
                assert!(why.text.contains(words), "{why}");
                assert!(!why.text.contains("s3cr3t"), "{why}");
            }
            (got, expect) => panic!("{got:?} for {expect:?}"),
        }
    }

    #[test]
    fn the_pin_is_the_first_line_of_a_file_of_our_own() {
        check(b"s3cr3t\n", 0o600, Ok("s3cr3t"));
        check(b"s3cr3t\r\nmore", 0o600, Ok("s3cr3t"));
        check(b" 1 2", 0o600, Ok(" 1 2"));
        check(b"s3cr3t", 0o640, Err("chmod 600 "));
        check(b"s3cr3t", 0o604, Err("(mode 604)"));
        check(b"", 0o600, Err("is empty"));
        check(b"\ns3cr3t", 0o600, Err("is empty"));
        check(b"s3cr3t\xff", 0o600, Err("not UTF-8"));
        check(&[b'x'; 300], 0o600, Err("more than 256 bytes"));
        let missing = read(Path::new("/nonexistent/pin")).unwrap_err();
        assert!(
            missing.text.contains("/nonexistent/pin: No such file"),
            "{missing}"
        );
        assert!(
            read(Path::new("/"))
                .unwrap_err()
                .text
                .contains("is not a file")
        );
    }
}
