//! What is subscribed, on which connection, and how received messages find their reader.
//!
//! | file | subject |
//! |---|---|
//! | `subscriptions` | who wants which topics, and what became of it |
//! | `router` | topic filter and topic (pure) |
//! | `assignment` | how filters are spread over connections (pure) |
//! | `durable`, `receipts` | messages that wait for their reader, and their acknowledgements |

pub mod assignment;
pub mod durable;
pub mod receipts;
pub mod router;
pub mod state;
pub mod subscriptions;
