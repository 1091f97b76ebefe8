//! Bytes to packets and back. The only folder that knows the MQTT library, of which it uses nothing but the packet types:
//! what a session is, the broker decides.

mod decode;
mod encode;
mod properties;

pub(crate) use decode::{DecodeError, Decoder};
pub(crate) use encode::encode;
