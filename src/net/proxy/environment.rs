//! Pure: what the variables of the environment say about proxies, as curl reads them.

use super::exceptions::Exceptions;
use super::url::ProxyUrl;

/// The first that is not empty counts. Never `http_proxy`: it is for other connections, and where
/// programs are started by a web server its upper case comes from whoever asks.
const PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The proxy that the environment names, with the name of its variable.
///
/// # Errors
/// The variable, and what is wrong with it, without its value.
pub fn proxy(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(ProxyUrl, &'static str)>, String> {
    let Some((name, text)) = first(&PROXY, variable) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(url) => Ok(Some((url, name))),
        Err(why) => Err(format!("{name} in the environment: {why}")),
    }
}

pub fn exceptions(variable: impl Fn(&str) -> Option<String>) -> Exceptions {
    let list = first(&EXCEPTIONS, variable);
    list.map_or_else(Exceptions::default, |(_, list)| Exceptions::read(&list))
}

fn first(
    names: &[&'static str],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let mut set = names
        .iter()
        .filter_map(|name| Some((*name, variable(name)?)));
    set.find(|(_, value)| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn lower_case_wins_and_the_proxy_for_https_before_the_one_for_all() {
        let all = [
            ("ALL_PROXY", "http://d:4"),
            ("all_proxy", "http://c:3"),
            ("HTTPS_PROXY", "http://b:2"),
            ("https_proxy", "http://a:1"),
        ];
        for (count, expected) in [
            (1, "ALL_PROXY"),
            (2, "all_proxy"),
            (3, "HTTPS_PROXY"),
            (4, "https_proxy"),
        ] {
            let (url, name) = proxy(within(&all[..count])).unwrap().unwrap();
            assert_eq!((name, usize::from(url.port)), (expected, 5 - count));
        }
        let http = [("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://a:1")];
        assert_eq!(proxy(within(&http)), Ok(None));
    }

    #[test]
    fn an_empty_variable_is_as_none() {
        let (_, name) = proxy(within(&[("https_proxy", " "), ("ALL_PROXY", "a:1")]))
            .unwrap()
            .unwrap();
        assert_eq!(name, "ALL_PROXY");
        let lists = [("no_proxy", ""), ("NO_PROXY", "a")];
        assert!(exceptions(within(&lists)).has(&"a".parse().unwrap()));
        let lists = [("no_proxy", "b"), ("NO_PROXY", "a")];
        assert!(!exceptions(within(&lists)).has(&"a".parse().unwrap()));
    }

    #[test]
    fn a_wrong_value_is_named_by_its_variable_and_not_shown() {
        let why = proxy(within(&[("HTTPS_PROXY", "http://dev:s3cr3t@p")])).unwrap_err();
        assert_eq!(
            why,
            "HTTPS_PROXY in the environment: no port, write http://HOST:PORT"
        );
    }
}
