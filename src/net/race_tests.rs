//! Every order of answers and failures.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn v6(number: u16) -> SocketAddr {
    format!("[2001:db8::{number}]:8883").parse().unwrap()
}

fn v4(number: u16) -> SocketAddr {
    format!("192.0.2.{number}:8883").parse().unwrap()
}

/// Everything that is tried at once at this time.
fn tried(race: &mut Race, now: Instant) -> Vec<SocketAddr> {
    std::iter::from_fn(|| race.next(now)).collect()
}

#[test]
fn families_take_turns_and_each_address_has_a_head_start() {
    let now = Instant::now();
    let mut race = Race::new("name");
    race.learned(Family::V6, Ok(vec![v6(1), v6(2), v6(3)]), now);
    race.learned(Family::V4, Ok(vec![v4(1)]), now);
    for (count, address) in [v6(1), v4(1), v6(2), v6(3)].into_iter().enumerate() {
        let at = now + HEAD_START * u32::try_from(count).unwrap();
        assert_eq!(race.deadline(), Some(at));
        assert_eq!(tried(&mut race, at - MS), []);
        assert_eq!(tried(&mut race, at), [address]);
    }
    assert_eq!(race.deadline(), None);
    assert_eq!(race.lost(), None, "all of them are being tried");
}

#[test]
fn after_a_failure_the_next_address_follows_at_once() {
    let now = Instant::now();
    let mut race = Race::new("name");
    race.learned(Family::V6, Ok(vec![v6(1)]), now);
    race.learned(Family::V4, Ok(vec![v4(1)]), now);
    assert_eq!(tried(&mut race, now), [v6(1)]);
    race.failed(v6(1), "unreachable".into(), now);
    assert_eq!(tried(&mut race, now), [v4(1)]);
    race.failed(v4(1), "refused".into(), now);
    let ending = race.lost().unwrap();
    assert_eq!(ending.class, Class::Tcp);
    assert_eq!(
        ending.reason,
        "refused: 192.0.2.1:8883; unreachable: [2001:db8::1]:8883"
    );
}

#[test]
fn ipv4_waits_a_moment_for_ipv6_and_no_longer() {
    let now = Instant::now();
    let mut race = Race::new("name");
    race.learned(Family::V4, Ok(vec![v4(1), v4(2)]), now);
    assert_eq!(tried(&mut race, now), []);
    let begun = now + FOR_IPV6;
    assert_eq!(tried(&mut race, begun), [v4(1)]);
    race.learned(Family::V6, Ok(vec![v6(1)]), begun + MS);
    assert_eq!(tried(&mut race, begun + MS), [], "the head start stays");
    assert_eq!(tried(&mut race, begun + HEAD_START), [v6(1)]);

    let mut race = Race::new("name");
    race.learned(Family::V4, Ok(vec![v4(1)]), now);
    race.learned(Family::V6, Err("no such name".into()), now + MS);
    assert_eq!(tried(&mut race, now + MS), [v4(1)]);
}

#[test]
fn a_late_answer_is_used_when_all_before_have_failed() {
    let now = Instant::now();
    let mut race = Race::new("name");
    race.learned(Family::V6, Ok(vec![v6(1)]), now);
    assert_eq!(tried(&mut race, now), [v6(1)]);
    race.failed(v6(1), "unreachable".into(), now);
    assert_eq!((race.lost(), race.deadline()), (None, None));
    let late = now + Duration::from_secs(5);
    race.learned(Family::V4, Ok(vec![v4(1)]), late);
    assert_eq!(tried(&mut race, late), [v4(1)]);
}

#[test]
fn a_name_without_addresses_is_a_failure_of_the_name_service() {
    let now = Instant::now();
    let check = |v4_answer, v6_answer, reason: &str| {
        let mut race = Race::new("name");
        race.learned(Family::V6, v6_answer, now);
        assert_eq!(race.lost(), None);
        race.learned(Family::V4, v4_answer, now);
        let ending = race.lost().unwrap();
        assert_eq!((ending.class, ending.reason.as_str()), (Class::Dns, reason));
    };
    check(Ok(vec![]), Ok(vec![]), "cannot resolve name: no address");
    check(Err("a".into()), Err("b".into()), "cannot resolve name: a");
    check(Ok(vec![]), Err("b".into()), "cannot resolve name: b");
    let mut race = Race::new("name");
    race.unanswered("no answer within 20 s", now);
    assert!(race.lost().unwrap().reason.ends_with("within 20 s"));
}

#[test]
fn addresses_that_fail_for_one_reason_share_it_in_any_order() {
    let now = Instant::now();
    let words = |addresses: [SocketAddr; 3]| {
        let mut race = Race::new("name");
        race.learned(Family::V6, Ok(vec![]), now);
        race.learned(Family::V4, Ok(addresses.to_vec()), now);
        for address in addresses {
            assert_eq!(tried(&mut race, now), [address]);
            race.failed(address, "refused".into(), now);
        }
        race.lost().unwrap().reason
    };
    let text = words([v4(1), v4(2), v4(3)]);
    assert_eq!(
        text,
        "refused: 192.0.2.1:8883, 192.0.2.2:8883, 192.0.2.3:8883"
    );
    assert_eq!(text, words([v4(3), v4(1), v4(2)]));
}

#[test]
fn no_more_than_sixteen_addresses_are_tried() {
    let now = Instant::now();
    let mut race = Race::new("name");
    race.learned(Family::V6, Ok(vec![]), now);
    race.learned(Family::V4, Ok((1..=200).map(v4).collect()), now);
    let mut count = 0;
    while let Some(address) = race.next(now) {
        race.failed(address, "refused".into(), now);
        count += 1;
    }
    assert_eq!(count, MOST);
    assert_eq!(race.lost().map(|ending| ending.class), Some(Class::Tcp));
}
