//! Pure: the formats of configuration and update files.

use std::fmt;
use std::str::FromStr;

/// How a configuration is written and an update is read (manual, FORMATS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Plaintext,
    Shell,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "JSON" => Ok(Format::Json),
            "PLAINTEXT" => Ok(Format::Plaintext),
            "SHELL" => Ok(Format::Shell),
            _ => Err(format!(
                "unknown format '{text}', use JSON, SHELL or PLAINTEXT"
            )),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "JSON",
            Format::Plaintext => "PLAINTEXT",
            Format::Shell => "SHELL",
        })
    }
}
