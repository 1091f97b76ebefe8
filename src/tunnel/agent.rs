//! The task of one thing's tunnel: receives what the cloud asks for, and starts and ends the local
//! proxy. Which proxy is to run is decided by [`Slot`].

use std::time::Duration;

use log::{Level, debug, error, info, log, warn};
use nix::sys::signal::Signal;

use super::TunnelOptions;
use super::commands::{CommandReceiver, TunnelCommand, TunnelReply};
use super::proxy::{self, LocalProxy, ProxyExit};
use super::request::{self, TunnelRequest};
use super::state::{ProxyAction, TunnelState};
use crate::clock::{now, reached};
use crate::log_throttle::LogThrottle;
use crate::mqtt::{Message, Mqtt, QoS};

/// Notifications that may wait. Each is dealt with at once.
const MAILBOX: usize = 16;
/// A proxy that ends by itself so soon has hardly served anybody.
const SOON: Duration = Duration::from_secs(5);

/// Owns the tunnel of one thing.
pub struct TunnelAgent {
    options: TunnelOptions,
    mqtt: Mqtt,
    commands: CommandReceiver,
    slot: TunnelState<PendingTunnel>,
    proxy: Option<LocalProxy>,
    malformed: LogThrottle,
}

/// A tunnel to open.
struct PendingTunnel {
    request: TunnelRequest,
    /// `SERVICE=PORT,...`, as the proxy takes them.
    services: String,
    /// Who wants to know what became of it. Nobody, where it was a notification.
    answer: Option<TunnelReply>,
}

impl TunnelAgent {
    pub fn new(options: TunnelOptions, mqtt: Mqtt, commands: CommandReceiver) -> TunnelAgent {
        TunnelAgent {
            options,
            mqtt,
            commands,
            slot: TunnelState::default(),
            proxy: None,
            malformed: LogThrottle::default(),
        }
    }

    /// Opens and closes tunnels until the session ends. A proxy that runs then is left alone, and so
    /// it is when the future is dropped.
    pub async fn run(mut self) {
        let topic = format!("$aws/things/{}/tunnels/notify", self.options.thing);
        let subscribed = self.mqtt.subscribe(&topic, QoS::AtLeastOnce, MAILBOX).await;
        let mut subscription = match subscribed {
            Ok(subscription) => subscription,
            Err(why) => return error!("cannot subscribe to '{topic}': {why}"),
        };
        loop {
            self.act();
            let deadline = self.slot.deadline();
            tokio::select! {
                message = subscription.messages.recv() => match message {
                    Some(message) => self.notified(&message),
                    None => return,
                },
                Some(command) = self.commands.0.recv() => self.told(command),
                ended = proxy::ended(&mut self.proxy) => self.ended(&ended),
                () = reached(deadline) => {}
            }
        }
    }

    fn notified(&mut self, message: &Message) {
        match request::read(&message.payload) {
            Ok(request) => self.asked(request, None),
            Err(why) => self.refuse(None, &why),
        }
    }

    fn told(&mut self, command: TunnelCommand) {
        match command {
            TunnelCommand::Open(request, answer) => self.asked(request, Some(answer)),
            TunnelCommand::Close(answer) => {
                let done = self.close();
                // Its sender waits for the answer, or is leaving.
                let _ = answer.send(done);
            }
        }
    }

    fn asked(&mut self, request: TunnelRequest, answer: Option<TunnelReply>) {
        let thing = &self.options.thing;
        if self.slot.knows(&request.token) {
            debug!("the same tunnel to '{thing}' was asked for again");
            if let Some(answer) = answer {
                let _ = answer.send(Err("this access token was used already".to_owned()));
            }
            return;
        }
        match self.services(&request) {
            Err(why) => self.refuse(answer, &why),
            Ok(services) => {
                let token = request.token.clone();
                let wanted = PendingTunnel {
                    request,
                    services,
                    answer,
                };
                let replaced = self.slot.asked(token, wanted);
                self.forget(replaced, "a newer request replaced it");
            }
        }
    }

