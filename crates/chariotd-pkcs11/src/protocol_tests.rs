use super::*;

fn uri() -> KeyUri {
    "pkcs11:token=t;id=%01?module-path=/m.so&pin-source=/p"
        .parse()
        .unwrap()
}

fn requests() -> [Request; 4] {
    [
        Request::Identity {
            uri: uri(),
            hint: None,
        },
        Request::Identity {
            uri: uri(),
            hint: Some(vec![1, 2]),
        },
        Request::Sign {
            uri: uri(),
            scheme: 0x0403,
            digest: vec![7; 48],
        },
        Request::Make {
            uri: uri(),
            kind: KeyKind::EcP384,
        },
    ]
}

fn answers() -> [Answer; 3] {
    [
        Answer::Identity(Identity {
            public_key: vec![5; 91],
            schemes: vec![0x0804, 0x0401],
        }),
        Answer::Signature(vec![9; 256]),
        Answer::Error(KeyError::new(Problem::Pin, "no")),
    ]
}

#[test]
fn what_is_said_is_understood() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    for answer in answers() {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
}

#[test]
fn frames_are_bounded_and_an_end_between_two_is_no_error() {
    let mut wire = Vec::new();
    write_frame(&mut wire, b"abc").unwrap();
    let mut stream = &wire[..];
    assert_eq!(read_frame(&mut stream).unwrap(), Some(b"abc".to_vec()));
    assert_eq!(read_frame(&mut stream).unwrap(), None);
    assert!(read_frame(&mut &wire[..2]).is_err());
    assert!(read_frame(&mut &wire[..5]).is_err());
    assert!(read_frame(&mut &[0, 1, 0, 1][..]).is_err());
    assert!(write_frame(&mut Vec::new(), &vec![0; LARGEST + 1]).is_err());
    let long = Answer::Error(KeyError::new(Problem::Pin, "x".repeat(LARGEST)));
    write_frame(&mut Vec::new(), &long.encode()).unwrap();
}

#[test]
fn no_bytes_make_reading_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let bodies: Vec<Vec<u8>> = requests()
        .iter()
        .map(Request::encode)
        .chain(answers().iter().map(Answer::encode))
        .collect();
    for _ in 0..20_000 {
        let mut body = bodies[random.usize(..bodies.len())].clone();
        body.truncate(random.usize(..=body.len()));
        for _ in 0..random.usize(..3) {
            let at = random.usize(..body.len().max(1));
            body.get_mut(at)
                .into_iter()
                .for_each(|byte| *byte = random.u8(..));
        }
        let _ = (Request::decode(&body), Answer::decode(&body));
    }
}
