use serde_json::{Value, json};

use super::*;

fn rendered(value: &Value) -> String {
    let rendered = render(value).expect("renders");
    assert_eq!(rendered.warnings, Vec::<String>::new());
    String::from_utf8(rendered.bytes).expect("UTF-8")
}

fn read(contents: &str) -> Result<Value, String> {
    parse(contents.as_bytes(), &Value::Null)
}

#[test]
fn the_example_of_the_manual() {
    let value = json!({
        "a": 1, "b": "str", "c": "with spaces", "d": "with single ' quote",
        "e": "with double \" quote", "f": true, "g": false, "h": -64.2, "i": [1, 2, 3],
        "j": ["x ", "y ", " z"], "k": [], "l": "",
        "nested": {"x": {"y": {"z1": [true], "z2": "something else"}, "yy": 42}},
    });
    let expected = r#"a='1'
b='str'
c='with spaces'
d='with single '\'' quote'
e='with double " quote'
f='true'
g='false'
h='-64.2'
i=('1' '2' '3')
j=('x ' 'y ' ' z')
k=()
l=''
nested_x_y_z1=('true')
nested_x_y_z2='something else'
nested_x_yy='42'
"#;
    assert_eq!(rendered(&value), expected);
    assert_eq!(read(expected), Ok(value.clone()));
    let original = expected.replace(r"'\''", r"\'");
    assert_eq!(read(&original), Ok(value));
}

#[test]
fn a_file_is_read_as_a_shell_would_read_it() {
    for (contents, expected) in [
        ("# comment\n\n \t\na=1 # and here\n#b=2", json!({"a": 1})),
        ("a='x y'z\"w v\"\\ \\''q'", json!({"a": "x yzw v 'q"})),
        (
            r#"a="\$x \`y\` \"z\" \\ \n""#,
            json!({"a": r#"$x `y` "z" \ \n"#}),
        ),
        (
            "a=\"one\\\n two\" b=th\\\nree",
            json!({"a": "one two", "b": "three"}),
        ),
        (
            "a='one\ntwo'\nb=\"\n\"",
            json!({"a": "one\ntwo", "b": "\n"}),
        ),
        ("a= b=''", json!({"a": "", "b": ""})),
        (
            "a=1; b=2 c=3;d=4\\\n e=5",
            json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}),
        ),
        (
            "export a=1 b\nexport c\nexport\nexport d='x'",
            json!({"a": 1, "d": "x"}),
        ),
        ("export=1 if=2 _=3", json!({"export": 1, "if": 2, "_": 3})),
        ("a=1\na=2", json!({"a": 2})),
        (
            "a=x a=() a=1 b=(x y) b=z",
            json!({"a": [1], "b": ["z", "y"]}),
        ),
        ("a=x#y", json!({"a": "x#y"})),
        ("a=*?[x]{1,2}:x~!%^=+,", json!({"a": "*?[x]{1,2}:x~!%^=+,"})),
        (
            "a=5$ b=\"$\" c=\"$'\" d=$%",
            json!({"a": "5$", "b": "$", "c": "$'", "d": "$%"}),
        ),
        ("a=('x y' z \"w\"\\ v)", json!({"a": ["x y", "z", "w v"]})),
        ("a=(\n 1 # one\n\n true\n)", json!({"a": [1, true]})),
        ("a=() b=( )", json!({"a": [], "b": []})),
        ("a=('' '')", json!({"a": ["", ""]})),
        ("a=1\r\nb='2'\r\n", json!({"a": "1\r", "b": "2\r"})),
        ("a=é\u{1}", json!({"a": "é\u{1}"})),
    ] {
        assert_eq!(read(contents), Ok(expected), "{contents:?}");
    }
}

#[test]
fn bytes_in_a_comment_need_not_be_text() {
    let read = parse(b"# \xe9t\xe9\na=1", &Value::Null);
    assert_eq!(read, Ok(json!({"a": 1})));
}

