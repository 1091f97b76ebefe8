//! Pure: why the process ends, and what that means for its exit code, its certificate and its DISCONNECT.

use std::fmt;
use std::path::PathBuf;

/// Why the daemon ends. The first task to end decides; `main` turns it into the exit code.
#[derive(Debug)]
pub enum Exit {
    /// Asked to stop by the named signal.
    Stopped(&'static str),
    /// The command line or something it names cannot work: a person must act.
    Config(anyhow::Error),
    /// The certificate store holds no usable certificate.
    NoCertificate(PathBuf),
    /// The device has a new certificate, which the next start uses.
    Provisioned,
    /// There is still no certificate.
    ProvisioningFailed(anyhow::Error),
    /// The connection was given up after so many failures in a row. `rotate` says whether another
    /// certificate is worth a try.
    LinkLost { failures: u32, rotate: bool },
    /// The window of this message directory was full and nothing was acknowledged for too long.
    Jammed(PathBuf),
    /// The machine is not ready for the start: a full or read-only file system, for instance.
    Unready(anyhow::Error),
    /// An internal fault.
    Broken(anyhow::Error),
}

impl Exit {
    /// The code that the supervisor sees: 0 done, 100 a person must act, 111 try again later.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Stopped(_) | Exit::Provisioned => 0,
            Exit::Config(_) | Exit::NoCertificate(_) => 100,
            Exit::LinkLost { .. }
            | Exit::Jammed(_)
            | Exit::Unready(_)
            | Exit::ProvisioningFailed(_)
            | Exit::Broken(_) => 111,
        }
    }

    /// Whether the next start should use another certificate, if there is one.
    pub fn rotates(&self) -> bool {
        matches!(self, Exit::LinkLost { rotate: true, .. })
    }

    /// Whether a DISCONNECT is sent first. Without it the broker publishes the last will.
    pub fn sends_disconnect(&self) -> bool {
        matches!(self, Exit::Stopped(_) | Exit::Provisioned)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Stopped(signal) => write!(f, "stopped by {signal}"),
            Exit::Provisioned => {
                f.write_str("provisioned, the next start uses the new certificate")
            }
            Exit::ProvisioningFailed(error) => write!(f, "provisioning failed: {error:#}"),
            Exit::Config(error) | Exit::Unready(error) => write!(f, "{error:#}"),
            Exit::NoCertificate(store) => write!(
                f,
                "no usable certificate in {}, put ID/ID-certificate.pem.crt and ID/ID-private.pem.key there",
                store.display()
            ),
            Exit::LinkLost { failures, .. } => {
                write!(f, "connection given up after {failures} failures in a row")
            }
            Exit::Jammed(dir) => write!(
                f,
                "{} is jammed: the window is full and nothing is acknowledged",
                dir.display()
            ),
            Exit::Broken(error) => write!(f, "internal fault: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_link_rotates_the_certificate_and_only_a_stop_sends_disconnect() {
        let table = [
            (Exit::Stopped("SIGTERM"), 0, false, true),
            (Exit::Provisioned, 0, false, true),
            (
                Exit::ProvisioningFailed(anyhow::anyhow!("x")),
                111,
                false,
                false,
            ),
            (Exit::Config(anyhow::anyhow!("x")), 100, false, false),
            (Exit::NoCertificate("/c".into()), 100, false, false),
            (
                Exit::LinkLost {
                    failures: 6,
                    rotate: true,
                },
                111,
                true,
                false,
            ),
            (
                Exit::LinkLost {
                    failures: 6,
                    rotate: false,
                },
                111,
                false,
                false,
            ),
            (Exit::Jammed("/m".into()), 111, false, false),
            (Exit::Unready(anyhow::anyhow!("x")), 111, false, false),
            (Exit::Broken(anyhow::anyhow!("x")), 111, false, false),
        ];
        for (exit, code, rotates, disconnect) in table {
            assert_eq!(
                (exit.code(), exit.rotates(), exit.sends_disconnect()),
                (code, rotates, disconnect),
                "{exit}"
            );
        }
    }
}
