//! SOCKS5 (RFC 1928, with user and password by RFC 1929): how such a proxy is asked for a tunnel.
//! Reads no byte of the tunnel itself.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::DEADLINE;
use super::url::ProxyLogin;
use crate::identity::Endpoint;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a tunnel. The proxy looks the name up.
///
/// # Errors
/// What the proxy does or does not, to be put behind its name.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    endpoint: &Endpoint,
    login: Option<&ProxyLogin>,
) -> Result<(), String> {
    let asked = async {
        greet(stream, login).await?;
        ask(stream, endpoint).await
    };
    match timeout(DEADLINE, asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failed::Said(why))) => Err(why),
        Ok(Err(Failed::Stream(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err("closes the connection instead of answering as a SOCKS5 proxy".into())
        }
        Ok(Err(Failed::Stream(error))) => Err(format!("fails: {error}")),
        Err(_) => Err("does not answer as a SOCKS5 proxy within 30 s".into()),
    }
}

enum Failed {
    Said(String),
    Stream(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Stream(error)
    }
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<&ProxyLogin>,
) -> Result<(), Failed> {
    let methods: &[u8] = match login {
        Some(_) => &[NO_LOGIN, PASSWORD],
        None => &[NO_LOGIN],
    };
    let count = length(methods)?;
    send(stream, &[&[VERSION, count], methods].concat()).await?;
    let [version, method] = receive(stream).await?;
    if version != VERSION {
        return Err(other_version(version));
    }
    match (method, login) {
        (NO_LOGIN, _) => Ok(()),
        (PASSWORD, Some(login)) => log_in(stream, login).await,
        (NO_METHOD, Some(_)) => said("takes neither a user with a password nor none"),
        (NO_METHOD | PASSWORD, None) => said(
            "asks for a user and a password: use socks5://USER@HOST:PORT as its address, and --proxy-password-file",
        ),
        (other, _) => said(format!(
            "asks for the method {other}, which was not offered"
        )),
    }
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ProxyLogin { user, password }: &ProxyLogin,
) -> Result<(), Failed> {
    let (user, password) = (user.as_bytes(), password.as_bytes());
    let (before, between) = ([1, length(user)?], [length(password)?]);
    send(stream, &[&before, user, &between, password].concat()).await?;
    match receive(stream).await? {
        [_, 0] => Ok(()),
        [_, _] => {
            said("refuses the user or the password: correct its address, or --proxy-password-file")
        }
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    endpoint: &Endpoint,
) -> Result<(), Failed> {
    let Endpoint { host, port } = endpoint;
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) => {
            request.extend([NAME, length(host.as_bytes())?]);
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    send(stream, &request).await?;
    let [version, reply, _, kind] = receive(stream).await?;
    if version != VERSION {
        return Err(other_version(version));
    }
    if reply != 0 {
        return said(refusal(reply, endpoint));
    }
    // The address that it uses itself, and a port.
    let rest = match kind {
        IPV4 => 4 + 2,
        IPV6 => 16 + 2,
        NAME => usize::from(stream.read_u8().await?) + 2,
        _ => return said(format!("gives an address of the unknown kind {kind}")),
    };
    let mut unused = [0; 255 + 2];
    stream.read_exact(&mut unused[..rest]).await?;
    Ok(())
}

fn refusal(reply: u8, Endpoint { host, port }: &Endpoint) -> String {
    let why = match reply {
        2 => {
            return format!(
                "does not allow a connection to {host} port {port}: have it allowed there, or try port 443"
            );
        }
        1 => "general failure, perhaps an unknown name",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "no answer in time",
        7 => "it does not know the command",
        8 => "it does not know the kind of address",
        _ => "for a reason of its own",
    };
    format!("cannot reach {host} port {port}: {why} (reply {reply})")
}

fn other_version(version: u8) -> Failed {
    Failed::Said(match version {
        b'H' => "is not a SOCKS5 proxy: if it speaks HTTP, use http://".into(),
        version => format!("is not a SOCKS5 proxy: the first byte of its answer is {version}"),
    })
}

fn said<T>(why: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::Said(why.into()))
}

fn length(bytes: &[u8]) -> Result<u8, Failed> {
    u8::try_from(bytes.len()).or_else(|_| said("cannot be asked: a name is longer than 255 bytes"))
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn receive<S: AsyncRead + Unpin, const N: usize>(stream: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map(|_| bytes)
}

#[cfg(test)]
#[path = "socks_tests.rs"]
mod tests;
