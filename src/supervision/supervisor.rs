//! What the supervisor learns: ready, alive, stopping. To s6 and its kind with a newline on a file
//! descriptor, to systemd with datagrams. Nothing here blocks.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use log::{info, warn};
use tokio::time::sleep;

use crate::process::{SUPERVISION, shell};

/// For the newline.
const LIMIT: Duration = Duration::from_secs(5);
/// A full socket is tried again after this, so often.
const AGAIN: Duration = Duration::from_millis(100);
const TIMES: usize = 100;
/// No watchdog is fed more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// Who started the daemon and wants to know. Nobody, by default.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    fd: Option<u8>,
    systemd: Option<Arc<Systemd>>,
}

#[derive(Debug)]
struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Reads the environment. To be called before anything is opened: from then on nothing else can
    /// have the number of the descriptor.
    ///
    /// # Errors
    /// The descriptor is not open.
    pub fn adopt(fd: Option<u8>) -> Result<Supervisor> {
        if let Some(fd) = fd {
            fs::symlink_metadata(format!("/proc/self/fd/{fd}")).with_context(|| {
                format!("--notify-fd={fd}: the supervisor has not opened this descriptor")
            })?;
        }
        // A supervisor that cannot be notified is no reason not to work.
        let systemd = env::var_os(SUPERVISION[0]).and_then(|socket| {
            Systemd::at(&socket)
                .inspect_err(|error| warn!("NOTIFY_SOCKET cannot be used: {error:#}"))
                .ok()
        });
        let systemd = systemd.map(Arc::new);
        Ok(Supervisor { fd, systemd })
    }

    /// Whether there is anybody to notify.
    pub fn listens(&self) -> bool {
        self.fd.is_some() || self.systemd.is_some()
    }

    /// How often [`Supervisor::alive`] is to be said.
    pub fn watchdog(&self) -> Option<Duration> {
        self.systemd.as_ref()?.watchdog
    }

    /// The connection is ready. To be said once: the descriptor is closed afterwards.
    pub async fn ready(self) {
        if let Some(fd) = self.fd {
            newline(fd).await;
        }
        let Some(systemd) = self.systemd else {
            return;
        };
        for _ in 0..TIMES {
            match systemd.say("READY=1") {
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(AGAIN).await,
                Err(error) => {
                    return warn!("cannot notify systemd that the daemon is ready: {error}");
                }
                Ok(()) => return info!("notified systemd that the daemon is ready"),
            }
        }
        warn!("cannot notify systemd that the daemon is ready: its socket is full");
    }

    /// For the watchdog. One that is lost is followed by another.
    pub fn alive(&self) {
        if let Some(systemd) = &self.systemd {
            let _ = systemd.say("WATCHDOG=1");
        }
    }

    /// The daemon ends on purpose.
    pub fn stopping(&self) {
        if let Some(systemd) = &self.systemd {
            let _ = systemd.say("STOPPING=1");
        }
    }
}

/// A child has inherited the descriptor and may write to it. Opening it again by its name in `/proc`
/// needs rights that a daemon which has given up root's has not, and there is no other safe way from
/// a number to a file.
async fn newline(fd: u8) {
    match shell("notify-fd", &format!("echo >&{fd}"), LIMIT)
        .run()
        .await
    {
        Ok(status) if status.success() => info!("wrote a newline to descriptor {fd}: it is ready"),
        Ok(status) => warn!("cannot write to descriptor {fd}: {status}"),
        Err(error) => warn!("cannot write to descriptor {fd}: {error:#}"),
    }
    let _ = nix::unistd::close(i32::from(fd));
}

impl Systemd {
    fn at(socket: &OsStr) -> Result<Systemd> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(socket),
            _ => return Err(anyhow!("neither a path nor an abstract name")),
        };
        let unbound = UnixDatagram::unbound()?;
        unbound.set_nonblocking(true)?;
        Ok(Systemd {
            socket: unbound,
            address: address?,
            watchdog: watchdog(
                env::var_os(SUPERVISION[1]).as_deref(),
                env::var_os(SUPERVISION[2]).as_deref(),
                process::id(),
            ),
        })
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.socket
            .send_to_addr(text.as_bytes(), &self.address)
            .map(drop)
    }
}

/// Half of what systemd waits, if it is this process that it watches.
fn watchdog(micros: Option<&OsStr>, pid: Option<&OsStr>, own: u32) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    if pid.is_some_and(|pid| number(pid) != Some(own.into())) {
        return None;
    }
    let micros = number(micros?).filter(|micros| *micros > 0)?;
    Some((Duration::from_micros(micros) / 2).max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_fed_twice_as_often_as_it_asks_and_only_by_its_own_process() {
        for (micros, pid, expect) in [
            (Some("20000000"), None, Some(10_000)),
            (Some("20000000"), Some("7"), Some(10_000)),
            (Some("20000000"), Some("8"), None),
            (Some("20000000"), Some("x"), None),
            (Some("1"), None, Some(10)),
            (Some("0"), None, None),
            (Some("-5"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ] {
            let found = watchdog(micros.map(OsStr::new), pid.map(OsStr::new), 7);
            let expect = expect.map(Duration::from_millis);
            assert_eq!(found, expect, "{micros:?} {pid:?}");
        }
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        for (socket, good) in [
            ("/run/systemd/notify", true),
            ("@name", true),
            ("vsock:2:1", false),
            ("", false),
            ("relative", false),
        ] {
            assert_eq!(Systemd::at(OsStr::new(socket)).is_ok(), good, "{socket}");
        }
        let long = "/x".repeat(80);
        assert!(Systemd::at(OsStr::new(&long)).is_err(), "too long a path");
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_an_error() {
        let free = |fd: &u8| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
        let fd = (100..=255).rev().find(free).expect("a free one");
        let error = Supervisor::adopt(Some(fd)).unwrap_err();
        assert!(format!("{error:#}").contains(&format!("--notify-fd={fd}")));
    }
}
