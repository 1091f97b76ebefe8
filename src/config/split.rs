//! Pure: compound option values, split so that what people write works.

use crate::mqtt::invalid_filter;
use crate::shadow::ShadowId;
use crate::tunnel::invalid_service;

/// Splits `NAME:REST`, where names and topics may contain colons and paths are usually absolute: at
/// the first `:/`, or at the first `:` where there is none.
pub fn name_and_rest(value: &str) -> Option<(&str, &str)> {
    let (name, rest) = match value.find(":/") {
        Some(at) => (&value[..at], &value[at + 1..]),
        None => value.split_once(':')?,
    };
    (!name.is_empty() && !rest.is_empty()).then_some((name, rest))
}

/// Splits `DIR:VALUE` behind the directory, one of `dirs`, which may contain colons itself. Gives
/// the directory's index.
pub fn dir_and_value<'a>(value: &'a str, dirs: &[String]) -> Option<(usize, &'a str)> {
    let mut found: Option<(usize, &str)> = None;
    for (index, dir) in dirs.iter().enumerate() {
        let Some(rest) = value.strip_prefix(dir.as_str()) else {
            continue;
        };
        let Some(rest) = rest.trim_start_matches('/').strip_prefix(':') else {
            continue;
        };
        if found.is_none_or(|(longest, _)| dir.len() > dirs[longest].len()) {
            found = Some((index, rest));
        }
    }
    found
}

/// `THING[/SHADOW]:PATH`.
pub fn shadow_and_path(value: &str) -> Result<(ShadowId, String), String> {
    let (name, path) = name_and_rest(value).ok_or("write THING:PATH or THING/SHADOW:PATH")?;
    let id = name.parse::<ShadowId>();
    // A command may hold what looks like the beginning of a path.
    match (&id, value.split_once(':')) {
        (Err(_), Some((name, rest))) if !rest.is_empty() && name.parse::<ShadowId>().is_ok() => {
            Ok((name.parse()?, rest.to_owned()))
        }
        _ => Ok((id?, path.to_owned())),
    }
}

/// `TOPIC:PATH`, where the topic is a filter.
pub fn filter_and_path(value: &str) -> Result<(String, String), String> {
    let (filter, path) = name_and_rest(value).ok_or("write TOPIC:PATH")?;
    match invalid_filter(filter) {
        Some(why) => Err(format!("topic filter '{filter}' {why}")),
        None => Ok((filter.to_owned(), path.to_owned())),
    }
}

/// `THING:SVC=PORT,SVC=PORT`.
pub fn tunnel_mapping(value: &str) -> Result<(ShadowId, Vec<(String, u16)>), String> {
    const FORM: &str = "write THING:SERVICE=PORT,SERVICE=PORT";
    let (thing, list) = value
        .rsplit_once(':')
        .filter(|(_, list)| list.contains('='))
        .ok_or(FORM)?;
    let services = list.split(',').map(|item| {
        let (service, port) = item
            .split_once('=')
            .filter(|(service, _)| !service.is_empty())
            .ok_or(FORM)?;
        if let Some(why) = invalid_service(service) {
            return Err(format!("service '{service}' {why}"));
        }
        match port.parse() {
            Ok(port) if port > 0 => Ok((service.to_owned(), port)),
            _ => Err(format!(
                "port '{port}' of service '{service}' is not a number from 1 to 65535"
            )),
        }
    });
    let id: ShadowId = thing.parse()?;
    if id.shadow.is_some() {
        return Err(format!(
            "a tunnel belongs to a thing, not to a shadow; {FORM}"
        ));
    }
    Ok((id, services.collect::<Result<_, String>>()?))
}

