//! A device: one TLS connection over which a test sends and sees one packet at a time, each wait with a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use iotcore_sandbox::{CertificateKind, Issued, Sandbox, Version};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::SOON;
use super::wire::{self, Seen};

/// The CONNECT of a device.
#[derive(Clone, Debug)]
pub struct ConnectPacket {
    pub version: Version,
    pub client_id: String,
    pub clean: bool,
    pub keep_alive: u16,
    pub session_expiry: Option<u32>,
    pub receive_maximum: Option<u16>,
    /// Topic and QoS; the payload is "gone".
    pub will: Option<(String, u8)>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

impl ConnectPacket {
    pub fn new(version: Version, client_id: &str) -> ConnectPacket {
        ConnectPacket {
            version,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive: 60,
            session_expiry: None,
            receive_maximum: None,
            will: None,
            login: None,
        }
    }

    /// With a session that is kept: for an hour, over MQTT 5.
    pub fn persistent(version: Version, client_id: &str) -> ConnectPacket {
        ConnectPacket {
            clean: false,
            session_expiry: Some(3600),
            ..ConnectPacket::new(version, client_id)
        }
    }

    pub fn with_login(mut self, username: &str, password: &str) -> ConnectPacket {
        self.login = Some((username.to_owned(), password.to_owned()));
        self
    }

    pub fn with_will(mut self, topic: &str, qos: u8) -> ConnectPacket {
        self.will = Some((topic.to_owned(), qos));
        self
    }
}

/// What carries the bytes.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

pub struct Device {
    pub version: Version,
    stream: Box<dyn Wire>,
    input: BytesMut,
    last_id: u16,
    /// What ended the TLS handshake.
    refused: Option<String>,
    /// The last frame, for those who want to know more than `Seen` tells.
    pub frame: BytesMut,
}

impl Device {
    /// Connected with a clean session.
    pub fn connect(sandbox: &Sandbox, version: Version, client_id: &str) -> Device {
        let (device, connack) =
            Device::connect_with(sandbox, &ConnectPacket::new(version, client_id));
        assert_eq!(
            connack,
            Seen::Connack {
                code: 0,
                session_present: false
            }
        );
        device
    }

    /// Sends the CONNECT; what came back.
    pub fn connect_with(sandbox: &Sandbox, packet: &ConnectPacket) -> (Device, Seen) {
        let mut device = Device::open(sandbox, packet.version);
        device.send_connect(packet);
        let seen = device.next();
        (device, seen)
    }

    /// Connected with TLS and a new certificate, before the CONNECT.
    pub fn open(sandbox: &Sandbox, version: Version) -> Device {
        Device::open_with(
            sandbox,
            version,
            &sandbox.pki().issue(CertificateKind::Valid),
            &[],
        )
    }

    pub fn open_with(
        sandbox: &Sandbox,
        version: Version,
        issued: &Issued,
        alpn: &[&str],
    ) -> Device {
        let mut config = config(sandbox, issued);
        config.alpn_protocols = alpn.iter().map(|value| value.as_bytes().to_vec()).collect();
        Device::open_at(sandbox.port(), version, config)
    }

    /// For a sandbox in another process.
    pub fn open_at(port: u16, version: Version, config: ClientConfig) -> Device {
        Device::over(version, tls(port, config))
    }

    /// Over something that stands already.
    pub fn over(version: Version, wire: impl Wire + 'static) -> Device {
        let (input, frame, refused) = Default::default();
        Device {
            version,
            stream: Box::new(wire),
            input,
            last_id: 0,
            frame,
            refused,
        }
    }

    pub fn send_connect(&mut self, packet: &ConnectPacket) {
        self.send_raw(&connect(packet));
    }

    /// Sends these bytes. That the broker has closed already is seen later.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let sent = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
        let refused = sent
            .err()
            .filter(|error| error.kind() == ErrorKind::InvalidData);
        self.refused = refused.map(|error| error.to_string());
    }

