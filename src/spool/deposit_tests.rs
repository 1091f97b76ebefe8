use super::*;

fn item(stamps: &mut Stamps, payload: &'static [u8]) -> Item {
    Item {
        name: stamps.next(1_700_000_000),
        header: b"{}\n".to_vec(),
        payload: Bytes::from_static(payload),
    }
}

fn all_names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn inbox() -> (tempfile::TempDir, Deposit, Stamps) {
    let dir = tempfile::tempdir().unwrap();
    let deposit = Deposit::open(dir.path()).unwrap();
    (dir, deposit, Stamps::default())
}

const FIRST: &str = "1700000000.0000000001";
const SECOND: &str = "1700000000.0000000002";

#[test]
fn a_message_stands_in_new_with_a_hidden_header_beside_it() {
    let (dir, first, mut stamps) = inbox();
    drop(first);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o750)).unwrap();
    let deposit = Deposit::open(dir.path()).unwrap();
    let items = [item(&mut stamps, b"\0\xff"), item(&mut stamps, b"")];
    assert!(matches!(deposit.put(&items), (2, Ok(()))));
    let new = deposit.new_dir();
    assert_eq!(
        all_names(&new),
        [
            format!(".{FIRST}.json"),
            format!(".{SECOND}.json"),
            FIRST.to_owned(),
            SECOND.to_owned()
        ]
    );
    assert_eq!(fs::read(new.join(FIRST)).unwrap(), b"\0\xff");
    assert_eq!(
        fs::read(new.join(format!(".{FIRST}.json"))).unwrap(),
        b"{}\n"
    );
    let mode = fs::metadata(new.join(FIRST)).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o640, "who may read the directory may read the file");
    assert_eq!(all_names(&dir.path().join("tmp")), [""; 0]);
    let inventory = deposit.inventory(&mut stamps).unwrap();
    assert_eq!(
        inventory.messages[&Name::new(FIRST.as_ref())],
        5,
        "with its header"
    );
}

#[test]
fn headers_go_with_their_messages_but_the_newest_number_is_remembered() {
    let (_dir, deposit, mut stamps) = inbox();
    let items = [item(&mut stamps, b"a"), item(&mut stamps, b"b")];
    assert!(deposit.put(&items).1.is_ok());
    stamps.used(SECOND);
    for name in [FIRST, SECOND] {
        fs::remove_file(deposit.new_dir().join(name)).unwrap();
        deposit.left(&Name::new(name.as_ref()), &stamps);
    }
    assert_eq!(all_names(&deposit.new_dir()), [format!(".{SECOND}.json")]);
    let mut later = Stamps::default();
    let inventory = deposit.inventory(&mut later).unwrap();
    assert!(inventory.messages.is_empty());
    assert_eq!(inventory.left, Some(Name::new(SECOND.as_ref())));
    assert_eq!(later.next(5), "1700000000.0000000003");
    later.used("1700000000.0000000003");
    deposit.inventory(&mut later).unwrap();
    assert_eq!(
        all_names(&deposit.new_dir()),
        [""; 0],
        "there is a newer one"
    );
}

#[test]
fn what_a_killed_run_left_in_tmp_is_removed_and_nothing_else() {
    let (dir, killed, _) = inbox();
    drop(killed);
    let tmp = dir.path().join("tmp");
    for name in [FIRST, &format!(".{FIRST}.json"), "note", ".profile.json"] {
        fs::write(tmp.join(name), "half").unwrap();
    }
    Deposit::open(dir.path()).unwrap();
    assert_eq!(all_names(&tmp), [".profile.json", "note"]);
}

#[test]
fn what_cannot_be_put_leaves_nothing_behind_and_those_before_it_stay() {
    let (dir, deposit, mut stamps) = inbox();
    let items: Vec<Item> = (0..3).map(|_| item(&mut stamps, b"x")).collect();
    fs::create_dir(deposit.new_dir().join(SECOND)).unwrap();
    let (count, problem) = deposit.put(&items);
    assert_eq!(count, 1);
    assert!(problem.is_err());
    assert_eq!(all_names(&dir.path().join("tmp")), [""; 0]);
    assert_eq!(
        all_names(&deposit.new_dir()),
        [&format!(".{FIRST}.json"), FIRST, SECOND]
    );
}

#[test]
fn what_others_put_there_counts_and_does_not_confuse() {
    let (_dir, deposit, mut stamps) = inbox();
    fs::write(deposit.new_dir().join("note"), "12345").unwrap();
    fs::write(deposit.new_dir().join(".hidden"), "1").unwrap();
    fs::create_dir(deposit.new_dir().join("sub")).unwrap();
    let inventory = deposit.inventory(&mut stamps).unwrap();
    assert_eq!(inventory.messages, [(Name::new("note".as_ref()), 5)].into());
    deposit.left(&Name::new("note".as_ref()), &stamps);
    assert_eq!(stamps, Stamps::default());
}
