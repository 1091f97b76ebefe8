//! Pure: whether an error only says that the machine is short of something just now.

use std::io;

use nix::errno::Errno;

/// Descriptors, memory or an interrupted call: the same thing may work a little later.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR)
    )
}

/// The same, of any cause in the chain.
pub fn chain_is_transient(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(is_transient)
}

/// A file system that is full, read-only or broken, in the chain: a person may repair it, or a
/// reboot.
pub fn chain_is_disk_error(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| {
        matches!(
            cause.raw_os_error().map(Errno::from_raw),
            Some(Errno::EROFS | Errno::ENOSPC | Errno::EDQUOT | Errno::EIO)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_shortage_is_found_behind_its_context() {
        let behind = |errno: Errno| {
            Err::<(), _>(io::Error::from(errno))
                .context("cannot start x")
                .unwrap_err()
        };
        assert!(
            chain_is_transient(&behind(Errno::EMFILE))
                && !chain_is_disk_error(&behind(Errno::EMFILE))
        );
        assert!(
            chain_is_disk_error(&behind(Errno::EROFS))
                && !chain_is_transient(&behind(Errno::EROFS))
        );
        assert!(
            !chain_is_transient(&behind(Errno::ENOENT))
                && !chain_is_disk_error(&behind(Errno::ENOENT))
        );
    }
}
