//! chariotd: device-side glue for AWS IoT Core. Files in a directory become published messages,
//! without an SDK and without losing one.
//!
//! Where to begin reading: `daemon` puts everything together; `publish::publisher` is the life of a
//! messages directory, `mqtt::session` that of the connection. What they decide is in the pure
//! files `spool::queue` and `mqtt::in_flight`; `docs/INTERNALS.md` describes the whole way of a
//! file.
//!
//! | module | subject |
//! |---|---|
//! | [`cli`], [`config`] | the command line, and what it means |
//! | [`daemon`] | the composition root: tasks, signals, the way out |
//! | [`publish`] | `--messages`: files become messages (a feature) |
//! | [`shadow`] | `--services` and `--updates`: settings become files, updates become reported state (a feature) |
//! | [`provision`] | `--fleetprov`: a certificate of its own for the device (a feature) |
//! | [`command`] | `--commands` (a feature) |
//! | [`inbox`] | `--subscribe-spool`: messages become files (a feature) |
//! | [`subscribe`] | `--subscribe-write` and `--subscribe-exec`: what happens with received messages (a feature) |
//! | [`tunnel`] | `--tunnelmappings`: secure tunnels (a feature) |
//! | [`supervision`] | `--events`, `--on-event`, `--notify-fd`: who learns what becomes of the connection (a feature) |
//! | [`mqtt`] | the connection (an edge) |
//! | [`aws`] | signatures, access keys and authorisers of AWS (an edge)
//! | [`spool`] | action directories (an edge) |
//! | [`certstore`] | certificates on disk (an edge) |
//! | [`process`] | child processes with a deadline (an edge) |
//! | [`mod@format`] | JSON, SHELL and PLAINTEXT (an edge) |
//! | [`clock`], [`exit`], [`mod@file`], [`identity`], [`json`], [`logging`], [`suggest`], [`offload`], [`pem`], [`log_throttle`], [`text`], [`transient`], [`waits`], [`x509`] | the ground |
//!
//! The rule of direction: `main` and `daemon` use everything; features use edges and the ground, and
//! never each other; edges use the ground. Files that begin with "Pure" use no clock, socket, file,
//! task or log. `tests/tidy/` checks it.

pub mod aws;
pub mod certstore;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod daemon;
pub mod date;
pub mod exit;
pub mod file;
pub mod format;
pub mod identity;
pub mod inbox;
pub mod json;
pub mod log_throttle;
pub mod logging;
pub mod mqtt;
pub mod net;
pub mod offload;
pub mod pem;
pub mod process;
pub mod provision;
pub mod publish;
pub mod shadow;
pub mod spool;
pub mod subscribe;
pub mod suggest;
pub mod supervision;
pub mod text;
pub mod transient;
pub mod tunnel;
pub mod waits;
pub mod x509;
