//! A new device: one that has a claim certificate only, and has subscribed to everything that it may be answered.

use iotcore_sandbox::{CertificateKind, Issued, ProvisioningOperation, Sandbox, Template, Version};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::{ConnectPacket, Device, Seen};

/// The three operations with a template.
pub const OPERATIONS: [ProvisioningOperation; 3] = [
    ProvisioningOperation::Create,
    ProvisioningOperation::CreateFromCsr,
    ProvisioningOperation::Register,
];

pub struct Claimant {
    pub device: Device,
    pub claim: Issued,
    template: String,
}

impl Claimant {
    /// Connected as `new`, for the default template.
    pub fn connect(sandbox: &Sandbox, version: Version) -> Claimant {
        Claimant::connect_for(sandbox, version, "new", "fleet")
    }

    pub fn connect_for(
        sandbox: &Sandbox,
        version: Version,
        client_id: &str,
        template: &str,
    ) -> Claimant {
        let claim = sandbox.pki().issue_claim(CertificateKind::Valid);
        let mut claimant = Claimant {
            device: Device::open_with(sandbox, version, &claim, &[]),
            claim,
            template: template.to_owned(),
        };
        claimant
            .device
            .send_connect(&ConnectPacket::new(version, client_id));
        let connack = Seen::Connack {
            code: 0,
            session_present: false,
        };
        assert_eq!(claimant.device.next(), connack);
        claimant.subscribe();
        claimant
    }

    fn subscribe(&mut self) {
        let topics = OPERATIONS.map(|operation| operation.topic(&self.template));
        let answers: Vec<String> = topics
            .iter()
            .flat_map(|topic| [format!("{topic}/accepted"), format!("{topic}/rejected")])
            .collect();
        let filters: Vec<(&str, u8)> = answers.iter().map(|filter| (filter.as_str(), 1)).collect();
        assert_eq!(self.device.subscribe(&filters), [1; 6]);
    }

    /// Sends a request of QoS 0, which wants no PUBACK.
    pub fn ask(&mut self, operation: ProvisioningOperation, payload: &str) {
        let topic = operation.topic(&self.template);
        self.device.publish(&topic, payload.as_bytes(), 0);
    }

    /// The next answer: what follows the topic of its request, and its payload.
    pub fn hears_raw(&mut self, operation: ProvisioningOperation) -> (String, String) {
        let (topic, payload) = self.device.message();
        let end = topic.strip_prefix(&operation.topic(&self.template));
        (end.expect("an answer to it").to_owned(), payload)
    }

    pub fn is_accepted(&mut self, operation: ProvisioningOperation) -> Value {
        let (end, payload) = self.hears_raw(operation);
        assert_eq!(end, "/accepted", "{payload}");
        serde_json::from_str(&payload).expect("JSON")
    }

    /// The refusal; its shape is AWS's.
    pub fn is_rejected(&mut self, operation: ProvisioningOperation) -> (u64, String) {
        let (end, payload) = self.hears_raw(operation);
        assert_eq!(end, "/rejected", "{payload}");
        let refusal: Value = serde_json::from_str(&payload).expect("JSON");
        let message = refusal["errorMessage"].as_str().expect("a message");
        assert!(!message.is_empty(), "{refusal}");
        let (status, code) = (&refusal["statusCode"], &refusal["errorCode"]);
        let status = status.as_u64().expect("a number");
        (status, code.as_str().expect("a code").to_owned())
    }

    /// Asks for keys and a certificate, and gets them: these, and the token.
    pub fn created(&mut self) -> (Issued, String) {
        self.ask(ProvisioningOperation::Create, "{}");
        let answer = self.is_accepted(ProvisioningOperation::Create);
        (issued(&answer, text(&answer, "privateKey")), token(&answer))
    }

    /// Asks for a certificate for this key, and gets it: with the key, and the token.
    pub fn created_for(&mut self, key: &KeyPair) -> (Issued, String) {
        self.ask(ProvisioningOperation::CreateFromCsr, &csr(key));
        let answer = self.is_accepted(ProvisioningOperation::CreateFromCsr);
        assert_eq!(answer.get("privateKey"), None);
        (issued(&answer, key.serialize_pem()), token(&answer))
    }

    pub fn ask_to_register(&mut self, token: &str, parameters: Value) {
        let request = json!({ "certificateOwnershipToken": token, "parameters": parameters });
        self.ask(ProvisioningOperation::Register, &request.to_string());
    }

    /// Becomes a thing with this serial number; the answer.
    pub fn registered(&mut self, token: &str, serial: &str) -> Value {
        self.ask_to_register(token, json!({ "SerialNumber": serial }));
        self.is_accepted(ProvisioningOperation::Register)
    }

    /// The status with which it is refused to become that thing.
    pub fn not_registered(&mut self, token: &str, serial: &str) -> (u64, String) {
        self.ask_to_register(token, json!({ "SerialNumber": serial }));
        self.is_rejected(ProvisioningOperation::Register)
    }
}

/// The request for a certificate for this key.
pub fn csr(key: &KeyPair) -> String {
    let request = CertificateParams::default().serialize_request(key);
    let text = request.and_then(|request| request.pem());
    json!({ "certificateSigningRequest": text.expect("a signing request") }).to_string()
}

/// What a device sees that connects with this certificate.
pub fn shown(sandbox: &Sandbox, issued: &Issued) -> Seen {
    let mut device = Device::open_with(sandbox, Version::V311, issued, &[]);
    device.send_connect(&ConnectPacket::new(Version::V311, "with-certificate"));
    device.next()
}

/// Whether this certificate may connect.
pub fn connects(sandbox: &Sandbox, issued: &Issued) -> bool {
    matches!(shown(sandbox, issued), Seen::Connack { code: 0, .. })
}

/// A template with the default thing name.
pub fn template(name: &str) -> Template {
    Template::new(name).parameter("SerialNumber")
}

fn issued(answer: &Value, private_key_pem: String) -> Issued {
    Issued {
        id: text(answer, "certificateId"),
        certificate_pem: text(answer, "certificatePem"),
        private_key_pem,
    }
}

fn token(answer: &Value) -> String {
    text(answer, "certificateOwnershipToken")
}

fn text(answer: &Value, member: &str) -> String {
    let text = answer[member].as_str();
    text.unwrap_or_else(|| panic!("no {member} in {answer}"))
        .to_owned()
}