#[test]
fn what_a_shell_would_replace_or_run_is_an_error_that_names_the_line() {
    let replaced = "a shell would replace what begins with";
    let more = "there is more than an assignment";
    let other = "not an assignment such as name='value'";
    for (contents, expected) in [
        ("a=1\nb=$HOME", replaced),
        ("a=1\nb=\"x $(reboot)\"", replaced),
        ("a=1\nb=`reboot`", replaced),
        ("a=1\nb=\"`reboot`\"", replaced),
        ("a=1\nb=\"$\\\nHOME\"", replaced),
        ("a=1\nb=$\\\n'x'", replaced),
        ("a=1\nb=$'x'", replaced),
        ("a=1\nb=~/x", replaced),
        ("a=1\nb=:\\\n~", replaced),
        ("a=1\nb=/x:~", replaced),
        ("a=1\nb=(*)", replaced),
        ("a=1\nb=({1,2})", replaced),
        ("a=1\nexport b=*", replaced),
        ("a=1\nb=2& c=3", more),
        ("a=1\nb=2 | c=3", other),
        ("a=1\nb=x(y)", more),
        ("a=1\nb=x>y", more),
        ("a=1\nreboot", other),
        ("a=1\nb=2 reboot", other),
        ("a=1\n1b=2", other),
        ("a=1\nb =2", other),
        ("a=1\n'b'=2", other),
        ("a=1\nä=2", other),
        ("a=1\nb+=2", "only whole variables are assigned"),
        ("a=1\nb[0]=2", "only whole variables are assigned"),
        ("a=1\n\r\n", "there is a carriage return"),
        ("a=1\n;", "there is nothing before the ;"),
        ("a=1\nb=2;;", "there is nothing before the ;"),
        ("a=1\nb=(1;2)", "there is a ; in an array"),
        ("a=1\nb=(1)2", "there is something directly after an array"),
        ("a=1\nb=(1\n(2))", more),
        ("a=1\nb=(1\n", "this ( is never closed"),
        ("a=1\nb='x\n", "this ' is never closed"),
        ("a=1\nb=\"x\n\n", "this \" is never closed"),
        ("a=1\nb=x\\", "this \\ is never closed"),
        ("a=1\nb=\0", "there is a NUL"),
    ] {
        let error = read(contents).expect_err(contents);
        let line = if contents.contains("\n(2)") || contents.contains("\n~") {
            3
        } else {
            2
        };
        let expected = format!("line {line}: {expected}");
        assert!(error.starts_with(&expected), "{contents:?}: {error}");
    }
    let error = parse(b"a=1\nb='\xff'", &Value::Null);
    assert_eq!(error, Err("line 2: the value is not UTF-8".into()));
}