    /// The services that are both asked for and mapped.
    fn services(&self, request: &TunnelRequest) -> Result<String, String> {
        let mapped = &self.options.services;
        let asked = |(name, _): &&(String, u16)| request.services.contains(name);
        let served: Vec<String> = mapped
            .iter()
            .filter(asked)
            .map(|(name, port)| format!("{name}={port}"))
            .collect();
        let known = |name: &&String| mapped.iter().any(|(other, _)| other == *name);
        let unknown: Vec<&str> = request
            .services
            .iter()
            .filter(|name| !known(name))
            .map(String::as_str)
            .collect();
        let unknown = unknown.join(", ");
        if served.is_empty() {
            return Err(format!("no port is mapped for {unknown}"));
        }
        if !unknown.is_empty() {
            let thing = &self.options.thing;
            warn!("a tunnel to '{thing}' is opened without {unknown}: no port is mapped");
        }
        Ok(served.join(","))
    }

    fn refuse(&mut self, answer: Option<TunnelReply>, why: &str) {
        if let Some(answer) = answer {
            return drop(answer.send(Err(why.to_owned())));
        }
        let again = self.malformed.again(Level::Warn, why);
        let thing = &self.options.thing;
        log!(
            again.level,
            "ignored a request for a tunnel to '{thing}': {why}"
        );
    }

    fn forget(&mut self, wanted: Option<PendingTunnel>, why: &str) {
        if let Some(PendingTunnel { answer, .. }) = wanted {
            self.refuse(answer, why);
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let thing = &self.options.thing;
        let Some(waiting) = self.slot.close_asked() else {
            return Err(format!("there is no tunnel to '{thing}'"));
        };
        self.forget(waiting, "it was closed before it was open");
        Ok(())
    }

    fn act(&mut self) {
        while let Some(action) = self.slot.next(now()) {
            match action {
                ProxyAction::Start(wanted) => self.start(wanted),
                ProxyAction::Terminate => {
                    info!("closing the tunnel to '{}'", self.options.thing);
                    self.signal(Signal::SIGTERM);
                }
                ProxyAction::Kill => {
                    let thing = &self.options.thing;
                    warn!("the local proxy of '{thing}' does not end and is killed");
                    self.signal(Signal::SIGKILL);
                }
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(proxy) = &self.proxy {
            proxy.signal(signal);
        }
    }

    fn start(&mut self, wanted: PendingTunnel) {
        let PendingTunnel {
            request,
            services,
            answer,
        } = wanted;
        match LocalProxy::start(&self.options, &request, &services) {
            Ok(proxy) => {
                self.slot.started();
                self.malformed.clear();
                self.proxy = Some(proxy);
                let (thing, region) = (&self.options.thing, &request.region);
                info!("opened a tunnel to '{thing}' for {services}, region {region}");
                if let Some(answer) = answer {
                    let _ = answer.send(Ok(()));
                }
            }
            Err(error) => {
                self.slot.not_started();
                let proxy = self.options.proxy.display();
                let why = format!("cannot start {proxy}: {error}");
                error!("no tunnel to '{}': {why}", self.options.thing);
                if let Some(answer) = answer {
                    let _ = answer.send(Err(why));
                }
            }
        }
    }

    fn ended(&mut self, ended: &ProxyExit) {
        let told = self.slot.ended();
        let (status, well) = match &ended.status {
            Ok(status) => (status.to_string(), status.success()),
            Err(error) => (format!("with an unknown status: {error}"), false),
        };
        let early = !told && (!well || ended.after < SOON);
        let level = if early { Level::Warn } else { Level::Info };
        let (thing, after) = (&self.options.thing, ended.after.as_secs_f64());
        log!(
            level,
            "the local proxy of '{thing}' has ended after {after:.1} s: {status}"
        );
    }
}
