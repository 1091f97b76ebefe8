//! Small files with secrets, read anew each time: a token is replaced while the daemon runs.

use std::path::Path;
use std::time::Duration;

use crate::file::{read_secret, without_byte_order_mark};
use crate::net::{Class, Ending};
use crate::offload;

/// For the disk.
const LIMIT: Duration = Duration::from_secs(5);
/// Of all, a file of profiles is the largest. What MQTT carries as one string is shorter than 64 KiB.
const LARGEST: u64 = 60 * 1024;
/// Three of them, with each byte written as three, fit into the user name of CONNECT.
const LONGEST_WORD: usize = 6 * 1024;

/// The text in a file that nobody else may read, without the end of its last line.
///
/// # Errors
/// The option, the file, and what is wrong with it.
pub fn text(option: &str, file: &Path) -> Result<String, String> {
    let named = |why: String| format!("--{option}={}: {why}", file.display());
    let contents =
        read_secret(file, LARGEST).map_err(|error| named(format!("cannot be read: {error}")))?;
    let text = str::from_utf8(without_byte_order_mark(&contents))
        .map_err(|_| named("is no text in UTF-8".to_owned()))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        Err(named("is empty".to_owned()))
    } else {
        Ok(line.to_owned())
    }
}

/// The same for what is put into a header or a query: one line of printable ASCII.
///
/// # Errors
/// As [`text`].
pub fn word(option: &str, file: &Path) -> Result<String, String> {
    let word = text(option, file)?;
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    if word.len() > LONGEST_WORD {
        Err(format!(
            "--{option}={}: is longer than {LONGEST_WORD} bytes",
            file.display()
        ))
    } else if word.chars().all(fits) && word.trim() == word {
        Ok(word)
    } else {
        Err(format!(
            "--{option}={}: is not one line of printable ASCII without white space around it",
            file.display()
        ))
    }
}

/// Does the reading on a thread of its own, with a deadline.
pub async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Ending> {
    match offload::within(LIMIT, work).await {
        Ok(read) => read.map_err(|why| Ending::new(Class::Credentials, why)),
        Err(lost @ offload::Lost::NoThread(_)) => {
            Err(Ending::new(Class::Shortage, lost.to_string()))
        }
        Err(lost) => {
            let why = format!("the disk with the files of secrets: {lost}");
            Err(Ending::new(Class::Credentials, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn check(contents: &[u8], mode: u32, expect: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, contents).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        match (word("authorizer-token-file", &file), expect) {
            (Ok(word), Ok(expect)) => assert_eq!(word, expect),
            (Err(why), Err(words)) => {
                assert!(why.starts_with("--authorizer-token-file=/"), "{why}");
                assert!(why.contains(words) && !why.contains("hush"), "{why}");
            }
            (got, _) => panic!("{contents:?}: {got:?}"),
        }
    }

    #[test]
    fn a_secret_is_one_line_of_a_file_of_its_owner() {
        check(b"hush", 0o600, Ok("hush"));
        check(b"hush\n", 0o400, Ok("hush"));
        check(b"\xef\xbb\xbfhush it\r\n", 0o600, Ok("hush it"));
        check(b"hush\n", 0o640, Err("chmod 600 "));
        check(b"", 0o600, Err("is empty"));
        check(b"\n", 0o600, Err("is empty"));
        check(b"hush\nhush\n", 0o600, Err("is not one line"));
        check(b" hush\n", 0o600, Err("is not one line"));
        check(b"h\xc3\xbcsh\n", 0o600, Err("is not one line"));
        check(b"\xff", 0o600, Err("UTF-8"));
        check(&[b'x'; 6 * 1024], 0o600, Ok(&"x".repeat(6 * 1024)));
        check(&[b'x'; 7 * 1024], 0o600, Err("is longer than 6144 bytes"));
        check(&[b'x'; 65 * 1024], 0o600, Err("larger than"));
    }

    #[test]
    fn a_password_may_be_any_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "grün und\nlang \n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(text("x", &file).unwrap(), "grün und\nlang ");
        let missing = text("x", &dir.path().join("none")).unwrap_err();
        assert!(
            missing.contains("cannot be read: No such file"),
            "{missing}"
        );
    }
}
