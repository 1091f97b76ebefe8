//! Pure: whether an error only says that the machine is short of something just now.

use std::io;

use nix::errno::Errno;

/// Descriptors, memory or an interrupted call: the same thing may work a little later.
pub fn passes(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR)
    )
}

/// The same, of any cause in the chain.
pub fn is_in(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(passes)
}

/// A file system that is full, read-only or broken, in the chain: a person may mend it, or a reboot.
pub fn is_of_disk(error: &anyhow::Error) -> bool {
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
        assert!(is_in(&behind(Errno::EMFILE)) && !is_of_disk(&behind(Errno::EMFILE)));
        assert!(is_of_disk(&behind(Errno::EROFS)) && !is_in(&behind(Errno::EROFS)));
        assert!(!is_in(&behind(Errno::ENOENT)) && !is_of_disk(&behind(Errno::ENOENT)));
    }
}
