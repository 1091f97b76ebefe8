//! Endpoints and the addresses of proxies: what is understood is written so that it is understood again.

#![no_main]

use chariotd::identity::Endpoint;
use chariotd::net::ProxyUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(endpoint) = Endpoint::read(text, 8883) {
        assert!(!endpoint.host.is_empty() && endpoint.port > 0);
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
    if let Ok(proxy) = text.parse::<ProxyUrl>() {
        assert_eq!(proxy.revealed().parse(), Ok(proxy));
    }
});
