//! Pure: names that are known only when the program runs: `@/PATH` is what a file holds, and
//! `!COMMAND` what a command prints, in the place of a client id or a thing's name.

use crate::cli::Cli;

/// Where a name comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameSource {
    File(String),
    /// The program and its arguments.
    Command(Vec<String>),
}

impl NameSource {
    /// `None`: the text is the name itself.
    ///
    /// # Errors
    /// What is wrong with a text that begins like a source.
    fn read(text: &str) -> Result<Option<NameSource>, String> {
        if let Some(path) = text.strip_prefix('@') {
            if !path.starts_with('/') {
                return Err("'@' is to be followed by the absolute path of a file".into());
            }
            return Ok(Some(NameSource::File(path.to_owned())));
        }
        let Some(line) = text.strip_prefix('!') else {
            return Ok(None);
        };
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match words.first() {
            Some(program) if program.starts_with('/') => Ok(Some(NameSource::Command(words))),
            _ => Err("'!' is to be followed by a command with an absolute path".into()),
        }
    }
}

/// What a file or a command gave, as a name.
///
/// # Errors
/// Why it is none.
pub fn name(contents: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(contents).map_err(|_| "is no text in UTF-8".to_owned())?;
    // What the kernel tells of the hardware ends with a NUL.
    let name = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if name.is_empty() {
        Err("is empty".into())
    } else if name.contains(char::is_control) {
        Err("is more than one line, or holds a control character".into())
    } else {
        Ok(name.to_owned())
    }
}

/// Replaces each name that comes from elsewhere. `resolve` is asked for each of them, so it may be asked
/// for the same one again.
///
/// # Errors
/// One sentence for each value that has no name, with the option.
pub fn replace(
    cli: &mut Cli,
    mut resolve: impl FnMut(&NameSource) -> Result<String, String>,
) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    for (option, value, end) in places(cli) {
        let resolved = match NameSource::read(&value[..end]) {
            Ok(None) => continue,
            Ok(Some(source)) => resolve(&source),
            Err(why) => Err(why),
        };
        let rest = &value[end..];
        match resolved {
            // Two slashes stood between a path and the name of a shadow.
            Ok(name) if rest.starts_with("//") => *value = format!("{name}{}", &rest[1..]),
            Ok(name) => *value = format!("{name}{rest}"),
            Err(why) => problems.push(format!("--{option}={value}: {why}")),
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// The values that begin with a name, each with its option and where the name ends.
fn places(cli: &mut Cli) -> Vec<(&'static str, &mut String, usize)> {
    let mut places = Vec::new();
    if let Some(id) = &mut cli.clientid {
        let end = id.len();
        places.push(("clientid", id, end));
    }
    if let Some(thing) = &mut cli.provider_thing {
        let end = thing.len();
        places.push(("provider-thing", thing, end));
    }
    for (option, values) in [
        ("services", &mut cli.services),
        ("updates", &mut cli.updates),
        ("defaultshadow", &mut cli.defaultshadow),
    ] {
        places.extend(values.iter_mut().map(|value| {
            let end = thing_end(value);
            (option, value, end)
        }));
    }
    places.extend(cli.tunnelmappings.iter_mut().map(|value| {
        let end = value.rfind(':').unwrap_or(value.len());
        ("tunnelmappings", value, end)
    }));
    places
}

/// Where the source of a thing's name ends in `SOURCE[//SHADOW]:REST`. A path may begin with two slashes.
fn thing_end(value: &str) -> usize {
    let colon = value.find(":/").or_else(|| value.find(':'));
    let end = colon.unwrap_or(value.len());
    match value[..end].rfind("//") {
        Some(slashes) if slashes > 1 => slashes,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn replaced(option: &str) -> Result<Cli, Vec<String>> {
        let mut cli = Cli::try_parse_from(["chariotd", option]).expect("clap takes it");
        replace(&mut cli, |source| match source {
            NameSource::File(path) if path == "/none" => Err("cannot be read".into()),
            NameSource::File(path) => Ok(path.replace('/', "-")),
            NameSource::Command(words) => Ok(words.join("+").replace('/', "-")),
        })?;
        Ok(cli)
    }

    #[test]
    fn a_client_id_and_the_names_of_things_may_come_from_elsewhere() {
        let id = |option| replaced(option).unwrap().clientid.unwrap();
        assert_eq!(id("--clientid=pump"), "pump");
        assert_eq!(id("--clientid=a@b!c"), "a@b!c");
        assert_eq!(id("--clientid=@/etc/id"), "-etc-id");
        assert_eq!(id("--clientid=!/bin/x  -s 1"), "-bin-x+-s+1");
        for (value, expected) in [
            ("pump/config:/dir", "pump/config:/dir"),
            ("@/id:/dir", "-id:/dir"),
            ("@//id:/dir", "--id:/dir"),
            ("@/id//config:/dir", "-id/config:/dir"),
            ("!/bin/x -s//config:/dir", "-bin-x+-s/config:/dir"),
            ("@/id:dir", "-id:dir"),
        ] {
            let cli = replaced(&format!("--services={value}")).unwrap();
            assert_eq!(cli.services, [expected], "{value}");
        }
        let cli = replaced("--provider-thing=@/etc/id").unwrap();
        assert_eq!(cli.provider_thing.as_deref(), Some("-etc-id"));
        let cli = replaced("--tunnelmappings=@/id:ssh=22,web=80").unwrap();
        assert_eq!(cli.tunnelmappings, ["-id:ssh=22,web=80"]);
        let cli = replaced("--defaultshadow=@/id:curl http://localhost/").unwrap();
        assert_eq!(cli.defaultshadow, ["-id:curl http://localhost/"]);
    }

    #[test]
    fn a_source_that_gives_no_name_is_named_with_its_option() {
        for (option, why) in [
            (
                "--clientid=@id",
                "--clientid=@id: '@' is to be followed by the absolute path",
            ),
            (
                "--clientid=!",
                "--clientid=!: '!' is to be followed by a command",
            ),
            (
                "--updates=!x:/dir",
                "--updates=!x:/dir: '!' is to be followed by a command",
            ),
            (
                "--services=@/none:/dir",
                "--services=@/none:/dir: cannot be read",
            ),
        ] {
            let problems = replaced(option).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].starts_with(why),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_name_is_one_line_without_what_is_around_it() {
        assert_eq!(name(b"  pump-7\r\n").as_deref(), Ok("pump-7"));
        assert_eq!(
            name(b"00000000abcdef01\0").as_deref(),
            Ok("00000000abcdef01")
        );
        for (bad, why) in [
            (&b" \n"[..], "empty"),
            (b"a\nb", "one line"),
            (b"\xff", "UTF-8"),
        ] {
            assert!(name(bad).unwrap_err().contains(why));
        }
    }
}