#[test]
fn an_error_says_nothing_of_what_may_be_a_secret() {
    for contents in [
        "psk = hunter2",
        "psk='it's hunter2'",
        "hunter2",
        "a=`hunter2`",
    ] {
        let error = read(contents).expect_err(contents);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_file_of_the_original_program_is_read_as_it_was_meant() {
    for (contents, expected) in [
        (r"a='it\'s'", json!({"a": "it's"})),
        (
            "a='it\\'s'\nb='$x \\n \"'\n",
            json!({"a": "it's", "b": "$x \\n \""}),
        ),
        (r"a=('\'' 'b\'')", json!({"a": ["'", "b'"]})),
        // As a shell reads it, where it can.
        (r"a='C:\'", json!({"a": "C:\\"})),
        (r"a='it'\''s'", json!({"a": "it's"})),
    ] {
        assert_eq!(read(contents), Ok(expected), "{contents:?}");
    }
    let error = read("a='it\\'s'\nb").unwrap_err();
    assert!(error.starts_with("line 1: "), "{error}");
}

#[test]
fn only_what_json_spells_the_same_is_a_number_or_a_boolean() {
    for (text, expected) in [
        ("true", json!(true)),
        ("false", json!(false)),
        ("0", json!(0)),
        ("-12", json!(-12)),
    ] {
        assert_eq!(read(&format!("a={text}")), Ok(json!({ "a": expected })));
    }
    for text in [
        "True", "null", "007", "+1", "1.", ".5", "0x10", "-", "--1", "1e3", "1E+5", "NaN", "inf",
        "1_000", "1\u{a0}", "١",
    ] {
        assert_eq!(read(&format!("a={text}")), Ok(json!({ "a": text })));
    }
    for text in [" 1", "1 ", "1\n"] {
        assert_eq!(read(&format!("a='{text}'")), Ok(json!({ "a": text })));
    }
}

#[test]
fn underscores_become_nesting_where_that_comes_back_the_same() {
    for (contents, expected) in [
        ("a_b_c=1\na_d=2", json!({"a": {"b": {"c": 1}, "d": 2}})),
        ("a_1=x", json!({"a": {"1": "x"}})),
        (
            "_a=1 a_=2 b__c=3 __=4",
            json!({"_a": 1, "a_": 2, "b__c": 3, "__": 4}),
        ),
        ("a_b=1\na=2", json!({"a": 2, "a_b": 1})),
        (
            "x_a=1 x_a_b=2 x_a_b_c=3",
            json!({"x": {"a": 1, "a_b": 2, "a_b_c": 3}}),
        ),
        ("a=() a_b=1", json!({"a": [], "a_b": 1})),
    ] {
        let value = read(contents).expect(contents);
        assert_eq!(value, expected, "{contents:?}");
        assert_eq!(read(&rendered(&value)), Ok(expected), "{contents:?}");
    }
}

#[test]
fn a_name_of_very_many_parts_does_not_nest_without_end() {
    let name = vec!["a"; 50_000].join("_");
    let value = read(&format!("{name}=1")).expect("reads");
    assert_eq!(rendered(&value), format!("{name}='1'\n"));
}

#[test]
fn what_the_known_document_says_keeps_its_type_and_place() {
    let known = json!({
        "zip": "007", "flag": "true", "rate": "1e3", "my_key": 1, "list": ["1", "x"],
        "net": {"dns_server": "9", "gone": 1}, "none": {}, "deep": {"none": {}},
    });
    let same = rendered(&known);
    assert_eq!(parse(same.as_bytes(), &known), Ok(known.clone()));
    let by_hand =
        "list=(1 x)\nexport zip=007 flag=\"true\"; rate=1e3\nmy_key=1\nnet_dns_server=9 net_gone=1";
    assert_eq!(parse(by_hand.as_bytes(), &known), Ok(known.clone()));

    let changed =
        "zip=008\nflag=false\nmy_key=2\nlist=(1 y)\nnet_dns_server=10\nnet_new_one=3\nnew_one=4";
    let expected = json!({
        "zip": "008", "flag": false, "my_key": 2, "list": [1, "y"],
        "net": {"dns_server": 10, "new": {"one": 3}}, "new": {"one": 4},
        "none": {}, "deep": {"none": {}},
    });
    assert_eq!(parse(changed.as_bytes(), &known), Ok(expected));
}

#[test]
fn a_new_member_of_a_known_object_goes_there_although_its_name_has_an_underscore() {
    let known =
        json!({"my_net": {"a": 1, "b_c": {"d": 2}}, "my": {"x": 3}, "my_n": 4, "m-y": {"a": 1}});
    let new = "my_net_a=1\nmy_net_e=5\nmy_net_b_c_f=6\nmy_net_b_g=7\nmy_nets=8\nmy_net=9";
    let read = parse(new.as_bytes(), &known);
    // `my_net` is a text now, and nothing can be inside of it.
    let expected = json!({"my": {
        "net": 9, "nets": 8,
    }, "my_net": {"a": 1, "e": 5, "b_c": {"f": 6}, "b": {"g": 7}}});
    assert_eq!(read, Ok(expected));
}

#[test]
fn a_known_object_that_became_a_text_leaves_its_members_beside_it() {
    let known = json!({"a": {"b": {"c": 1, "d": "007"}, "none": {}}});
    let read = parse(b"a_b=5\na_b_c='1'\na_b_d='007'", &known);
    let expected = json!({"a": {"b": 5, "b_c": 1, "b_d": "007", "none": {}}});
    assert_eq!(read, Ok(expected));
    assert_eq!(parse(b"a=1", &known), Ok(json!({"a": 1})));
}

#[test]
fn known_documents_that_cannot_be_rendered_are_no_obstacle() {
    let same_name = json!({"a_b": "1", "a": {"b": "2"}, "n": "x\0", "o": [{}], "l": [null]});
    let read = parse(b"a_b=1 n=2 o=3", &same_name);
    assert_eq!(read, Ok(json!({"a_b": "1", "n": 2, "o": 3})));
    assert_eq!(parse(b"a_b=1", &json!("text")), Ok(json!({"a": {"b": 1}})));
}

#[test]
fn what_no_variable_can_hold_is_an_error_that_names_the_member() {
    for (value, expected) in [
        (json!("x"), "is a string, and SHELL holds an object"),
        (json!([]), "is an array, and SHELL holds an object"),
        (
            json!({"a": {"b": "x\0"}}),
            r#"member "a"."b" holds a NUL, which no shell variable can"#,
        ),
        (
            json!({"a": ["\0"]}),
            r#"member "a" holds a NUL, which no shell variable can"#,
        ),
        (
            json!({"a": [[1]]}),
            r#"member "a" holds an array, and an array of the shell holds only text"#,
        ),
        (
            json!({"a": [{}]}),
            r#"member "a" holds an object, and an array of the shell holds only text"#,
        ),
        (
            json!({"a": [null]}),
            r#"member "a" holds null, and an array of the shell holds only text"#,
        ),
        (
            json!({"a_b": 1, "a": {"b": 1}}),
            r#"members "a_b" and "a"."b" are the same shell variable"#,
        ),
        (
            json!({"": {"x": 1}, "_x": 1}),
            r#"members ""."x" and "_x" are the same shell variable"#,
        ),
    ] {
        assert_eq!(render(&value), Err(expected.into()));
    }
}

#[test]
fn nulls_and_empty_objects_have_no_line() {
    let value = json!({"a": null, "b": {"c": null, "d": {}}, "e": 1, "b_c": 2});
    assert_eq!(rendered(&value), "b_c='2'\ne='1'\n");
    assert_eq!(rendered(&Value::Null), "");
}

#[test]
fn lines_are_sorted_by_the_whole_name() {
    let value = json!({"a": {"z": 1}, "a_": 2, "aA": 3, "B": 4, "a0": 5});
    assert_eq!(rendered(&value), "B='4'\na0='5'\naA='3'\na_='2'\na_z='1'\n");
}

#[test]
fn a_name_that_no_file_may_set_is_left_out_with_a_word_about_it() {
    for name in [
        "a-b", "", "1a", "a b", "é", "a;reboot", "a=b", "a\n", "a[0]", "a\0",
    ] {
        assert_left_out(name, "not a valid name of a shell variable");
    }
    for name in ["RANDOM", "UID", "SHELLOPTS", "_"] {
        assert_left_out(name, "shells keep this variable for themselves");
    }
    for name in [
        "PATH",
        "IFS",
        "BASH_ENV",
        "BASH_FUNC_x",
        "LD_PRELOAD",
        "PS4",
        "PWD",
        "HOME",
    ] {
        assert_left_out(name, "this variable decides what a shell runs");
    }
    let nested = json!({"LD": {"PRELOAD": "x"}, "a-b": {"c": ["\0", {}]}, "ok": 1});
    let rendered = render(&nested).expect("renders");
    assert_eq!(rendered.bytes, b"ok='1'\n");
    let expected = [
        r#"member "LD"."PRELOAD" is left out: this variable decides what a shell runs"#,
        r#"member "a-b"."c" is left out: not a valid name of a shell variable"#,
    ];
    assert_eq!(rendered.warnings, expected);
}

fn assert_left_out(name: &str, why: &str) {
    let rendered = render(&json!({name: "x", "path": 1})).expect("renders");
    assert_eq!(rendered.bytes, b"path='1'\n", "{name:?}");
    let shown: String = name.chars().flat_map(char::escape_debug).collect();
    let expected = format!("member \"{shown}\" is left out: {why}");
    assert_eq!(rendered.warnings, [expected]);
}

#[test]
fn warnings_are_bounded_in_number_and_length_and_have_no_control_characters() {
    let members: Map<String, Value> = (0..100)
        .map(|n| {
            (
                format!("\u{1b}[2J\n{n}{}", "x\u{7}".repeat(10_000)),
                json!(n),
            )
        })
        .collect();
    let warnings = render(&Value::Object(members)).expect("renders").warnings;
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20], "and 80 more members are left out");
    for warning in warnings {
        assert!(warning.len() < 200, "{warning}");
        assert!(!warning.contains(char::is_control), "{warning:?}");
    }
}
