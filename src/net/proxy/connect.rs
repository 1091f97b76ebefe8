//! CONNECT: how an HTTP proxy is asked for a tunnel. Reads no byte of the tunnel itself.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::DEADLINE;
use super::answer;
use super::url::ProxyLogin;

/// The most that an answer's head may have.
const LARGEST: usize = 8 * 1024;

/// Asks for a tunnel to `target`, a host with its port. On success the next byte of the stream is the
/// first one of the tunnel.
///
/// # Errors
/// What the proxy does or does not, to be put behind its name.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &str,
    login: Option<&ProxyLogin>,
) -> Result<(), String> {
    let request = request(target, login);
    let mut head = Vec::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        read_head(stream, &mut head).await
    };
    match timeout(DEADLINE, asked).await {
        Ok(Ok(())) => answer::read(&head, target, login.is_some()),
        Ok(Err(error)) => Err(format!("fails after CONNECT: {error}")),
        Err(_) if head.is_empty() => Err("does not answer CONNECT within 30 s".into()),
        Err(_) if head.starts_with(answer::HTTP_1) => {
            Err("begins an answer to CONNECT and does not end it within 30 s".into())
        }
        Err(_) => answer::read(&head, target, login.is_some()),
    }
}

fn request(target: &str, login: Option<&ProxyLogin>) -> String {
    let login = login.map(|ProxyLogin { user, password }| {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        format!("Proxy-Authorization: Basic {basic}\r\n")
    });
    let login = login.unwrap_or_default();
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n")
}

/// Byte by byte, because what follows the empty line belongs to the tunnel.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, head: &mut Vec<u8>) -> io::Result<()> {
    while !answer::is_whole(head) && answer::may_go_on(head) {
        if head.len() == LARGEST {
            return Err(io::Error::other("its answer has no end within 8 KiB"));
        }
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.extend_from_slice(&byte);
    }
    Ok(())
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
