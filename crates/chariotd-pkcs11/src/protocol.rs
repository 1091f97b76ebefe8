//! Pure: what a process that cannot load a module and the helper say to each other on a Unix socket.
//! Frames of a length (`u32`, big-endian) and so many bytes, one request and one answer at a time:
//!
//! | request | body |
//! |---|---|
//! | identity | `P`, address, public key of the certificate or nothing |
//! | sign | `S`, scheme (`u16`), address, digest of the message |
//! | make | `G`, kind (`1` EC P-256, `2` EC P-384, `3` RSA 2048), address |
//!
//! | answer | body |
//! |---|---|
//! | identity, make | `P`, public key, schemes (`u16` each) |
//! | sign | `S`, signature |
//! | none of it | `E`, kind of problem (`u8`), text |
//!
//! Address, public key, digest, signature, schemes and text have a length (`u16`) before them. Schemes are
//! numbered by IANA.

use std::io::{self, Read, Write};

use crate::{Identity, KeyError, KeyKind, KeyUri, Problem};

/// A frame is at most so long.
pub const LARGEST: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Identity {
        uri: KeyUri,
        hint: Option<Vec<u8>>,
    },
    Sign {
        uri: KeyUri,
        scheme: u16,
        digest: Vec<u8>,
    },
    Make {
        uri: KeyUri,
        kind: KeyKind,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Identity(Identity),
    Signature(Vec<u8>),
    Error(KeyError),
}

/// Reads one frame. `None`: the other side has ended between two.
///
/// # Errors
/// The stream, a frame that is too long, or one that is cut.
pub fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let first = loop {
        match stream.read(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            first => break first?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[first..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LARGEST {
        let why = format!("a frame of {length} bytes, {LARGEST} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Writes one frame.
///
/// # Errors
/// The stream, or a body that is too long.
pub fn write_frame(stream: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= LARGEST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too long"))?;
    stream.write_all(&[&length.to_be_bytes()[..], body].concat())?;
    stream.flush()
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Request::Identity { uri, hint } => {
                body.push(b'P');
                put(&mut body, uri.to_string().as_bytes());
                put(&mut body, hint.as_deref().unwrap_or_default());
            }
            Request::Sign {
                uri,
                scheme,
                digest,
            } => {
                body.push(b'S');
                body.extend(scheme.to_be_bytes());
                put(&mut body, uri.to_string().as_bytes());
                put(&mut body, digest);
            }
            Request::Make { uri, kind } => {
                body.push(b'G');
                body.push(match kind {
                    KeyKind::EcP256 => 1,
                    KeyKind::EcP384 => 2,
                    KeyKind::Rsa2048 => 3,
                });
                put(&mut body, uri.to_string().as_bytes());
            }
        }
        body
    }

    /// # Errors
    /// What is wrong with it.
    pub fn decode(body: &[u8]) -> Result<Request, String> {
        let mut rest = body;
        let request = match byte(&mut rest)? {
            b'P' => {
                let uri = address(&mut rest)?;
                let hint = Some(take(&mut rest)?).filter(|hint| !hint.is_empty());
                Request::Identity {
                    uri,
                    hint: hint.map(<[u8]>::to_vec),
                }
            }
            b'S' => Request::Sign {
                scheme: number(&mut rest)?,
                uri: address(&mut rest)?,
                digest: take(&mut rest)?.to_vec(),
            },
            b'G' => {
                let kind = match byte(&mut rest)? {
                    1 => KeyKind::EcP256,
                    2 => KeyKind::EcP384,
                    3 => KeyKind::Rsa2048,
                    _ => return Err("an unknown kind of key".to_owned()),
                };
                Request::Make {
                    uri: address(&mut rest)?,
                    kind,
                }
            }
            _ => return Err("an unknown request".to_owned()),
        };
        end(rest).map(|()| request)
    }
}

impl Answer {
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Answer::Identity(identity) => {
                body.push(b'P');
                put(&mut body, &identity.public_key);
                let schemes = identity
                    .schemes
                    .iter()
                    .flat_map(|scheme| scheme.to_be_bytes());
                put(&mut body, &schemes.collect::<Vec<u8>>());
            }
            Answer::Signature(signature) => {
                body.push(b'S');
                put(&mut body, signature);
            }
            Answer::Error(error) => {
                body.extend([b'E', error.problem.number()]);
                put(&mut body, error.text.as_bytes());
            }
        }
        body
    }

    /// # Errors
    /// What is wrong with it.
    pub fn decode(body: &[u8]) -> Result<Answer, String> {
        let mut rest = body;
        let answer = match byte(&mut rest)? {
            b'P' => {
                let public_key = take(&mut rest)?.to_vec();
                let mut schemes = take(&mut rest)?;
                let mut identity = Identity {
                    public_key,
                    schemes: Vec::new(),
                };
                while !schemes.is_empty() {
                    identity.schemes.push(number(&mut schemes)?);
                }
                Answer::Identity(identity)
            }
            b'S' => Answer::Signature(take(&mut rest)?.to_vec()),
            b'E' => {
                let problem = Problem::of_number(byte(&mut rest)?).unwrap_or(Problem::Token);
                let text = String::from_utf8_lossy(take(&mut rest)?).into_owned();
                Answer::Error(KeyError { problem, text })
            }
            _ => return Err("an unknown answer".to_owned()),
        };
        end(rest).map(|()| answer)
    }
}

/// What is longer than a length can say is cut: an error's text, which nobody reads to its end.
fn put(body: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().min(LARGEST / 2);
    body.extend((length as u16).to_be_bytes());
    body.extend_from_slice(&bytes[..length]);
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (first, after) = rest.split_at_checked(length).ok_or("it is cut")?;
    *rest = after;
    Ok(first)
}

fn byte(rest: &mut &[u8]) -> Result<u8, String> {
    split(rest, 1).map(|bytes| bytes[0])
}

fn number(rest: &mut &[u8]) -> Result<u16, String> {
    split(rest, 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = number(rest)?;
    split(rest, usize::from(length))
}

fn address(rest: &mut &[u8]) -> Result<KeyUri, String> {
    let text = std::str::from_utf8(take(rest)?).map_err(|_| "an address that is not UTF-8")?;
    text.parse()
        .map_err(|why| format!("the key's address {why}"))
}

fn end(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err("it is too long".to_owned())
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
