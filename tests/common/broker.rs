//! The brokers that the publishing tests run against: the sandbox and a real mosquitto.

use std::time::Duration;

use iotcore_sandbox::Sandbox;

use super::mosquitto::Mosquitto;
use super::{Device, LONG, sandbox};

/// What a subscriber to everything was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Delivery {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

pub enum Broker {
    Sandbox(Sandbox),
    Mosquitto(Mosquitto),
}

impl Broker {
    /// `None` where it is not installed, which is said.
    pub fn start(kind: &str) -> Option<Broker> {
        match kind {
            "sandbox" => Some(Broker::Sandbox(sandbox())),
            "mosquitto" => Mosquitto::start().map(Broker::Mosquitto),
            other => panic!("no broker {other}"),
        }
    }

    pub fn device(&self, version: &str) -> Device {
        let mut device = match self {
            Broker::Sandbox(sandbox) => Device::new(sandbox),
            Broker::Mosquitto(mosquitto) => Device::at(mosquitto.pki(), mosquitto.port()),
        };
        device.option("--mqtt", version);
        device
    }

    /// Waits for so many messages, and returns all that have come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let seen = match self {
            Broker::Sandbox(sandbox) => sandbox
                .wait_for_publishes(count, LONG)
                .into_iter()
                .map(|publish| Delivery {
                    topic: publish.topic,
                    payload: publish.payload.to_vec(),
                })
                .collect::<Vec<_>>(),
            Broker::Mosquitto(mosquitto) => mosquitto.wait_for(count, LONG),
        };
        assert!(
            seen.len() >= count,
            "waited for {count} messages, got {seen:?}"
        );
        seen
    }

    /// The topics of all that the broker itself has received.
    pub fn received_topics(&self) -> Vec<String> {
        match self {
            Broker::Sandbox(sandbox) => sandbox
                .published()
                .into_iter()
                .map(|one| one.topic)
                .collect(),
            Broker::Mosquitto(mosquitto) => mosquitto.received_topics(),
        }
    }

    /// Ends the broker's process or listener and starts it again after a while.
    pub fn restart(&mut self, pause: Duration) {
        match self {
            Broker::Sandbox(sandbox) => {
                sandbox.pause();
                std::thread::sleep(pause);
                sandbox.resume();
            }
            Broker::Mosquitto(mosquitto) => mosquitto.restart(pause),
        }
    }
}

/// Makes one test of each function for each broker and each protocol version. The functions take
/// the broker and the version.
#[macro_export]
macro_rules! on_each_broker {
    ($($name:ident),* $(,)?) => {
        mod on_the_sandbox_with_mqtt_5 {
            $(#[test] fn $name() { super::on("sandbox", "5", super::$name); })*
        }
        mod on_the_sandbox_with_mqtt_3_1_1 {
            $(#[test] fn $name() { super::on("sandbox", "3.1.1", super::$name); })*
        }
        mod on_mosquitto_with_mqtt_5 {
            $(#[test] fn $name() { super::on("mosquitto", "5", super::$name); })*
        }
        mod on_mosquitto_with_mqtt_3_1_1 {
            $(#[test] fn $name() { super::on("mosquitto", "3.1.1", super::$name); })*
        }

        fn on(kind: &str, version: &str, test: fn(&mut common::broker::Broker, &str)) {
            if let Some(mut broker) = common::broker::Broker::start(kind) {
                test(&mut broker, version);
            }
        }
    };
}
