//! Who a client is: known when its connection stands, or decided by an authoriser when its CONNECT arrives.

use std::sync::Arc;
use std::time::Instant;

use super::Broker;
use super::connect::ConnectRefusal;
use crate::access::{
    Arrival, Authorizer, AuthorizerCall, Channel, Proof, Refusal, Shown, Standing, Transport,
    split_username,
};
use crate::packet::Connect;
use crate::record::Event;

impl Broker {
    /// A connection stands, with everything that comes before its CONNECT.
    pub(crate) fn arrived(&mut self, number: u64, arrival: Arrival, now: Instant) {
        if let Standing::Proved { proof, identity } = &arrival.standing {
            self.admit(number, arrival.transport, *proof, Arc::clone(identity));
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.arrival = Some(arrival);
        }
        self.after_packet(number, now);
    }

    fn admit(&mut self, number: u64, transport: Transport, proof: Proof, identity: Arc<str>) {
        let event = Event::Admitted {
            transport,
            proof,
            identity: identity.to_string(),
        };
        self.journal.write(number, event);
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.identity = identity;
        }
    }

    /// Asks the authoriser about a client that has not proved who it is. Returns why the client is refused.
    pub(super) fn authorize(
        &mut self,
        number: u64,
        connect: &Connect,
        now: Instant,
    ) -> Option<ConnectRefusal> {
        let arrival = self.connections.get(&number)?.arrival.as_ref()?;
        let Standing::Undecided(chosen) = &arrival.standing else {
            return None;
        };
        let (transport, chosen) = (arrival.transport, chosen.clone());
        let (call, verdict) = self.ask(chosen, connect);
        self.journal.write(number, Event::Authorizer(call));
        match verdict {
            Ok(authorizer) => {
                self.admit(number, transport, Proof::Authorizer, authorizer.admits_as());
                let lifetime = authorizer.connection_lifetime();
                let expiry = lifetime.map(|lifetime| now + self.real(lifetime));
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.expiry = expiry;
                }
                None
            }
            Err(refusal) => Some(ConnectRefusal {
                v3: Some(5),
                v5: 0x87,
                why: refusal.why.into(),
            }),
        }
    }

    /// Asks this authoriser, or else the one that the CONNECT names.
    fn ask(
        &self,
        chosen: Option<Arc<Authorizer>>,
        connect: &Connect,
    ) -> (AuthorizerCall, Result<Arc<Authorizer>, Refusal>) {
        let username = connect.username.as_deref();
        let (user, parameters) = username.map_or((None, None), |username| {
            let (user, parameters) = split_username(username);
            (Some(user), parameters)
        });
        let malformed = user.is_some() && parameters.is_none();
        let shown = Shown {
            parameters: parameters.unwrap_or_default(),
            ..Shown::default()
        };
        let channel = match chosen {
            Some(_) => Channel::Upgrade,
            None => Channel::Username,
        };
        let named = match chosen {
            Some(authorizer) => Ok(authorizer),
            None if malformed => Err(Refusal::new(
                400,
                "the parameters in the user name are malformed",
            )),
            None => self.access.authorizers.check(&shown).cloned(),
        };
        let verdict = named.and_then(|authorizer| {
            authorizer.check_login(user, connect.password.as_deref())?;
            Ok(authorizer)
        });
        let call = AuthorizerCall {
            authorizer: match &verdict {
                Ok(authorizer) => Some(authorizer.name().to_owned()),
                Err(refusal) => refusal.by.clone(),
            },
            channel,
            username: user.map(str::to_owned),
            parameters: shown.parameters.into_iter().map(|(name, _)| name).collect(),
            password: connect.password.is_some(),
            refused: verdict.as_ref().err().map(|refusal| refusal.why.clone()),
        };
        (call, verdict)
    }

    /// The user name without its parameters, if those are for an authoriser.
    pub(super) fn plain_username(&self, number: u64, connect: &Connect) -> Option<String> {
        let username = connect.username.as_deref()?;
        let connection = self.connections.get(&number)?;
        let arrival = connection.arrival.as_ref();
        let plain = match arrival.map(|arrival| &arrival.standing) {
            Some(Standing::Undecided(_)) => split_username(username).0,
            Some(Standing::Proved { .. }) | None => username,
        };
        Some(plain.to_owned())
    }
}
