//! The connection to the broker, as the rest of the program sees it. The only folder that names the
//! MQTT crate.
//!
//! [`Mqtt`] is a handle that may be cloned; the task behind it is [`Sessions`]. Nothing is kept
//! across connections: after a lost one every waiter learns [`PublishError::Disconnected`] and
//! sends again from what it still has on disk, and the broker delivers again what was not
//! acknowledged.

mod access;
mod backoff;
mod breaker;
mod connection;
mod dial;
mod events;
mod gate;
mod handle;
mod in_flight;
mod message;
mod options;
mod pool;
mod publish_error;
mod rate_limit;
mod relay;
pub mod request;
mod session;
mod session_request;
mod subscribe;
mod window;
mod wire;

pub use access::{
    Access, AccessOptions, AuthorizerOptions, KeySource, Login, ProviderOptions, Signer,
    SigningOptions, TokenOptions, WITH_AUTHORIZER, WITH_WEBSOCKET, WebSocketIdentity,
    certificate_alpn,
};
pub use breaker::Flow;
pub use events::event::{ConnectionEnd, ConnectionEvent};
pub use events::sender::EventReceiver;
pub use handle::Mqtt;
pub use message::{Message, Properties, Publish, QoS};
pub use options::{Birth, ConnectionOptions, LastWill, Version};
pub use pool::Sessions;
pub use publish_error::{Link, PossibleCause, PublishError, RefusalClass};
pub use rate_limit::Rates;
pub use session::SessionEnd;
pub use subscribe::assignment::{FILTERS_PER_CONNECTION, MOST_CONNECTIONS, share_out};
pub use subscribe::durable::{Delivery, Durable};
pub use subscribe::router::invalid as invalid_filter;
pub use subscribe::state::SubscriptionState;
pub use subscribe::subscriptions::Subscription;
pub use window::{PublishPermit, WINDOW_MESSAGES, WindowPermit};
