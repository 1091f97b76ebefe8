//! Peers that take their time, or say nothing: each has a deadline of the daemon's.

use super::act::{Act, At};
use super::packets::packet;
use super::trial::{Trial, run};

/// All at one time, since the longest takes 20 s.
#[test]
fn a_peer_that_is_too_slow_is_left_at_its_deadline() {
    let nothing = |_| Vec::new();
    let in_20_s = "timeout: the TLS handshake was not finished within 20 s";
    let unanswered = "keep-alive: PINGREQ was not answered";
    let mut trials = Vec::new();
    for version in [4, 5] {
        let silent = Act::new("TCP and no word", At::Accept, nothing);
        let slow = Act::new("TLS handshake, one byte a second", At::Accept, nothing).slowly();
        // A message of 100 bytes, of which one comes each second.
        let long = Act::new("a packet, one byte a second", At::Publish, |_| {
            packet(0x30, &[0; 100])
        });
        trials.extend([
            Trial::new(version, vec![(silent, in_20_s)]),
            Trial::new(version, vec![(slow, in_20_s)]),
            Trial::new(version, vec![(long.slowly(), unanswered)]).option("--keepalive", 5),
        ]);
    }
    run(trials);
}
