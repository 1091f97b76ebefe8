//! What is said to the cloud about one shadow, and what it says. Knows no file and no service.
//!
//! | file | subject |
//! |---|---|
//! | `conversation`, `conversation/hear` | one request at a time, and what each message changes |
//! | `outbox`, `update` | what is still to be sent to the cloud, and how much of it goes into one update |
//! | `desired`, `part` | which desired values were answered, are being cleared, are gone |
//! | `view` | what the cloud is known to hold |
//! | `pace`, `suspects` | how often something is asked, and what fails alone |
//! | `answer`, `lenient`, `topics` | the cloud's messages and topics |

pub mod answer;
pub mod conversation;
pub mod desired;
pub mod lenient;
pub mod outbox;
pub mod pace;
pub mod part;
pub mod suspects;
pub mod topics;
pub mod update;
pub mod view;
