//! How the broker learns who we are when it is not by our certificate, made ready to connect with.

use anyhow::anyhow;
use log::{info, warn};

use super::certificates;
use crate::config::Config;
use crate::exit::Exit;
use crate::identity::Endpoint;
use crate::mqtt::{
    Access, AccessOptions, KeySource, Signer, SigningOptions, WITH_AUTHORIZER, WITH_WEBSOCKET,
    WebSocketIdentity,
};
use crate::net::{Roots, Tls};

/// AWS has all of these on one port.
const HTTPS: u16 = 443;

/// Files with secrets are not read yet: they may come later, and are read for each connection.
///
/// # Errors
/// Why there will never be a connection.
pub async fn prepare(
    config: &Config,
    wanted: &AccessOptions,
    roots: &Roots,
    endpoint: &Endpoint,
) -> Result<Access, Exit> {
    if let Some(warning) = wrong_port(endpoint) {
        warn!("{warning}");
    }
    let anonymous = |alpn| Tls::anonymous(roots, &[alpn]).map_err(Exit::Config);
    Ok(match wanted {
        AccessOptions::Authorizer(options) => {
            info!("using {} instead of a certificate", options.described());
            Access::Authorizer(anonymous(WITH_AUTHORIZER)?, options.clone())
        }
        AccessOptions::WebSocketAuthorizer(options) => {
            info!("using a WebSocket and {}", options.described());
            let identity = WebSocketIdentity::Authorizer(options.clone());
            Access::WebSocket(anonymous(WITH_WEBSOCKET)?, identity)
        }
        AccessOptions::WebSocketSigned(signing) => {
            let signer = signer(config, signing, roots, endpoint).await?;
            let identity = WebSocketIdentity::Signature(signer);
            Access::WebSocket(anonymous(WITH_WEBSOCKET)?, identity)
        }
    })
}

async fn signer(
    config: &Config,
    signing: &SigningOptions,
    roots: &Roots,
    endpoint: &Endpoint,
) -> Result<Signer, Exit> {
    let region = region(signing, endpoint).map_err(|why| Exit::Config(anyhow!(why)))?;
    let (place, certificate) = match &signing.keys {
        KeySource::File { file, profile } => (
            format!("the access keys of '{profile}' in {}", file.display()),
            None,
        ),
        KeySource::Environment(keys) => (
            format!("the access keys {} of the environment", keys.id),
            None,
        ),
        KeySource::Provider(provider) => {
            let (tls, _) = certificates::choose(config, roots, &[]).await?;
            let place = format!(
                "access keys of the role alias '{}' from {}",
                provider.role_alias, provider.endpoint
            );
            (place, Some(tls))
        }
    };
    info!("using a WebSocket and {place}, for the region {region}");
    Signer::new(&signing.keys, region, certificate).ok_or_else(|| certificates::none(config))
}

/// What `--check` says about it.
pub fn problems(wanted: &AccessOptions, endpoint: &Endpoint) -> Vec<String> {
    let mut problems: Vec<String> = wrong_port(endpoint).into_iter().collect();
    match wanted {
        AccessOptions::Authorizer(options) | AccessOptions::WebSocketAuthorizer(options) => {
            problems.extend(options.problems());
        }
        AccessOptions::WebSocketSigned(signing) => {
            problems.extend(region(signing, endpoint).err());
            problems.extend(signing.problem());
        }
    }
    problems
}

fn wrong_port(endpoint: &Endpoint) -> Option<String> {
    let wrong = endpoint.is_aws() && endpoint.port != HTTPS;
    wrong.then(|| {
        format!("{endpoint}: AWS takes WebSockets and custom authorisers on port {HTTPS} only, name that port or none")
    })
}

fn region(signing: &SigningOptions, endpoint: &Endpoint) -> Result<String, String> {
    signing.region(&endpoint.host).ok_or_else(|| {
        format!(
            "--region is missing: the name {} does not tell it, and AWS_REGION is not set",
            endpoint.host
        )
    })
}
