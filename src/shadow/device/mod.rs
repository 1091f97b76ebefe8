//! What the device makes of its settings: services, their files and their commands. Does not know the
//! conversation with the cloud.
//!
//! | file | subject |
//! |---|---|
//! | `services`, `service_state`, `service` | all services of one shadow, one at work, and what a definition says |
//! | `outfile`, `outfile_plan`, `known_file` | the outfile, and what becomes of it |
//! | `notify`, `marker` | notify commands, and which of them are owed |
//! | `updates` | update files |
//! | `definitions`, `javascript`, `script`, `validate` | definitions, and their validation |

pub mod definitions;
pub mod effects;
pub mod javascript;
pub mod known_file;
pub mod marker;
pub mod notify;
pub mod outfile;
pub mod outfile_plan;
pub mod script;
pub mod service;
pub mod service_state;
pub mod services;
pub mod updates;
pub mod validate;
