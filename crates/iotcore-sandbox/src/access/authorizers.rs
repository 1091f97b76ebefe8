//! Pure: all authorisers of an account, and which of them decides about what a client shows.

use std::sync::Arc;

use super::authorizer::SIGNATURE;
use super::query::{Pairs, find, parse};
use super::{Authorizer, Refusal};

const NAME: &str = "x-amz-customauthorizer-name";

/// What a client shows to an authoriser.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub parameters: Pairs,
    /// The names of headers are compared without case.
    pub headers: Pairs,
}

impl Shown {
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let header = || {
            let mut headers = self.headers.iter();
            let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        find(&self.parameters, name).or_else(header)
    }
}

/// The user name of a CONNECT in its two parts: what is before a question mark, and the parameters after it, which are
/// `None` if they are malformed.
pub(crate) fn split_username(username: &str) -> (&str, Option<Pairs>) {
    match username.split_once('?') {
        Some((user, parameters)) => (user, parse(parameters)),
        None => (username, Some(Pairs::new())),
    }
}

/// All authorisers of the account.
pub(crate) struct Authorizers(Vec<Arc<Authorizer>>);

impl Authorizers {
    pub(crate) fn new(all: Vec<Authorizer>) -> Authorizers {
        Authorizers(all.into_iter().map(Arc::new).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything that is shown is meant for an authoriser.
    pub(super) fn concerned(&self, shown: &Shown) -> bool {
        let keys = self.0.iter().map(|one| one.key());
        let mut names = keys.chain([NAME, SIGNATURE]);
        names.any(|name| shown.find(name).is_some())
    }

    /// The authoriser that the client names, or the default one.
    fn named(&self, shown: &Shown) -> Result<&Arc<Authorizer>, Refusal> {
        match shown.find(NAME) {
            Some(name) => self
                .0
                .iter()
                .find(|one| one.name() == name)
                .ok_or_else(|| Refusal::new(403, format!("there is no authoriser {name:?}"))),
            None => self.0.iter().find(|one| one.is_default()).ok_or_else(|| {
                Refusal::new(403, "no authoriser is named, and there is no default one")
            }),
        }
    }

    /// The authoriser, which is satisfied with the token.
    pub(crate) fn check(&self, shown: &Shown) -> Result<&Arc<Authorizer>, Refusal> {
        let authorizer = self.named(shown)?;
        let checked = authorizer.check_token(shown);
        checked.map_err(|refusal| refusal.of(authorizer))?;
        Ok(authorizer)
    }
}

#[cfg(test)]
#[path = "authorizer_tests.rs"]
mod tests;
