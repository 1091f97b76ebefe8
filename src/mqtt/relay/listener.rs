//! The socket that the MQTT client connects to: in the abstract name space, so nothing is left behind
//! on disk. Any process may dial such a name, so only this one is let in.

use std::io;

use tokio::net::{UnixListener, UnixStream};

pub struct RelayListener {
    name: String,
    listener: UnixListener,
}

impl RelayListener {
    /// Under a name that nobody else has.
    pub fn open() -> io::Result<RelayListener> {
        let name = format!(
            "\0chariotd-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let listener = UnixListener::bind(&name)?;
        Ok(RelayListener { name, listener })
    }

    /// What to connect to, with the zero byte in front that stands for the abstract name space.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for a connection from the process `ours`. Strangers are turned away.
    pub async fn accept(self, ours: u32) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred()?.pid();
            if peer.is_some_and(|peer| u32::try_from(peer) == Ok(ours)) {
                return Ok(stream);
            }
        }
    }
}
