use super::*;
use std::os::unix::fs::symlink;
use std::time::Duration;
use tempfile::TempDir;

/// A store with these certificates, each one hour older than the one before.
fn store(ids: &[&str]) -> (TempDir, Certstore) {
    let dir = tempfile::tempdir().unwrap();
    for (hours, id) in ids.iter().enumerate() {
        let certificate = dir.path().join(id);
        fs::create_dir(&certificate).unwrap();
        let key = certificate.join(format!("{id}-private.pem.key"));
        fs::write(&key, "key").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let file = fs::File::create(certificate.join(format!("{id}-certificate.pem.crt"))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours as u64))
            .unwrap();
    }
    let store = Certstore::new(dir.path());
    (dir, store)
}

fn ids(certificates: &[Certificate]) -> Vec<&str> {
    certificates
        .iter()
        .map(|one| one.id.to_str().unwrap())
        .collect()
}

#[test]
fn certificates_are_listed_newest_first() {
    let (_dir, store) = store(&["new", "middle", "old"]);
    let contents = store.contents().unwrap();
    assert_eq!(ids(&contents.certificates), ["new", "middle", "old"]);
    // They are empty here, which is reported.
    assert_eq!(contents.problems.len(), 3, "{:?}", contents.problems);
    let told = |one: &String| one.contains("is empty; so nobody is warned");
    assert!(
        contents.problems.iter().all(told),
        "{:?}",
        contents.problems
    );
}

#[test]
fn an_incomplete_certificate_is_reported_and_skipped() {
    let (dir, store) = store(&["good", "keyless"]);
    fs::remove_file(dir.path().join("keyless/keyless-private.pem.key")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let contents = store.contents().unwrap();
    assert_eq!(ids(&contents.certificates), ["good"]);
    let told = contents.problems.join("\n");
    assert!(
        told.contains("keyless-private.pem.key") && told.contains("empty-certificate.pem.crt"),
        "{told}"
    );
}

#[test]
fn a_key_that_others_can_read_is_reported_and_used() {
    let (dir, store) = store(&["open"]);
    let key = dir.path().join("open/open-private.pem.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let contents = store.contents().unwrap();
    assert_eq!(ids(&contents.certificates), ["open"]);
    assert!(
        contents.problems[0].contains("make it 600"),
        "{:?}",
        contents.problems
    );
}

#[test]
fn preferred_is_a_relative_link_that_is_replaced_atomically() {
    let (dir, store) = store(&["a", "b"]);
    assert_eq!(store.preferred(), None);
    store.prefer("b".as_ref()).unwrap();
    assert_eq!(
        fs::read_link(dir.path().join("preferred")).unwrap(),
        Path::new("b")
    );
    assert_eq!(store.preferred().as_deref(), Some("b".as_ref()));
    let before = fs::symlink_metadata(dir.path().join("preferred")).unwrap();
    store.prefer("b".as_ref()).unwrap();
    let after = fs::symlink_metadata(dir.path().join("preferred")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        before.ino(),
        after.ino(),
        "a link that is right is left alone"
    );
    assert_eq!(
        ids(&store.contents().unwrap().certificates),
        ["a", "b"],
        "the link is no certificate"
    );
}

#[test]
fn an_absolute_link_into_the_store_is_followed_and_kept() {
    let (dir, store) = store(&["new", "old"]);
    let other = dir.path().join("alias");
    symlink(dir.path(), &other).unwrap();
    for target in [dir.path().join("old"), other.join("old")] {
        let link = dir.path().join("preferred");
        let _ = fs::remove_file(&link);
        symlink(&target, &link).unwrap();
        assert_eq!(store.preferred().as_deref(), Some("old".as_ref()));
        store.prefer("old".as_ref()).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), target, "it is kept");
    }
}

#[test]
fn a_link_out_of_the_store_counts_as_none() {
    let (dir, store) = store(&["a"]);
    for target in ["/etc", "../elsewhere", "a/b"] {
        let _ = fs::remove_file(dir.path().join("preferred"));
        symlink(target, dir.path().join("preferred")).unwrap();
        assert_eq!(store.preferred(), None, "{target}");
    }
}

#[test]
fn certificates_are_tried_from_the_preferred_one_by_age_wrapping_round() {
    let (_dir, store) = store(&["new", "middle", "old"]);
    let all = store.contents().unwrap().certificates;
    for (first, expect) in [
        (None, ["new", "middle", "old"]),
        (Some("middle"), ["middle", "old", "new"]),
        (Some("old"), ["old", "new", "middle"]),
        (Some("dangling"), ["new", "middle", "old"]),
    ] {
        assert_eq!(
            ids(&starting_with(all.clone(), first.map(OsStr::new))),
            expect,
            "{first:?}"
        );
    }
}

#[test]
fn rotation_moves_on_and_comes_round() {
    let (_dir, several) = store(&["new", "old"]);
    assert_eq!(
        several.rotate("new".as_ref()).unwrap().as_deref(),
        Some("old".as_ref())
    );
    assert_eq!(several.preferred().as_deref(), Some("old".as_ref()));
    assert_eq!(
        several.rotate("old".as_ref()).unwrap().as_deref(),
        Some("new".as_ref())
    );
    let (_dir, single) = store(&["only"]);
    assert_eq!(single.rotate("only".as_ref()).unwrap(), None);
}

#[test]
fn an_endpoint_file_may_have_white_space_and_crlf_but_not_nothing() {
    let (dir, store) = store(&[]);
    let error = format!("{:#}", store.endpoint().unwrap_err());
    assert!(
        error.contains("endpoint.txt") && error.contains("No such file"),
        "{error}"
    );
    for (text, expect) in [("host\r\n", "host:8883"), (" host:443 \n", "host:443")] {
        fs::write(dir.path().join("endpoint.txt"), text).unwrap();
        assert_eq!(store.endpoint().unwrap().to_string(), expect);
    }
    fs::write(dir.path().join("endpoint.txt"), "\n").unwrap();
    assert!(format!("{:#}", store.endpoint().unwrap_err()).contains("no host name"));
}
