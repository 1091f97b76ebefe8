//! Asks the credential provider of AWS IoT for access keys, with our certificate.

use super::options::ProviderOptions;
use super::refusals;
use crate::aws::{self, AccessKeys};
use crate::clock::wall;
use crate::net::{self, Class, Dialer, Ending, Get, HttpAnswer, Tls};

/// Keys with a session token have some 2 KiB.
const MOST_BODY: usize = 64 * 1024;

/// Why there are no keys.
pub struct NoKeys {
    pub ending: Ending,
    /// The provider has answered something else.
    pub answered: bool,
}

/// Asks once.
pub async fn ask(
    options: &ProviderOptions,
    tls: &Tls,
    dialer: &mut Dialer,
) -> Result<AccessKeys, NoKeys> {
    let failed = |answered| {
        move |ending: Ending| NoKeys {
            ending: of_provider(ending, options),
            answered,
        }
    };
    let answer = fetch(options, tls, dialer).await.map_err(failed(false))?;
    keys(&answer).map_err(failed(true))
}

async fn fetch(
    options: &ProviderOptions,
    tls: &Tls,
    dialer: &mut Dialer,
) -> Result<HttpAnswer, Ending> {
    let host = &options.endpoint.host;
    let stream = dialer.reach(&options.endpoint).await?;
    let stream = net::handshake(tls, host, stream).await?;
    let request = Get {
        host,
        target: &aws::provider_path(&options.role_alias),
        headers: &[("x-amzn-iot-thingname", &options.thing)],
    };
    net::get(stream, &request, MOST_BODY).await
}

fn keys(answer: &HttpAnswer) -> Result<AccessKeys, Ending> {
    let date = answer.header("date");
    if answer.status != 200 {
        return Err(refusals::by_provider(
            answer.status.as_u16(),
            date,
            &answer.body,
            wall(),
        ));
    }
    let keys = aws::provided_credentials(&answer.body).map_err(|why| {
        let why = if answer.cut { "is too large" } else { &why };
        Ending::new(Class::Http, format!("its answer {why}"))
    })?;
    // Keys that were lent a moment ago have not ended, whatever our clock says.
    match keys.expired(wall()) {
        None => Ok(keys),
        Some(_) => Err(refusals::clock_is_wrong(date, wall()).unwrap_or_else(|| {
            let why = "the keys in its answer have expired, is our clock set?";
            Ending::new(Class::TlsClock, why)
        })),
    }
}

/// It is the provider's, and no reason for another certificate with the broker. The stages below speak
/// of the broker, whoever is at the other end.
fn of_provider(ending: Ending, options: &ProviderOptions) -> Ending {
    let why = ending.reason.replace("the broker's", "its");
    let why = why.replace("the broker", "it");
    Ending {
        reason: format!("the credential provider {}: {why}", options.endpoint),
        certificate: false,
        ..ending
    }
}
