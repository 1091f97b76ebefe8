use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use super::*;

const RSA: &str = include_str!("test-key-rsa-pkcs8.pem");
/// Made with openssl: RSA of 1024 bits, and the curve P-521.
const RSA_1024: &str = include_str!("test-csr-rsa-1024.pem");
const P521: &str = include_str!("test-csr-p521.pem");

fn request(key: &KeyPair) -> String {
    let parameters = CertificateParams::default();
    let request = parameters.serialize_request(key).unwrap();
    request.pem().unwrap()
}

#[test]
fn a_request_says_which_key_is_to_be_certified() {
    let check = |key: KeyPair| {
        let subject = SubjectKey::of_request(&request(&key)).unwrap();
        assert_eq!(subject.der_bytes(), key.public_key_raw());
        assert_eq!(
            subject.subject_public_key_info(),
            key.subject_public_key_info()
        );
    };
    check(KeyPair::generate().unwrap());
    check(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    check(KeyPair::from_pem(RSA).unwrap());
}

#[test]
fn a_request_that_aws_does_not_sign_is_rejected_with_the_reason() {
    let check = |text: &str, why: &str| {
        assert_eq!(SubjectKey::of_request(text).unwrap_err(), why);
    };
    let text = request(&KeyPair::generate().unwrap());
    check("", "not PEM");
    check(&text[..100], "not PEM");
    check(
        &text.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        "PEM of a CERTIFICATE",
    );
    check(
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "not a PKCS #10 request",
    );
    check(RSA_1024, "an RSA key of 1024 bits");
    check(P521, "an EC key on the curve 1.3.132.0.35");
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    check(&request(&other), "a key that is neither RSA nor EC");
}

#[test]
fn a_request_that_was_changed_is_not_signed() {
    let block = pem::parse(request(&KeyPair::generate().unwrap())).unwrap();
    let mut der = block.contents().to_vec();
    // The last byte of the signature.
    *der.last_mut().unwrap() ^= 1;
    let text = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
    assert_eq!(
        SubjectKey::of_request(&text).unwrap_err(),
        "not signed with the key that it is for"
    );
}
