//! Pure: what the options say about proxies.

use std::path::PathBuf;

use super::url::ProxyUrl;

/// What `--proxy`, `--proxy-password-file` and `--proxy-cacert` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    pub choice: ProxyChoice,
    /// The password of the user in the address.
    pub password_file: Option<PathBuf>,
    /// The CAs that sign the proxy's certificate. `None`: the system's.
    pub authorities: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one that the environment names, if any.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one, whatever the environment says.
    Given(ProxyUrl),
}