    /// Sends a PUBLISH; its packet id.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> u16 {
        self.publish_flagged(topic, payload, qos, false)
    }

    /// Sends a PUBLISH to be retained; its packet id.
    pub fn publish_retained(&mut self, topic: &str, payload: &[u8], qos: u8) -> u16 {
        self.publish_flagged(topic, payload, qos, true)
    }

    fn publish_flagged(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> u16 {
        let (id, mut bytes) = (if qos == 0 { 0 } else { self.id() }, BytesMut::new());
        match self.version {
            Version::V311 => {
                let mut publish = v4::Publish::new(topic, qos4(qos), payload);
                (publish.pkid, publish.retain) = (id, retain);
                publish.write(&mut bytes).expect("a PUBLISH");
            }
            Version::V5 => {
                let mut publish = v5::Publish::new(topic, qos5(qos), payload.to_vec(), None);
                (publish.pkid, publish.retain) = (id, retain);
                publish.write(&mut bytes).expect("a PUBLISH");
            }
        }
        self.send_raw(&bytes);
        id
    }

    /// Sends a PUBLISH of MQTT 5 with properties; its packet id.
    pub fn publish_with(&mut self, topic: &str, qos: u8, properties: v5::PublishProperties) -> u16 {
        let (id, mut bytes) = (if qos == 0 { 0 } else { self.id() }, BytesMut::new());
        let mut publish = v5::Publish::new(topic, qos5(qos), Bytes::new(), Some(properties));
        publish.pkid = id;
        publish.write(&mut bytes).expect("a PUBLISH");
        self.send_raw(&bytes);
        id
    }

    /// Sends a SUBSCRIBE.
    pub fn ask_for(&mut self, filters: &[(&str, u8)]) {
        let mut bytes = BytesMut::new();
        match self.version {
            Version::V311 => {
                let filter = |(path, qos): &(&str, u8)| {
                    v4::SubscribeFilter::new((*path).to_owned(), qos4(*qos))
                };
                let subscribe = v4::Subscribe {
                    pkid: self.id(),
                    filters: filters.iter().map(filter).collect(),
                };
                subscribe.write(&mut bytes).expect("a SUBSCRIBE");
            }
            Version::V5 => {
                let filter = |(path, qos): &(&str, u8)| v5::Filter::new(*path, qos5(*qos));
                let mut subscribe = v5::Subscribe::new_many(filters.iter().map(filter), None);
                subscribe.pkid = self.id();
                subscribe.write(&mut bytes).expect("a SUBSCRIBE");
            }
        }
        self.send_raw(&bytes);
    }

    /// Subscribes, and sees the codes of the SUBACK.
    pub fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.ask_for(filters);
        match self.next() {
            Seen::Suback { codes } => codes,
            other => panic!("{other:?} instead of a SUBACK"),
        }
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        let (id, mut bytes) = (self.id(), BytesMut::new());
        match self.version {
            Version::V311 => {
                let unsubscribe = v4::Unsubscribe {
                    pkid: id,
                    topics: vec![filter.to_owned()],
                };
                unsubscribe.write(&mut bytes).expect("an UNSUBSCRIBE");
            }
            Version::V5 => {
                // The other codec counts these bytes wrongly.
                bytes.extend([
                    0xa2,
                    5 + filter.len() as u8,
                    (id >> 8) as u8,
                    id as u8,
                    0,
                    0,
                    filter.len() as u8,
                ]);
                bytes.extend(filter.as_bytes());
            }
        }
        self.send_raw(&bytes);
        assert_eq!(self.next(), Seen::Unsuback);
    }

    pub fn acknowledge(&mut self, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.send_raw(&[0x40, 0x02, high, low]);
    }

    pub fn ping(&mut self) {
        self.send_raw(&[0xc0, 0x00]);
    }

    pub fn send_disconnect(&mut self) {
        self.send_raw(&[0xe0, 0x00]);
    }

    /// Nothing is on its way: the answer to a PINGREQ is the next thing that comes.
    pub fn sees_nothing(&mut self) {
        self.ping();
        assert_eq!(self.next(), Seen::PingResponse);
    }

    /// The connection ends; only MQTT 5 is told why.
    pub fn sees_end(&mut self, reason: u8) {
        if self.version == Version::V5 {
            assert_eq!(self.next(), Seen::Disconnect(reason));
        }
        assert_eq!(self.next(), Seen::Closed);
    }

    /// The next message, which is acknowledged if it wants to be: topic and payload.
    pub fn message(&mut self) -> (String, String) {
        match self.next() {
            Seen::Publish {
                topic,
                payload,
                qos,
                packet_id,
                ..
            } => {
                if qos > 0 {
                    self.acknowledge(packet_id);
                }
                (topic, payload)
            }
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// What comes next.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn next(&mut self) -> Seen {
        loop {
            if let Some(frame) = wire::frame(&mut self.input) {
                self.frame = frame;
                assert!(
                    wire::conforms(self.version, &self.frame),
                    "not MQTT: {:02x?}",
                    &self.frame[..]
                );
                return wire::seen(self.version, &self.frame);
            }
            if let Some(alert) = self.refused.take() {
                return Seen::Alert(alert);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Seen::Closed,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) => return end(error),
            }
        }
    }

    fn id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }
}

