use super::super::request::read;
use super::*;

fn token(name: &str) -> Token {
    let text =
        format!(r#"{{"clientAccessToken":"{name}","region":"eu-west-1","services":["SSH"]}}"#);
    read(text.as_bytes()).unwrap().token
}

/// A slot with an open tunnel "a".
fn open(now: Instant) -> TunnelState<&'static str> {
    let mut slot = TunnelState::default();
    assert_eq!(slot.asked(token("a"), "a"), None);
    assert_eq!(slot.next(now), Some(ProxyAction::Start("a")));
    slot.started();
    assert_eq!(slot.next(now), None);
    slot
}

#[test]
fn a_new_request_waits_for_the_end_of_the_old_proxy() {
    let now = Instant::now();
    let mut slot = open(now);
    slot.asked(token("b"), "b");
    assert_eq!(slot.next(now), Some(ProxyAction::Terminate));
    assert_eq!(slot.next(now), None, "told once");
    assert!(slot.ended(), "as it was told");
    assert_eq!(slot.next(now), Some(ProxyAction::Start("b")));
}

#[test]
fn a_proxy_that_does_not_end_is_killed_once() {
    let now = Instant::now();
    let mut slot = open(now);
    slot.asked(token("b"), "b");
    slot.next(now);
    let due = slot.deadline().expect("a deadline");
    assert_eq!(due, now + PATIENCE);
    assert_eq!(slot.next(due - Duration::from_millis(1)), None);
    assert_eq!(slot.next(due), Some(ProxyAction::Kill));
    assert_eq!((slot.next(due), slot.deadline()), (None, None));
    slot.ended();
    assert_eq!(slot.next(due), Some(ProxyAction::Start("b")));
}

#[test]
fn of_several_that_wait_the_newest_counts() {
    let now = Instant::now();
    let mut slot = open(now);
    assert_eq!(slot.asked(token("b"), "b"), None);
    assert_eq!(slot.asked(token("c"), "c"), Some("b"));
    assert_eq!(slot.next(now), Some(ProxyAction::Terminate));
    assert_eq!(slot.asked(token("d"), "d"), Some("c"));
    slot.ended();
    assert_eq!(slot.next(now), Some(ProxyAction::Start("d")));
    slot.started();
    assert_eq!(slot.next(now), None, "it is not ended for what came before");
}

#[test]
fn a_token_starts_one_proxy_only_unless_that_could_not_start() {
    let now = Instant::now();
    let mut slot = open(now);
    assert!(slot.knows(&token("a")) && !slot.knows(&token("b")));
    slot.ended();
    assert!(slot.knows(&token("a")), "it is used up");
    slot.asked(token("b"), "b");
    assert!(slot.knows(&token("b")));
    slot.next(now);
    slot.not_started();
    assert!(!slot.knows(&token("b")));
    for n in 0..REMEMBERED {
        slot.asked(token(&n.to_string()), "n");
        slot.next(now);
        slot.started();
        slot.ended();
    }
    assert!(!slot.knows(&token("a")), "memory is bounded");
}

#[test]
fn closing_ends_the_proxy_and_forgets_what_waits() {
    let now = Instant::now();
    let mut slot = open(now);
    assert_eq!(slot.close_asked(), Some(None));
    assert_eq!(slot.next(now), Some(ProxyAction::Terminate));
    slot.asked(token("b"), "b");
    assert_eq!(slot.close_asked(), Some(Some("b")));
    slot.ended();
    assert_eq!(slot.next(now), None);
    assert_eq!(slot.close_asked(), None, "there is none");
}

#[test]
fn a_proxy_that_ends_by_itself_leaves_a_closed_tunnel() {
    let now = Instant::now();
    let mut slot = open(now);
    assert!(!slot.ended(), "nobody told it to");
    assert_eq!((slot.next(now), slot.deadline()), (None, None));
}

/// Whatever happens in whatever order: one proxy at most, each asked to end once and killed once.
#[test]
fn there_is_never_more_than_one_proxy() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..200 {
        let (mut slot, mut now) = (TunnelState::default(), Instant::now());
        let (mut running, mut told, mut killed) = (false, false, false);
        for step in 0..60 {
            match random.u8(0..5) {
                0 | 1 => drop(slot.asked(token(&step.to_string()), step)),
                2 => drop(slot.close_asked()),
                3 if running => {
                    assert_eq!(slot.ended(), told);
                    (running, told, killed) = (false, false, false);
                }
                _ => now += Duration::from_secs(random.u64(0..4)),
            }
            while let Some(action) = slot.next(now) {
                match action {
                    ProxyAction::Start(_) => {
                        assert!(!running);
                        running = random.bool();
                        if running {
                            slot.started();
                        } else {
                            slot.not_started();
                        }
                    }
                    ProxyAction::Terminate => {
                        assert!(running && !told);
                        told = true;
                    }
                    ProxyAction::Kill => {
                        assert!(told && !killed);
                        killed = true;
                    }
                }
            }
        }
    }
}
