//! The first step of a start: which certificate the device connects with, and how.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use super::signals::Signals;
use super::{access, certificates, first_certificate, route};
use crate::config::Config;
use crate::exit::Exit;
use crate::identity::Endpoint;
use crate::mqtt::{Access, ConnectionOptions, Rates, certificate_alpn};
use crate::net::Route;
use crate::provision::Provisioning;

const KEEP_ALIVE: Duration = Duration::from_secs(1200);
/// Below what common proxies and the load balancers before them take for idle: 240 s and more.
const THROUGH_PROXY: Duration = Duration::from_secs(200);

/// Who the device is for the broker.
pub struct Established {
    pub options: ConnectionOptions,
    pub access: Access,
    /// The id in the store of the certificate that the broker is shown, if it comes from there.
    pub certificate: Option<OsString>,
    /// What it takes to renew it, if that is configured.
    pub provisioning: Option<Provisioning>,
    /// When the newest certificate was made that an earlier start had left unfinished.
    pub completed: Option<SystemTime>,
}

/// Finishes what an earlier start has left, and chooses a certificate. Where there is none yet, gets one.
///
/// # Errors
/// Why the daemon ends before it connects: it was asked to stop, it has got its first certificate,
/// or it cannot have one.
pub async fn establish(config: &Config, signals: &mut Signals) -> Result<Established, Exit> {
    let settings = first_certificate::settings(config).map_err(Exit::Config)?;
    let completed = match &settings {
        None => None,
        Some(settings) => tokio::select! {
            completed = first_certificate::complete(config, settings) => completed,
            signal = signals.stop() => return Err(Exit::Stopped(signal)),
        },
    };
    let endpoint = certificates::endpoint(config).map_err(Exit::Config)?;
    let route = route::route(config, &endpoint).map_err(Exit::Config)?;
    let options = connection(config, endpoint, route);
    let roots = certificates::roots(config)?;
    if let Some(wanted) = &config.access {
        let access = access::prepare(config, wanted, &roots, &options.endpoint).await?;
        return Ok(Established {
            options,
            access,
            certificate: None,
            provisioning: None,
            completed: None,
        });
    }
    let alpn = certificate_alpn(&options.endpoint);
    let (tls, certificate) = match certificates::choose(config, &roots, alpn).await {
        Ok(chosen) => chosen,
        Err(none @ Exit::NoCertificate(_)) => {
            let job = settings
                .and_then(|settings| first_certificate::job(config, settings, options, false));
            let Some(job) = job else {
                return Err(none);
            };
            return tokio::select! {
                exit = first_certificate::first(job) => Err(exit),
                signal = signals.stop() => Err(Exit::Stopped(signal)),
            };
        }
        Err(exit) => return Err(exit),
    };
    let provisioning = settings
        .and_then(|settings| first_certificate::job(config, settings, options.clone(), true));
    Ok(Established {
        options,
        access: Access::Certificate(tls),
        certificate,
        provisioning,
        completed,
    })
}

/// What the options say, else what AWS takes, if it is AWS.
fn rates(config: &Config, endpoint: &Endpoint) -> Rates {
    let defaults = if endpoint.is_aws() {
        Rates::AWS
    } else {
        Rates::default()
    };
    Rates {
        messages: config.publish_rate.or(defaults.messages),
        bytes: config.publish_bytes_rate.or(defaults.bytes),
    }
}

/// What the option says, else as long as AWS takes, or as most proxies leave a silent tunnel alone.
fn keep_alive(config: &Config, proxied: bool) -> Duration {
    let usual = if proxied { THROUGH_PROXY } else { KEEP_ALIVE };
    config.keep_alive.unwrap_or(usual)
}

fn connection(config: &Config, endpoint: Endpoint, route: Route) -> ConnectionOptions {
    ConnectionOptions {
        rates: rates(config, &endpoint),
        keep_alive: keep_alive(config, route.proxy_for(&endpoint).is_some()),
        client_id: config.client_id.clone(),
        endpoint,
        route,
        version: config.version,
        session_expiry: Duration::ZERO,
        last_will: config.last_will.clone(),
        birth: config.birth.clone(),
        connections: config.connections,
        attempts: config.attempts,
        clock_floor: first_certificate::clock_floor(config),
    }
}
