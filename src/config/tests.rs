use super::*;
use crate::net::{IpVersion, ProxyChoice};
use clap::Parser;
use std::path::Path;

const GOOD: [&str; 4] = [
    "chariotd",
    "--clientid=id",
    "--cacert=/ca.pem",
    "--certstore=/certs",
];

fn config(more: &[&str]) -> Result<Config, Vec<String>> {
    Config::new(&Cli::try_parse_from(GOOD.iter().chain(more)).expect("clap takes it"))
}

#[track_caller]
fn problem(more: &[&str], parts: &[&str]) {
    let problems = config(more).expect_err("a problem").join("\n");
    for part in parts {
        assert!(
            problems.contains(part),
            "{more:?}: {part:?} is not in {problems}"
        );
    }
}

#[test]
fn everything_has_its_documented_default() {
    let config = config(&["--messages=/m"]).unwrap();
    assert_eq!(
        (config.version, config.keep_alive, config.attempts),
        (Version::V5, None, 5)
    );
    let messages = &config.messages[0];
    assert_eq!(
        (
            messages.queue.window,
            messages.queue.retries,
            messages.keep_failed
        ),
        (10, 2, 100)
    );
    assert_eq!(messages.queue.jam, Duration::from_secs(300));
    assert_eq!(messages.queue.order, crate::spool::order::Order::Lexical);
    assert_eq!(
        (
            messages.topic_prefix.as_str(),
            messages.topic_suffix.as_str()
        ),
        ("", "")
    );
    assert_eq!(messages.letterhead, None);
}

#[test]
fn a_directory_s_own_value_replaces_the_default() {
    let config = config(&[
        "--messages=/a",
        "--messages=/b:c/",
        "--default-message-concurrency=3",
        "--message-concurrency=/b:c:7",
        "--message-order=/a:newest-first",
        "--default-message-topic-prefix=x/",
        "--message-topic-prefix=/a:",
        "--default-letterhead-file=/l",
        "--letterhead-generator=/a:/bin/gen",
    ])
    .unwrap();
    let [a, b] = &config.messages[..] else {
        panic!("two directories")
    };
    assert_eq!((a.queue.window, b.queue.window), (3, 7));
    assert_eq!(b.dir, Path::new("/b:c"));
    assert_eq!(
        (a.topic_prefix.as_str(), b.topic_prefix.as_str()),
        ("", "x/")
    );
    use crate::publish::Letterhead::{File, Generator};
    assert_eq!(
        (&a.letterhead, &b.letterhead),
        (
            &Some(Generator("/bin/gen".into())),
            &Some(File("/l".into()))
        )
    );
}

#[test]
fn every_kind_of_wrong_value_is_reported_with_option_value_and_remedy() {
    for (option, part) in [
        ("--endpoint=host:0", "1 to 65535"),
        ("--keepalive=4", "from 5 to 65535"),
        ("--keepalive=soon", "from 5 to 65535"),
        ("--mqtt=3", "use 5 or 3.1.1"),
        ("--connect-attempts=-1", "use a number from 0"),
        ("--default-message-concurrency=0", "from 1 to 100"),
        ("--default-message-concurrency=101", "from 1 to 100"),
        ("--default-message-retries=many", "use a number from 0"),
        ("--default-message-keep-failed=x", "from 0 to 1000000"),
        ("--default-message-jam-timeout=0", "in seconds"),
        (
            "--default-message-order=newest",
            "use lexical, reverse-lexical, newest-first or oldest-first",
        ),
        ("--default-message-topic-prefix=a/+/", "'+'"),
        ("--default-message-topic-suffix=#", "'#'"),
        ("--default-letterhead-file=", "empty"),
        ("--message-order=/m:newest", "unknown order 'newest'"),
        ("--message-retries=/m:x", "'x' is not a valid number"),
        (
            "--message-order=/other:lexical",
            "a --messages option names: /m",
        ),
        (
            "--letterhead-file=nonsense",
            "a --messages option names: /m",
        ),
    ] {
        problem(&["--messages=/m", option], &[option, part]);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let cli = Cli::try_parse_from(["chariotd", "--mqtt=4", "--keepalive=1", "--key=k"]).unwrap();
    let problems = Config::new(&cli).unwrap_err();
    for part in [
        "--clientid",
        "--cacert",
        "--mqtt=4",
        "--keepalive=1",
        "--cert is missing",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}: {problems:?}"
        );
    }
}

