//! A TCP connection to one of the addresses of a name: runs the race.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::failure::{Class, Ending};
use super::names::Names;
use super::race::{Family, Race};
use super::route::Route;
use crate::clock::{now, reached};
use crate::transient;

/// For the answer of the name service.
const LOOK_UP: Duration = Duration::from_secs(20);
/// For each address: five SYN packets.
const CONNECT: Duration = Duration::from_secs(20);

type Attempts = JoinSet<(SocketAddr, io::Result<TcpStream>)>;

/// Looks the name up once, and connects to the first of its addresses that answers.
pub async fn connect(
    route: &Route,
    names: &mut Names,
    host: &str,
    port: u16,
) -> Result<TcpStream, Ending> {
    let mut race = Race::new(host);
    let unused = |race: &mut Race, family| race.learned(family, Ok(Vec::new()), now());
    match host.parse::<IpAddr>() {
        Ok(address) if !route.ip.uses(address) => {
            let text = format!(
                "{address} is not an {} address, which --ip asks for",
                route.ip
            );
            return Err(Ending::new(Class::Tcp, text));
        }
        Ok(address) => {
            race.learned(Family::V6, Ok(vec![SocketAddr::new(address, port)]), now());
            unused(&mut race, Family::V4);
        }
        Err(_) => {
            for family in [Family::V6, Family::V4] {
                if route.ip.has(family) {
                    names.ask(host, port, family).map_err(|error| {
                        let text = format!("no thread can be made to look up {host}: {error}");
                        Ending::new(Class::Shortage, text)
                    })?;
                } else {
                    unused(&mut race, family);
                }
            }
        }
    }
    run(route, race, names, (host, port)).await
}

async fn run(
    route: &Route,
    mut race: Race,
    names: &mut Names,
    (host, port): (&str, u16),
) -> Result<TcpStream, Ending> {
    let look_up_due = now() + LOOK_UP;
    let mut attempts = Attempts::new();
    loop {
        while let Some(address) = race.next(now()) {
            let interface = route.interface.clone();
            attempts.spawn(async move { (address, attempt(interface, address).await) });
        }
        if let Some(ending) = race.lost() {
            return Err(ending);
        }
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended {
                Ok((_, Ok(stream))) => return Ok(stream),
                Ok((address, Err(error))) if transient::is_transient(&error) => {
                    let text = format!("no socket for {address}: {error}");
                    return Err(Ending::new(Class::Shortage, text));
                }
                Ok((address, Err(error))) => race.failed(address, error.to_string(), now()),
                Err(fault) => return Err(Ending::new(Class::Tcp, fault.to_string())),
            },
            (family, answer) = names.answer(host, port), if !race.is_answered() => {
                race.learned(family, answer, now());
            }
            () = reached(Some(look_up_due)), if !race.is_answered() => {
                race.unanswered("no answer within 20 s", now());
            }
            () = reached(race.deadline()) => {}
        }
    }
}

async fn attempt(interface: Option<String>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(interface) = interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("interface '{interface}' cannot be used: {error}"),
                )
            })?;
    }
    let stream = timeout(CONNECT, socket.connect(address))
        .await
        .map_err(|_| io::Error::other("no answer within 20 s"))??;
    // What is to be sent together is written together.
    stream.set_nodelay(true)?;
    Ok(stream)
}
