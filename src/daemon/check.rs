//! `--check`: reads everything that a start would read, changes nothing, connects nowhere.

use std::fmt::Display;

use super::certificates::{candidates, endpoint, none};
use super::{access, first_certificate, route};
use crate::config::Config;
use crate::identity::Endpoint;
use crate::mqtt::{AccessOptions, certificate_alpn};
use crate::net::Roots;
use crate::provision;
use crate::spool::layout;

/// One sentence for each problem.
pub fn check(config: &Config) -> Vec<String> {
    let mut problems = CheckReport::default();
    let endpoint = problems.of(endpoint(config));
    let roots = problems.of(Roots::read(&config.roots));
    if let Some(roots) = &roots {
        problems.0.extend(roots.problems.iter().cloned());
    }
    // Certificates can be checked without the rest.
    let endpoint = endpoint.unwrap_or(Endpoint {
        host: "localhost".into(),
        port: 8883,
    });
    let roots = roots.unwrap_or_else(Roots::none);
    if let Some(access) = &config.access {
        problems.0.extend(access::problems(access, &endpoint));
    }
    let certificate = config.access.as_ref();
    if certificate.is_none_or(AccessOptions::needs_certificate)
        && let Some((candidates, notes)) = problems.of(candidates(config))
    {
        problems.0.extend(notes);
        if candidates.is_empty() && config.fleetprov.is_none() {
            problems.0.push(none(config).to_string());
        }
        for candidate in candidates {
            problems.of(candidate.tls(&roots, certificate_alpn(&endpoint), &config.keyring));
        }
    }
    if let Some(Some(chosen)) = problems.of(route::proxy(config)) {
        problems.0.extend(chosen.problems);
    }
    if let Some(Some(settings)) = problems.of(first_certificate::settings(config)) {
        problems.0.extend(provision::problems(&settings));
    }
    for options in &config.messages {
        problems.0.extend(options.problems());
    }
    for options in &config.shadows {
        problems.0.extend(options.problems());
    }
    let inboxes = config.inboxes.iter();
    problems
        .0
        .extend(inboxes.filter_map(|inbox| inbox.problem()));
    for options in &config.subscriptions {
        problems.0.extend(options.problems());
    }
    for options in &config.tunnels {
        problems.0.extend(options.problems());
    }
    problems.0.extend(config.supervision.problems());
    if let Some(dir) = &config.commands {
        problems.of(layout::check(dir));
    }
    problems.0
}

#[derive(Default)]
struct CheckReport(Vec<String>);

impl CheckReport {
    fn of<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|problem| self.0.push(format!("{problem:#}")))
            .ok()
    }
}