#[test]
fn certificates_come_from_a_store_or_are_named_with_everything() {
    let parse = |arguments: &[&str]| {
        let arguments = ["chariotd", "-i", "id", "-r", "/ca"]
            .iter()
            .chain(arguments);
        Config::new(&Cli::try_parse_from(arguments).unwrap())
    };
    assert!(parse(&["-c", "/c", "-k", "/k", "-e", "host"]).is_ok());
    assert!(parse(&["--certstore", "/s", "-e", "host"]).is_ok());
    for wrong in [
        &["-c", "/c", "-k", "/k"][..],
        &["-c", "/c", "-e", "host"],
        &["-e", "host"],
        &[],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn aliases_and_both_forms_of_values_work() {
    let arguments = [
        "chariotd",
        "--id",
        "x",
        "--rootca=/ca",
        "--certstore",
        "/s",
        "--messages",
        "/a",
        "--messages=/b",
    ];
    let config = Config::new(&Cli::try_parse_from(arguments).unwrap()).unwrap();
    assert_eq!((config.client_id.as_str(), config.messages.len()), ("x", 2));
}

#[test]
fn a_client_id_is_one_that_aws_takes() {
    let long = "x".repeat(129);
    for (id, part) in [
        ("", "empty"),
        ("$x", "'$'"),
        ("a\nb", "control"),
        (long.as_str(), "128"),
    ] {
        let cli =
            Cli::try_parse_from(["chariotd", "-i", id, "-r", "/ca", "--certstore=/s"]).unwrap();
        assert!(Config::new(&cli).unwrap_err()[0].contains(part), "{id:?}");
    }
}

#[test]
fn a_last_will_has_a_topic_and_a_payload() {
    assert!(
        config(&["--last-will-topic=t", "--last-will-payload=p"])
            .unwrap()
            .last_will
            .is_some()
    );
    problem(
        &["--last-will-topic=t"],
        &["--last-will-payload is missing"],
    );
    problem(
        &["--last-will-payload=p"],
        &["--last-will-topic is missing"],
    );
    problem(
        &["--last-will-topic=a/#", "--last-will-payload=p"],
        &["'#'"],
    );
}

#[test]
fn a_birth_message_has_a_topic_and_a_payload_and_is_retained_when_asked() {
    let both = config(&[
        "--birth-topic=t",
        "--birth-payload=on",
        "--birth-retain",
        "--last-will-topic=t",
        "--last-will-payload=off",
    ])
    .unwrap();
    let (birth, will) = (both.birth.unwrap(), both.last_will.unwrap());
    assert_eq!(
        (birth.topic.as_str(), birth.payload.as_str(), birth.retain),
        ("t", "on", true)
    );
    assert!(!will.retain);
    for (more, part) in [
        (&["--birth-topic=t"][..], "--birth-payload is missing"),
        (&["--birth-payload=p"], "--birth-topic is missing"),
        (&["--birth-retain"], "--birth-topic is missing"),
        (&["--last-will-retain"], "--last-will-payload is missing"),
        (
            &["--birth-topic=a/+", "--birth-payload=p"],
            "the topic contains '+'",
        ),
    ] {
        problem(more, &[part]);
    }
}

#[test]
fn one_directory_is_given_once() {
    problem(&["--messages=/m", "--messages=/m/"], &["given twice"]);
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let (real, link) = (
        format!("--messages={}", real.display()),
        format!("--messages={}", link.display()),
    );
    problem(&[&real, &link], &["the same directory as"]);
}

#[test]
fn of_an_option_that_is_given_twice_the_last_counts_and_repeatable_ones_add_up() {
    let config = config(&[
        "--clientid=other",
        "--id=last",
        "--keepalive=10",
        "--keepalive=20",
        "--empty-array-as-delete-request",
        "--empty-array-as-delete-request",
        "--messages=/m",
        "--messages=/n",
        "--message-retries=/m:1",
        "--message-retries=/n:7",
        "--message-retries=/m/:2",
        "--default-message-retries=3",
        "--default-message-retries=4",
        "--defaultshadow=thing:a",
        "--defaultshadow=thing:b",
    ])
    .unwrap();
    assert_eq!(config.client_id, "last");
    assert_eq!(config.keep_alive, Some(Duration::from_secs(20)));
    let retries: Vec<_> = config.messages.iter().map(|it| it.queue.retries).collect();
    assert_eq!(retries, [2, 7]);
    assert_eq!(config.shadows[0].default_shadow.as_deref(), Some("b"));
}

#[test]
fn a_letterhead_comes_from_a_file_or_a_command() {
    problem(
        &[
            "--messages=/m",
            "--letterhead-file=/m:/a",
            "--letterhead-generator=/m:/b",
        ],
        &["use one of them"],
    );
    problem(
        &[
            "--default-letterhead-file=/a",
            "--default-letterhead-generator=/b",
        ],
        &["use one of them"],
    );
}

#[test]
fn values_of_several_parts_are_checked() {
    problem(&["--services=bad thing:/s"], &["contains ' '"]);
    problem(&["--subscribe-write=a/#/b:/f"], &["last level"]);
    problem(&["--tunnelmappings=thing:SSH=x"], &["port 'x'"]);
}

#[test]
fn subscriptions_are_read_in_their_order_and_may_share_a_topic() {
    use crate::subscribe::Handling::{Exec, Write};
    let config = config(&[
        "--subscribe-write=a:b/+:/run/f",
        "--subscribe-exec=a/#:/bin/c 'x y'",
        "--subscribe-exec=a/#:logger",
    ])
    .unwrap();
    let read: Vec<_> = config
        .subscriptions
        .into_iter()
        .map(|one| (one.filter, one.handling))
        .collect();
    assert_eq!(
        read,
        [
            ("a:b/+".to_owned(), Write("/run/f".into())),
            ("a/#".to_owned(), Exec("/bin/c 'x y'".to_owned())),
            ("a/#".to_owned(), Exec("logger".to_owned())),
        ]
    );
    problem(&["--subscribe-exec=topic"], &["write TOPIC:COMMAND"]);
    problem(&["--subscribe-write=a/b#:/f"], &["whole level"]);
}

#[test]
fn what_concerns_the_tunnels_of_one_thing_is_put_together() {
    let mut one = config(&[
        "--tunnelmappings=pump:1:SSH=22,VNC=5900",
        "--tunnelmappings=valve:SSH=2222",
        "--tunnelmappings=pump:1:web=80",
    ])
    .unwrap();
    let [pump, valve] = &one.tunnels[..] else {
        panic!("two things")
    };
    let ports = |all: &[(String, u16)]| all.iter().map(|(_, port)| *port).collect::<Vec<_>>();
    assert_eq!(
        (pump.thing.as_str(), ports(&pump.services)),
        ("pump:1", vec![22, 5900, 80])
    );
    assert_eq!(
        (valve.thing.as_str(), ports(&valve.services)),
        ("valve", vec![2222])
    );
    assert_eq!((&valve.proxy, &valve.ca_dir), (&"localproxy".into(), &None));
    one = config(&[
        "--tunnelmappings=t:SSH=22",
        "--tunnelproxy=/p",
        "--tunnelcadir=/c/",
    ])
    .unwrap();
    assert_eq!(one.tunnels[0].proxy, Path::new("/p"));
    assert_eq!(one.tunnels[0].ca_dir.as_deref(), Some(Path::new("/c")));
}

#[test]
fn wrong_options_of_tunnels_are_reported() {
    let mapping = "--tunnelmappings=t:SSH=22";
    problem(
        &[mapping, "--tunnelmappings=t:SSH=23"],
        &["'SSH' has a port already"],
    );
    problem(
        &[mapping, "--tunnelproxy=bin/p"],
        &["an absolute path or a bare name"],
    );
    problem(
        &[mapping, "--tunnelproxy="],
        &["an absolute path or a bare name"],
    );
    problem(&[mapping, "--tunnelcadir=certs"], &["use an absolute path"]);
    problem(&["--tunnelproxy=/p"], &["no --tunnelmappings"]);
    problem(&["--tunnelmappings=t:a;b=22"], &["has other characters"]);
}

#[test]
fn who_watches_over_the_daemon_is_read() {
    let quiet = config(&[]).unwrap().supervision;
    assert_eq!(
        (quiet.events, quiet.on_event, quiet.notify_fd),
        (None, None, None)
    );
    let all = config(&["--events=/run/e", "--on-event=echo $EVENT", "--notify-fd=3"]).unwrap();
    assert_eq!(all.supervision.events.as_deref(), Some(Path::new("/run/e")));
    assert_eq!(all.supervision.on_event.as_deref(), Some("echo $EVENT"));
    assert_eq!(all.supervision.notify_fd, Some(3));
    for (option, part) in [
        ("--events=", "is empty"),
        ("--on-event=", "is empty"),
        ("--notify-fd=2", "from 3 to 9"),
        ("--notify-fd=10", "from 3 to 9"),
        ("--notify-fd=x", "from 3 to 9"),
    ] {
        problem(&[option], &[option, part]);
    }
}

#[test]
fn what_concerns_one_shadow_is_put_together() {
    let config = config(&[
        "--services=pump:1:/svc",
        "--services=pump:1/radio:/radio",
        "--updates=pump:1:/updates/",
        "--defaultshadow=pump:1:/bin/seed --all",
        "--empty-array-as-delete-request",
        "--commands=/commands",
    ])
    .unwrap();
    let [classic, named] = &config.shadows[..] else {
        panic!("two shadows")
    };
    assert_eq!(classic.id.to_string(), "pump:1");
    assert_eq!(classic.services, [Path::new("/svc")]);
    assert_eq!(classic.updates, [Path::new("/updates")]);
    assert_eq!(classic.default_shadow.as_deref(), Some("/bin/seed --all"));
    assert!(classic.rules.empty_array_deletes);
    assert_eq!(named.id.to_string(), "pump:1/radio");
    assert_eq!(named.services, [Path::new("/radio")]);
    assert_eq!(config.commands.as_deref(), Some(Path::new("/commands")));
}

#[test]
fn topics_of_one_directory_share_an_inbox_and_inboxes_have_connections_of_their_own() {
    let spools = [
        "--subscribe-spool=a:b/+:/in",
        "--subscribe-spool=c:/in/",
        "--subscribe-spool=c:/other",
    ];
    let resolved = config(&spools).unwrap();
    let [one, other] = &resolved.inboxes[..] else {
        panic!("two inboxes")
    };
    assert_eq!(
        (one.dir.as_path(), other.dir.as_path()),
        (Path::new("/in"), Path::new("/other"))
    );
    assert_eq!(one.filters, ["a:b/+", "c"]);
    assert_eq!((one.connection, other.connection), (1, 2));
    assert_eq!((one.most_files, one.most_bytes), (1000, 4 << 20));
    assert_eq!(resolved.connections, 4);
    let narrow = [
        "--subscribe-spool=a:/in",
        "--max-connections=1",
        "--inbox-max-files=7",
        "--inbox-max-bytes=100000",
    ];
    let resolved = config(&narrow).unwrap();
    let only = &resolved.inboxes[0];
    assert_eq!(
        (only.connection, only.most_files, only.most_bytes),
        (0, 7, 100_000)
    );
}

#[test]
fn inboxes_that_cannot_work_are_refused() {
    for (more, parts) in [
        (&["--subscribe-spool=a/#/b:/d"][..], &["last level"][..]),
        (&["--subscribe-spool=a"], &["TOPIC:PATH"]),
        (
            &["--subscribe-spool=a:/d", "--subscribe-spool=a:/d/"],
            &["given twice"],
        ),
        (
            &["--subscribe-spool=a:/d", "--messages=/d"],
            &["serves --messages"],
        ),
        (&["--inbox-max-files=0"], &["from 1 to 100000"]),
        (&["--inbox-max-bytes=x"], &["not a valid number"]),
        (&["--max-connections=0"], &["from 1 to 16"]),
        (&["--max-connections=17"], &["from 1 to 16"]),
    ] {
        problem(more, parts);
    }
    let topics: Vec<String> = (0..51)
        .map(|n| format!("--subscribe-spool=t/{n}:/d"))
        .collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    problem(&topics, &["51 topics do not fit", "--max-connections"]);
}

#[test]
fn an_action_directory_has_one_owner() {
    for (more, part) in [
        (["--messages=/m", "--updates=thing:/m"], "serves --messages"),
        (["--updates=a:/u", "--updates=b:/u/"], "given twice"),
        (["--updates=a:/u", "--commands=/u"], "serves --updates"),
    ] {
        problem(&more, &[part]);
    }
}

#[test]
fn provisioning_needs_a_store_and_renewal_needs_provisioning() {
    let config = config(&["--fleetprov=/fp.json", "--renew-before=30"]).unwrap();
    assert_eq!(config.fleetprov.as_deref(), Some(Path::new("/fp.json")));
    assert_eq!(config.renew_before, Some(Duration::from_secs(30 * 86_400)));
    problem(&["--renew-before=30"], &["--fleetprov"]);
    problem(&["--fleetprov=/f", "--renew-before=soon"], &["in days"]);
    problem(&["--fleetprov="], &["empty"]);
    let id = format!("--clientid={}", "x".repeat(126));
    let cli = Cli::try_parse_from([
        "chariotd",
        &id,
        "--cacert=/ca.pem",
        "--cert=/c",
        "--key=/k",
        "--endpoint=h",
        "--fleetprov=/f",
    ]);
    let problems = Config::new(&cli.unwrap()).unwrap_err().join("\n");
    assert!(
        problems.contains("125 bytes") && problems.contains("--certstore"),
        "{problems}"
    );
}

#[test]
fn a_long_client_id_leaves_no_room_for_further_connections() {
    let id = format!("--clientid={}", "x".repeat(126));
    let all = |more: &[&str]| {
        let fixed = ["chariotd", &id, "--cacert=/ca.pem", "--certstore=/certs"];
        let cli = Cli::try_parse_from(fixed.iter().chain(more)).expect("clap takes it");
        Config::new(&cli).map(drop)
    };
    assert_eq!(all(&[]), Ok(()));
    assert_eq!(
        all(&["--subscribe-spool=a:/d", "--max-connections=1"]),
        Ok(())
    );
    let problems = all(&["--subscribe-spool=a:/d"]).unwrap_err();
    assert!(problems.join(" ").contains("'_N'"), "{problems:?}");
}

#[test]
fn how_connections_leave_the_device_is_read() {
    let route = config(&["--ip=6", "--bind-interface=wwan0"]).unwrap().route;
    assert_eq!(route.ip, IpVersion::V6);
    assert_eq!(route.interface.as_deref(), Some("wwan0"));
    let route = config(&["--ip=any"]).unwrap().route;
    assert_eq!((route.ip, route.interface), (IpVersion::Any, None));
    problem(&["--ip=5"], &["--ip=5", "use 4, 6 or any"]);
    for bad in ["", "eth 0", "a/b", "eth0:1", "sixteen-bytes-xx"] {
        problem(&[&format!("--bind-interface={bad}")], &["--bind-interface"]);
    }
}

#[test]
fn which_proxy_is_used_is_read() {
    let read = |extra: &[&str]| config(extra).unwrap().proxy;
    assert_eq!(read(&[]).choice, ProxyChoice::Environment);
    assert_eq!(read(&["--proxy=none"]).choice, ProxyChoice::Direct);
    let given = [
        "--proxy=https://dev@p:3128",
        "--proxy-password-file=/p",
        "--proxy-cacert=/c",
    ];
    let options = read(&given);
    let ProxyChoice::Given(url) = options.choice else {
        panic!("{options:?}");
    };
    assert_eq!(url.to_string(), "https://p:3128");
    assert_eq!(options.password_file.as_deref(), Some(Path::new("/p")));
    assert_eq!(options.authorities.as_deref(), Some(Path::new("/c")));
    assert!(
        config(&["--proxy-cacert=/c"]).is_ok(),
        "for that of the environment"
    );
}

#[test]
fn wrong_options_about_proxies_are_named_and_their_passwords_are_not() {
    for (extra, parts) in [
        (
            &["--proxy="][..],
            &["--proxy: is empty", "none for no proxy"][..],
        ),
        (
            &["--proxy=ftp://dev:s3cr3t@p:1"],
            &["--proxy: unknown scheme"],
        ),
        (
            &["--proxy=http://dev:s3cr3t@p"],
            &["--proxy: no port, write http://HOST:PORT"],
        ),
        (
            &["--proxy=http://p:1", "--proxy-password-file=/p"],
            &["--proxy-password-file=/p: is for a user"],
        ),
        (
            &["--proxy-password-file=/p"],
            &["--proxy-password-file=/p: is for a user"],
        ),
        (
            &["--proxy=http://dev:s3cr3t@p:1", "--proxy-password-file=/p"],
            &["--proxy-password-file=/p: --proxy holds a password already"],
        ),
        (
            &["--proxy=http://dev@p:1", "--proxy-password-file="],
            &["is empty, name a file"],
        ),
        (
            &["--proxy=http://p:1", "--proxy-cacert=/c"],
            &["--proxy-cacert=/c: is for a proxy with https://"],
        ),
        (
            &["--proxy=none", "--proxy-cacert=/c"],
            &["--proxy-cacert=/c: is for a proxy"],
        ),
    ] {
        problem(extra, parts);
        let problems = config(extra).unwrap_err().join(" ");
        assert!(!problems.contains("s3cr3t"), "{problems}");
    }
}
