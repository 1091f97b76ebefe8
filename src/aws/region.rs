//! Pure: the regions of AWS, and which of them an endpoint is in.

/// The domains of AWS that have a region before them.
const DOMAINS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];

/// The region in a name of AWS's own, such as `x-ats.iot.eu-west-1.amazonaws.com`. A custom domain does
/// not tell.
pub fn of_endpoint(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let name = DOMAINS
        .iter()
        .find_map(|domain| host.strip_suffix(domain))?;
    let name = name.strip_suffix(".vpce").unwrap_or(name);
    let region = name.rsplit('.').next().filter(|label| is_region(label))?;
    (region.len() < name.len()).then(|| region.to_owned())
}

/// Whether a text may be the name of a region: small letters, digits, and at least one hyphen.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |part: &str| {
        let part = part.as_bytes();
        !part.is_empty()
            && part
                .iter()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let number = |part: &&str| part.bytes().all(|c| c.is_ascii_digit());
    text.len() <= 32
        && parts.len() >= 3
        && parts.iter().all(|part| letters(part))
        && parts.last().is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_aws_tells_its_region() {
        for (host, expect) in [
            ("x-ats.iot.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("x.iot.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("X.jobs.iot.US-EAST-1.amazonaws.com.", Some("us-east-1")),
            (
                "x.credentials.iot.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            (
                "vpce-1.data.iot.eu-west-1.vpce.amazonaws.com",
                Some("eu-west-1"),
            ),
            ("data.iot.us-east-1.api.aws", Some("us-east-1")),
            ("iot.example.com", None),
            ("amazonaws.com", None),
            ("eu-west-1.amazonaws.com", None),
            ("x.amazonaws.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(of_endpoint(host).as_deref(), expect, "{host}");
        }
    }

    #[test]
    fn a_region_looks_like_one() {
        for text in [
            "eu-west-1",
            "us-gov-east-1",
            "ap-southeast-4",
            "us-iso-east-1",
        ] {
            assert!(is_region(text), "{text}");
        }
        for text in [
            "",
            "eu",
            "euwest1",
            "eu-west",
            "EU-WEST-1",
            "eu-west-1a",
            "eu--1",
            "eu west-1",
        ] {
            assert!(!is_region(text), "{text}");
        }
    }
}