/// `TOPIC:COMMAND`, where the topic is a filter.
pub fn filter_and_command(value: &str) -> Result<(String, String), String> {
    let (filter, command) = name_and_rest(value).ok_or("write TOPIC:COMMAND")?;
    if command.starts_with("//") {
        // `a/b:curl http://host` would silently follow the topic `a/b:curl http`.
        return Err(format!(
            "is split at the first ':/', which makes '{filter}' the topic; write the command with its absolute path"
        ));
    }
    match invalid_filter(filter) {
        Some(why) => Err(format!("topic filter '{filter}' {why}")),
        None => Ok((filter.to_owned(), command.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_colons_are_split_at_the_path() {
        for (value, expect) in [
            ("thing:/etc/svc", Some(("thing", "/etc/svc"))),
            ("a:b:c:/etc/svc:x", Some(("a:b:c", "/etc/svc:x"))),
            ("thing:relative", Some(("thing", "relative"))),
            ("thing", None),
            (":/etc", None),
            ("thing:", None),
        ] {
            assert_eq!(name_and_rest(value), expect, "{value}");
        }
    }

    #[test]
    fn a_value_is_split_behind_the_longest_known_directory() {
        let dirs = ["/a".to_owned(), "/a:b".to_owned(), "/a/sub".to_owned()];
        for (value, expect) in [
            ("/a:5", Some((0, "5"))),
            ("/a/:5", Some((0, "5"))),
            ("/a:b:5", Some((1, "5"))),
            ("/a:c:5", Some((0, "c:5"))),
            ("/a/sub:x/y", Some((2, "x/y"))),
            ("/a:", Some((0, ""))),
            ("/b:5", None),
            ("/a", None),
        ] {
            assert_eq!(dir_and_value(value, &dirs), expect, "{value}");
        }
    }

    #[test]
    fn shadows_are_named_with_what_aws_allows() {
        let (id, path) = shadow_and_path("pump:7/net:/etc/svc").unwrap();
        assert_eq!(
            (id.thing.as_str(), id.shadow.as_deref(), path.as_str()),
            ("pump:7", Some("net"), "/etc/svc")
        );
        let (id, path) = shadow_and_path("thing1/$package:/etc/svc").unwrap();
        assert_eq!(
            (id.to_string().as_str(), path.as_str()),
            ("thing1/$package", "/etc/svc")
        );
        let (id, command) = shadow_and_path("pump:curl http://x").unwrap();
        assert_eq!(
            (id.thing.as_str(), command.as_str()),
            ("pump", "curl http://x")
        );
        for bad in ["pump 7:/etc", "a/b/c:/etc", "/x:/etc", "pump", "$a/b:/etc"] {
            assert!(shadow_and_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tunnels_map_services_to_ports() {
        let (id, services) = tunnel_mapping("a:b:SSH=22,VNC=5900").unwrap();
        assert_eq!((id.thing.as_str(), services.len()), ("a:b", 2));
        for bad in [
            "thing",
            "thing:SSH",
            "thing:SSH=0",
            "thing:=22",
            "thing:SSH=22,",
            "t/s:SSH=22",
            "thing:S H=22",
            "thing:SSH=22=23",
        ] {
            assert!(tunnel_mapping(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_in_a_command_is_not_taken_for_its_path() {
        assert_eq!(
            filter_and_command("a:b/#:/bin/curl -T - http://host").unwrap(),
            ("a:b/#".to_owned(), "/bin/curl -T - http://host".to_owned())
        );
        assert_eq!(
            filter_and_command("a/b:logger -t 'a b'").unwrap(),
            ("a/b".to_owned(), "logger -t 'a b'".to_owned())
        );
        for (bad, part) in [
            ("a/b:curl -T - http://host", "absolute path"),
            ("a/b", "write TOPIC:COMMAND"),
            ("a/b#:/bin/true", "whole level"),
        ] {
            let why = filter_and_command(bad).unwrap_err();
            assert!(why.contains(part), "{bad}: {why}");
        }
    }

    #[test]
    fn subscriptions_need_a_valid_filter() {
        assert_eq!(
            filter_and_path("a:b/+:/run/f").unwrap(),
            ("a:b/+".to_owned(), "/run/f".to_owned())
        );
        assert!(
            filter_and_path("a/#/b:/run/f")
                .unwrap_err()
                .contains("last level")
        );
    }
}
