//! Pure: writes out in full what a broker may leave out of DISCONNECT. A reason without properties, and
//! nothing at all, are good MQTT 5, but the client reads them as the beginning of a longer packet, and never
//! tells why the broker ended the connection.

const DISCONNECT: u8 = 0xe0;
/// The longest that a remaining length may be.
const LONGEST_SHIFT: u32 = 21;

/// What has come from the broker so far, as far as it matters for the next byte.
#[derive(Debug, Default)]
pub struct Disconnects {
    place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Start,
    /// Behind the first byte of a DISCONNECT, which is held back.
    Disconnect,
    /// Before the reason of one that has nothing else.
    Reason,
    Length {
        length: usize,
        shift: u32,
    },
    Body(usize),
    /// This is no MQTT: the client says so.
    Lost,
}

impl Disconnects {
    /// Appends to `out` what the client is to be given for these bytes.
    pub fn complete(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((byte, rest)) = bytes.split_first() {
            let whole = match self.place {
                Place::Body(left) => left.min(bytes.len()),
                Place::Lost => bytes.len(),
                Place::Start | Place::Disconnect | Place::Reason | Place::Length { .. } => 0,
            };
            if whole == 0 {
                self.place = self.next(*byte, out);
                bytes = rest;
                continue;
            }
            out.extend_from_slice(&bytes[..whole]);
            bytes = &bytes[whole..];
            if let Place::Body(left) = self.place {
                self.place = body(left - whole);
            }
        }
    }

    fn next(&self, byte: u8, out: &mut Vec<u8>) -> Place {
        match (self.place, byte) {
            (Place::Start, DISCONNECT) => return Place::Disconnect,
            (Place::Disconnect, 0) => out.extend([DISCONNECT, 2, 0, 0]),
            (Place::Disconnect, 1) => {
                out.extend([DISCONNECT, 2]);
                return Place::Reason;
            }
            (Place::Reason, reason) => out.extend([reason, 0]),
            (Place::Disconnect, byte) => {
                out.extend([DISCONNECT, byte]);
                return length(0, 0, byte);
            }
            (place, byte) => {
                out.push(byte);
                return match place {
                    Place::Start => Place::Length {
                        length: 0,
                        shift: 0,
                    },
                    Place::Length {
                        length: so_far,
                        shift,
                    } => length(so_far, shift, byte),
                    place => place,
                };
            }
        }
        Place::Start
    }
}

/// One more byte of a remaining length.
fn length(so_far: usize, shift: u32, byte: u8) -> Place {
    let length = so_far | usize::from(byte & 0x7f) << shift;
    match (byte & 0x80, shift) {
        (0, _) => body(length),
        (_, LONGEST_SHIFT..) => Place::Lost,
        _ => Place::Length {
            length,
            shift: shift + 7,
        },
    }
}

fn body(left: usize) -> Place {
    if left == 0 {
        Place::Start
    } else {
        Place::Body(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same whatever the pieces are in which it comes.
    fn check(bytes: &[u8], expected: &[u8]) {
        for size in [1, 2, 3, 1000] {
            let (mut disconnects, mut out) = (Disconnects::default(), Vec::new());
            for piece in bytes.chunks(size) {
                disconnects.complete(piece, &mut out);
            }
            assert_eq!(out, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_reason_alone_and_nothing_at_all_are_written_out() {
        check(&[0xe0, 1, 0x8b], &[0xe0, 2, 0x8b, 0]);
        check(&[0xe0, 0], &[0xe0, 2, 0, 0]);
        check(&[0xd0, 0, 0xe0, 1, 0x8e], &[0xd0, 0, 0xe0, 2, 0x8e, 0]);
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        let long = [&[0x30, 0xac, 2][..], &[0xe0; 300], &[0xd0, 0]].concat();
        for bytes in [
            &[0xe0, 2, 0x8b, 0][..],
            &[0xe0, 3, 0x8b, 0xe0, 1],
            &[0x40, 2, 0xe0, 1, 0xd0, 0],
            &[0xe0, 0x80, 1],
            &[0x30, 0xff, 0xff, 0xff, 0xff, 1, 0xe0, 1, 0],
            &long,
        ] {
            check(bytes, bytes);
        }
    }
}
