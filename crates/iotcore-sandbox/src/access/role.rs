//! Pure: the credential provider: which certificates get temporary access keys for a role alias, and what goes wrong.

use std::time::Duration;

use super::Refusal;
use crate::http::Request;

/// A role alias, for which the credential provider gives temporary access keys to clients with a certificate. The identity
/// of a client with such a key is the name of the alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAlias {
    pub(super) name: String,
    pub(super) lifetime: Duration,
    thing: Option<String>,
}

impl RoleAlias {
    pub fn new(name: &str) -> RoleAlias {
        RoleAlias {
            name: name.to_owned(),
            lifetime: Duration::from_secs(3600),
            thing: None,
        }
    }

    /// How long the keys are valid. Default: an hour; AWS has 15 minutes to 12 hours.
    pub fn lifetime(mut self, lifetime: Duration) -> RoleAlias {
        self.lifetime = lifetime;
        self
    }

    /// Requires that the client says that it is this thing, in the header `x-amzn-iot-thingname`. Default: any, or none.
    pub fn thing(mut self, thing: &str) -> RoleAlias {
        self.thing = Some(thing.to_owned());
        self
    }
}

/// `device`, with the default lifetime.
impl Default for RoleAlias {
    fn default() -> RoleAlias {
        RoleAlias::new("device")
    }
}

/// What goes wrong with an answer of the credential provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialTrouble {
    /// It is a refusal with this status.
    Refuse(u16),
    /// It has the status 200 and is not JSON.
    Garble,
    /// It has the status 200, is JSON, and lacks the secret key.
    Incomplete,
    /// It never comes.
    Stall,
    /// The connection is closed in the middle of it.
    CutShort,
}

/// A fault of the credential provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFault {
    pub trouble: CredentialTrouble,
    /// How often it fires; `None` for always.
    pub times: Option<u32>,
}

impl CredentialFault {
    /// Fires each time.
    pub fn always(trouble: CredentialTrouble) -> CredentialFault {
        let times = None;
        CredentialFault { trouble, times }
    }

    /// Fires the next time only.
    pub fn once(trouble: CredentialTrouble) -> CredentialFault {
        let times = Some(1);
        CredentialFault { trouble, times }
    }
}

/// The faults that have not fired yet.
#[derive(Default)]
pub(crate) struct CredentialFaults(Vec<CredentialFault>);

impl CredentialFaults {
    pub(crate) fn add(&mut self, fault: CredentialFault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong now.
    pub(crate) fn next(&mut self) -> Option<CredentialTrouble> {
        self.0.retain(|fault| fault.times != Some(0));
        let fault = self.0.first_mut()?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.trouble)
    }
}

/// The alias in the path of a request: `/role-aliases/ALIAS/credentials`.
pub(crate) fn alias(request: &Request) -> Option<&str> {
    let alias = request.path.strip_prefix("/role-aliases/")?;
    let alias = alias.strip_suffix("/credentials")?;
    (!alias.is_empty() && !alias.contains('/')).then_some(alias)
}

/// The thing that the client says it is.
pub(crate) fn thing(request: &Request) -> Option<&str> {
    request.header("x-amzn-iot-thingname")
}

/// The role alias of which the client gets a key, or why it gets none. `denied`: policy denies its certificate this alias.
pub(crate) fn grant<'a>(
    request: &Request,
    roles: &'a [RoleAlias],
    denied: impl Fn(&str) -> bool,
) -> Result<&'a RoleAlias, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::new(405, "only GET is supported"));
    }
    let alias = alias(request).ok_or_else(|| Refusal::new(404, "no such resource"))?;
    let role = roles.iter().find(|role| role.name == alias);
    let role = role.ok_or_else(|| Refusal::new(404, "Role alias not found"))?;
    if denied(alias) {
        return Err(Refusal::new(403, "Access Denied"));
    }
    if role.thing.is_some() && role.thing.as_deref() != thing(request) {
        return Err(Refusal::new(403, "Invalid thing name passed"));
    }
    Ok(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, thing: Option<&str>) -> Request {
        let header = |thing: &str| ("X-Amzn-Iot-ThingName".to_owned(), thing.to_owned());
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: thing.map(header).into_iter().collect(),
        }
    }

    #[test]
    fn a_role_alias_is_granted_to_whom_it_is_for() {
        let roles = [RoleAlias::new("any"), RoleAlias::new("one").thing("pump")];
        let check = |method, path, thing, expected: Result<&str, u16>| {
            let request = request(method, path, thing);
            let granted = grant(&request, &roles, |alias| {
                thing == Some("bad") && alias == "any"
            });
            let granted = granted.map(|role| role.name.as_str());
            assert_eq!(
                granted.map_err(|refusal| refusal.status),
                expected,
                "{path}"
            );
        };
        check("GET", "/role-aliases/any/credentials", None, Ok("any"));
        check(
            "GET",
            "/role-aliases/any/credentials",
            Some("bad"),
            Err(403),
        );
        check(
            "GET",
            "/role-aliases/one/credentials",
            Some("pump"),
            Ok("one"),
        );
        check(
            "GET",
            "/role-aliases/one/credentials",
            Some("valve"),
            Err(403),
        );
        check("GET", "/role-aliases/one/credentials", None, Err(403));
        check("GET", "/role-aliases/two/credentials", None, Err(404));
        check("POST", "/role-aliases/any/credentials", None, Err(405));
        for path in [
            "/",
            "/role-aliases//credentials",
            "/role-aliases/any",
            "/any/credentials",
        ] {
            check("GET", path, None, Err(404));
        }
    }

    #[test]
    fn a_fault_fires_as_often_as_it_says() {
        let mut faults = CredentialFaults::default();
        faults.add(CredentialFault::once(CredentialTrouble::Garble));
        faults.add(CredentialFault::always(CredentialTrouble::Refuse(500)));
        let fired = [faults.next(), faults.next(), faults.next()].map(Option::unwrap);
        let refused = CredentialTrouble::Refuse(500);
        assert_eq!(fired, [CredentialTrouble::Garble, refused, refused]);
        faults.clear();
        assert_eq!(faults.next(), None);
    }
}