fn end(error: std::io::Error) -> Seen {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => panic!("nothing came"),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Seen::Reset,
        ErrorKind::UnexpectedEof => Seen::Closed,
        _ => Seen::Alert(error.to_string()),
    }
}

/// A TLS connection to this port, before the handshake.
pub fn tls(port: u16, config: ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    socket.set_nodelay(true).expect("no delay");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a TLS configuration");
    StreamOwned::new(tls, socket)
}

/// TLS of a client without a certificate, with these ALPN values.
pub fn anonymous(sandbox: &Sandbox, alpn: &[&str]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .expect("versions")
        .with_root_certificates(roots(sandbox))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|value| value.as_bytes().to_vec()).collect();
    config
}

fn roots(sandbox: &Sandbox) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(sandbox.pki().ca_file()).expect("a CA"))
        .expect("a CA");
    roots
}

/// TLS as a device does it.
pub fn config(sandbox: &Sandbox, issued: &Issued) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let chain = vec![
        CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).expect("a certificate"),
    ];
    let key = PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes()).expect("a key");
    let config = versions
        .expect("versions")
        .with_root_certificates(roots(sandbox))
        .with_client_auth_cert(chain, key);
    config.expect("certificate and key fit")
}

fn connect(packet: &ConnectPacket) -> BytesMut {
    let mut bytes = BytesMut::new();
    match packet.version {
        Version::V311 => {
            let mut connect = v4::Connect::new(packet.client_id.clone());
            (connect.keep_alive, connect.clean_session) = (packet.keep_alive, packet.clean);
            let will = packet.will.as_ref();
            connect.last_will = will
                .map(|(topic, qos)| v4::LastWill::new(topic.as_str(), "gone", qos4(*qos), false));
            let login = packet.login.as_ref();
            connect.login = login.map(|(name, password)| v4::Login::new(name, password));
            connect.write(&mut bytes).expect("a CONNECT");
        }
        Version::V5 => {
            let mut properties = v5::ConnectProperties::new();
            properties.session_expiry_interval = packet.session_expiry;
            properties.receive_maximum = packet.receive_maximum;
            let connect = v5::Connect {
                keep_alive: packet.keep_alive,
                client_id: packet.client_id.clone(),
                clean_start: packet.clean,
                properties: Some(properties),
            };
            let will = packet.will.as_ref();
            let will = will.map(|(topic, qos)| {
                v5::LastWill::new(topic.as_str(), "gone", qos5(*qos), false, None)
            });
            let login = packet.login.as_ref();
            let login = login.map(|(name, password)| v5::Login::new(name, password));
            connect.write(&will, &login, &mut bytes).expect("a CONNECT");
        }
    }
    bytes
}

fn qos4(level: u8) -> rumqttc::QoS {
    rumqttc::qos(level).expect("a QoS")
}

fn qos5(level: u8) -> QoS5 {
    rumqttc::v5::mqttbytes::qos(level).expect("a QoS")
}
