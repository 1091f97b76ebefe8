//! Bytes to packets and back. The only folder that uses the MQTT library, and only its packet types: sessions are the
//! broker's own.

mod decode;
mod encode;
mod properties;

pub(crate) use decode::{DecodeError, Decoder};
pub(crate) use encode::encode;
