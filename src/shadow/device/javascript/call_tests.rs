use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// Long enough for everything that ends, short enough to wait for what does not.
const SHORT: Limits = Limits {
    time: Duration::from_millis(100),
    ..LIMITS
};

fn script(text: &str) -> Script {
    directory(&[("a.js", text)])
}

/// The first file is the definition.
fn directory(files: &[(&str, &str)]) -> Script {
    let sources: BTreeMap<String, String> = files
        .iter()
        .map(|(name, text)| (name.to_string(), text.to_string()))
        .collect();
    Script {
        file: files[0].0.to_owned(),
        sources: Arc::new(sources),
    }
}

/// A definition whose `validate` has this body.
fn validating(body: &str) -> Script {
    script(&format!(
        "module.exports = {{\n  validate(configuration) {{\n    {body}\n  }},\n}};\n"
    ))
}

fn refused(text: &str) -> String {
    exported(&script(text)).expect_err(text)
}

fn check(body: &str, configuration: Value, expected: Verdict) {
    let verdict = validate(&validating(body), &configuration);
    assert_eq!(verdict, expected, "{body}");
}

fn failed(why: &str) -> Verdict {
    Verdict::Failed(why.into())
}

fn rejected(why: &str) -> Verdict {
    Verdict::Rejected(why.into())
}

#[test]
fn an_exported_object_comes_with_values_and_the_kinds_of_the_rest() {
    let exported = exported(&script(
        "#!/usr/bin/env node
         const minutes = 60;
         module.exports = {
           key: 'network',
           timeout: 0.5 * minutes,
           outkeys: ['address', 'mask'],
           informat: undefined,
           validate(c) { return c; },
           odd: 10n,
           notANumber: 0 / 0,
         };",
    ))
    .expect("a definition");
    let expected = json!({"key": "network", "timeout": 30, "outkeys": ["address", "mask"]});
    assert_eq!(Value::Object(exported.values), expected);
    let others = [
        ("notANumber", "NaN"),
        ("odd", "a BigInt"),
        ("validate", "a function"),
    ];
    let others = others.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(exported.others, BTreeMap::from(others));
}

#[test]
fn a_class_may_supply_the_keys() {
    let script = script(
        "class Base { get key() { return 'clock'; } helper() {} }
         class Clock extends Base {
           notifycmd = 'true';
           validate(configuration) { return { ...configuration, key: this.key }; }
         }
         module.exports = new Clock();",
    );
    let exported = exported(&script).expect("a definition");
    let expected = json!({"key": "clock", "notifycmd": "true"});
    assert_eq!(Value::Object(exported.values), expected);
    assert_eq!(exported.others.keys().collect::<Vec<_>>(), ["validate"]);
    assert_eq!(
        validate(&script, &json!({})),
        Verdict::Accepted(json!({"key": "clock"})),
        "this is the exported object"
    );
}

#[test]
fn what_does_not_load_is_reported_with_file_line_and_column() {
    for (text, expected) in [
        (
            "module.exports = {\n  key: 'a',,\n};",
            "a.js:2:12: SyntaxError: invalid property name",
        ),
        (
            "let x = ;",
            "a.js:1:9: SyntaxError: unexpected token in expression: ';'",
        ),
        (
            "module.exports = {\n  key: 'a',\n",
            "a.js: at its end: SyntaxError: something is not closed",
        ),
        (
            "export default {}",
            "a.js:1:1: SyntaxError: unsupported keyword: export, \
             a definition is a CommonJS module: use require() and module.exports",
        ),
        ("\nfoo();", "a.js:2:1: ReferenceError: foo is not defined"),
        ("\n\n  throw new Error('no')", "a.js:3:13: no"),
        ("throw 'a text'", "a text"),
        ("throw { code: 1 }", "{\"code\":1}"),
        ("throw new Proxy({}, { get() { throw 1; } })", "an object"),
        ("throw '\\ud800'", "\u{fffd}"),
        (
            "const e = new Error(''); Object.defineProperty(e, 'message', { get() { throw 1; } }); throw e",
            "something that cannot be shown",
        ),
        (
            "module.exports = 42",
            "exports a number, not an object, write module.exports = { key: ..., ... }",
        ),
        (
            "module.exports = () => ({})",
            "exports a function, not an object, write module.exports = { key: ..., ... }",
        ),
        (
            "module.exports = { get key() { throw new Error('from the getter'); } }",
            "a.js:1:42: from the getter",
        ),
        (
            "module.exports = { key: '\\ud800' }",
            "exports what is not JSON here: unexpected end of hex escape at line 1 column 15",
        ),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn nothing_runs_longer_than_its_time() {
    for text in [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch {} }",
        "try { for (;;) {} } finally { for (;;) {} }",
        "function f() { try { f(); } catch { f(); } } f();",
        "/(a+)+$/.test('a'.repeat(40) + 'b')",
        "(async () => { for (;;) {} })()",
        "(function* () { for (;;) {} })().next()",
        "[1, 2].sort(() => { for (;;) {} })",
        "module.exports = { get key() { for (;;) {} } }",
        "module.exports = { key: { toJSON() { for (;;) {} } } }",
        "module.exports = new Proxy({}, { ownKeys() { for (;;) {} } })",
        "const e = new Error(''); Object.defineProperty(e, 'message', { get() { for (;;) {} } }); throw e",
        // The memory is full when the time is over, and every error is caught.
        "const x = []; for (;;) try { x.push('abc'.repeat(1000) + x.length); } catch {}",
    ] {
        let started = Instant::now();
        let ran = engine::run(&script(text), "{}", &engine::ScriptCall::Load, &SHORT);
        let why = answer::exported(ran.answer).expect_err(text);
        assert_eq!(why, "did not end within 0.1 s", "{text}");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{text}: {took:?}");
    }
}

/// Each of these would keep the interpreter within one of its own functions for hours or days.
#[test]
fn no_function_of_an_array_walks_a_length_that_no_array_has() {
    for text in [
        "[].reverse.call({ length: 2 ** 53 })",
        "[].indexOf.call({ length: 2 ** 53 }, 1)",
        "[].concat({ length: 2 ** 53, [Symbol.isConcatSpreadable]: true })",
        "[].every.call({ length: 2 ** 53 }, () => true)",
        "[].splice.call({ length: 2 ** 53 }, 0, 1)",
        "Array.from({ length: 2 ** 53 })",
        "new Array(2 ** 32 - 1).lastIndexOf(1)",
        "new Array(2 ** 32 - 1).join()",
        "String(new Array(2 ** 32 - 1))",
    ] {
        let why = refused(text);
        assert!(why.contains("elements is too long"), "{text}: {why}");
    }
}

#[test]
fn bounded_functions_of_arrays_are_the_usual_ones() {
    let text = "const a = [3, 1, 2];
        module.exports = {
            key: [a.sort().join(), Array.from('xy').reverse().concat([7]), [...a].length,
                [].slice.call({ length: 2, 0: 'p', 1: 'q' }), a.includes(2), String([[1], [2]]),
                Object.keys([]).length, [[1, [2]]].flat(2).map((x) => x * 2)],
        };";
    let ran = engine::run(&script(text), "{}", &engine::ScriptCall::Load, &LIMITS);
    let exported = answer::exported(ran.answer).expect("it loads");
    assert_eq!(
        exported.values["key"],
        json!([
            "1,2,3",
            ["y", "x", 7],
            3,
            ["p", "q"],
            true,
            "1,2",
            0,
            [2, 4]
        ])
    );
}

#[test]
fn memory_and_stack_have_an_end() {
    for (text, expected) in [
        ("const x = []; for (;;) x.push(() => x);", "memory"),
        ("'x'.repeat(1 << 29)", "memory"),
        ("new Array(1e6).fill(0)", "memory"),
        ("new ArrayBuffer(1e9)", "memory"),
        ("'x'.repeat(1e6).replace(/x/g, 'more than one')", "memory"),
        ("let s = 'x'; for (;;) s += s;", "memory"),
        ("function f() { f(); } f();", "stack"),
        ("JSON.parse('['.repeat(1e6))", "stack"),
        ("eval('('.repeat(1e5))", "stack"),
        (&"[".repeat(200_000), "stack"),
        (&"typeof ".repeat(30_000), "stack"),
    ] {
        let expected = match expected {
            "memory" => "needs more than 8192 KiB of memory",
            _ => "recurses too deeply",
        };
        assert_eq!(refused(text), expected, "{text:.60}");
    }
}

#[test]
fn a_definition_reaches_nothing_but_itself() {
    for name in [
        "std",
        "os",
        "fs",
        "print",
        "load",
        "scriptArgs",
        "setTimeout",
        "setInterval",
        "Worker",
        "fetch",
        "XMLHttpRequest",
        "Buffer",
        "__filename",
        "__dirname",
        "navigator",
        "gc",
    ] {
        let text = format!("module.exports = {{ key: typeof {name} }}");
        let values = exported(&script(&text)).expect("a definition").values;
        assert_eq!(values["key"], json!("undefined"), "{name}");
    }
    let blocked = refused("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)");
    assert_eq!(blocked, "a.js:1:33: TypeError: cannot block in this thread");
    exported(&script("import('a.js').then(() => { throw 1; })")).expect("nothing comes of it");
}

#[test]
fn modules_of_the_same_directory_can_be_required() {
    let script = directory(&[
        (
            "a.js",
            "const { twice } = require('./_tools');
             const table = require('./_table.json');
             module.exports = { key: twice(table.name), again: require('_tools.js') === require('./_tools') };",
        ),
        (
            "_tools.js",
            "exports.twice = (text) => text + text; exports.self = this === exports;",
        ),
        ("_table.json", "{\"name\": \"ab\"}"),
    ]);
    let values = exported(&script).expect("a definition").values;
    assert_eq!(Value::Object(values), json!({"key": "abab", "again": true}));
}

#[test]
fn a_cycle_of_modules_sees_what_is_exported_so_far() {
    let script = directory(&[
        (
            "a.js",
            "exports.early = 1; exports.key = require('./b').seen; exports.late = 2;",
        ),
        (
            "b.js",
            "const a = require('./a'); exports.seen = Object.keys(a).join();",
        ),
    ]);
    let values = exported(&script).expect("a definition").values;
    assert_eq!(
        Value::Object(values),
        json!({"early": 1, "key": "early", "late": 2})
    );
}

#[test]
fn a_wrong_require_names_what_is_wanted() {
    let script = |text| {
        directory(&[
            ("a.js", text),
            ("_broken.js", "exports.x = 1;\nexports.y = ;"),
            ("_broken.json", "{\"x\": }"),
            ("_throws.js", "\n\nundefined.x"),
        ])
    };
    for (text, expected) in [
        (
            "\n require('./none')",
            "a.js:2:2: cannot require './none': no such file in the directory of a.js",
        ),
        (
            "\n require('fs')",
            "a.js:2:2: cannot require 'fs': no such file in the directory of a.js",
        ),
        (
            "\n require('../a')",
            "a.js:2:2: cannot require '../a': only files in the directory of a.js can be required",
        ),
        (
            "\n require('/etc/passwd')",
            "a.js:2:2: cannot require '/etc/passwd': only files in the directory of a.js can be required",
        ),
        (
            "\n require('..')",
            "a.js:2:2: cannot require '..': no such file in the directory of a.js",
        ),
        (
            "\n require(1)",
            "a.js:2:2: TypeError: require wants the name of a file",
        ),
        (
            "\n require('./_broken')",
            "_broken.js:2:13: SyntaxError: unexpected token in expression: ';'",
        ),
        (
            "\n require('./_broken.json')",
            "a.js:2:2: SyntaxError: _broken.json is not JSON: expected value at line 1 column 7",
        ),
        (
            "\n require('./_throws')",
            "_throws.js:3:1: TypeError: cannot read property 'x' of undefined",
        ),
        (
            "\n try { require('./_throws') } catch {} require('./_throws')",
            "_throws.js:3:1: TypeError: cannot read property 'x' of undefined",
        ),
    ] {
        assert_eq!(exported(&script(text)).expect_err(text), expected, "{text}");
    }
}

#[test]
fn the_environment_can_be_read_and_not_changed() {
    let text = "process.env.HOME = 'elsewhere';
        process.env = {};
        module.exports = { key: process.env.HOME, no: process.env.NONE, names: Object.keys(process.env) };";
    let environment = r#"{"HOME": "/root", "__proto__": "odd"}"#;
    let ran = engine::run(
        &script(text),
        environment,
        &engine::ScriptCall::Load,
        &LIMITS,
    );
    let values = answer::exported(ran.answer).expect("a definition").values;
    assert_eq!(
        Value::Object(values),
        json!({"key": "/root", "names": ["HOME", "__proto__"]})
    );
    let own = exported(&script("module.exports = { key: process.env.PATH }"));
    let path = std::env::var("PATH").expect("a PATH");
    assert_eq!(own.expect("a definition").values["key"], json!(path));
}

#[test]
fn the_console_says_bounded_lines() {
    let text = "console.log('plain', 1, { a: [true] }, undefined, Symbol('s'), () => 1, '\\ud800');
        console.info(new Error('an error'), Object.create(null), new Proxy({}, { get() { throw 1; } }));
        console.warn('x'.repeat(5000));
        console.error();
        for (let i = 0; i < 1000; i++) console.debug(i);";
    let said = engine::run(&script(text), "{}", &engine::ScriptCall::Load, &LIMITS).said;
    let line = |level, text: &str| ScriptLine {
        level,
        text: text.to_owned(),
    };
    let expected = "plain 1 {\"a\":[true]} undefined Symbol(s) () => 1 \u{fffd}";
    assert_eq!(said[0], line(Level::Info, expected));
    let expected = "a.js:2:26: an error {} an object";
    assert_eq!(said[1], line(Level::Info, expected));
    let expected = format!("{}…", "x".repeat(1000));
    assert_eq!(said[2], line(Level::Warn, &expected));
    assert_eq!(said[3], line(Level::Error, ""));
    assert_eq!(said[4], line(Level::Debug, "0"));
    assert_eq!(said.len(), 100);
    let expected = "prints more than 100 lines, the rest is dropped";
    assert_eq!(said[99].text, expected);
}

#[test]
fn validate_decides() {
    let given = || json!({"address": "10.0.0.1"});
    check("", given(), Verdict::Accepted(given()));
    check("return configuration", given(), Verdict::Accepted(given()));
    check("return null", given(), Verdict::Remove);
    let fixed = json!({"address": "10.0.0.1", "mask": "255.0.0.0"});
    let body = "configuration.mask ??= '255.0.0.0'; return configuration";
    check(body, given(), Verdict::Accepted(fixed));
    let removed = json!({"address": null});
    let body = "return { address: null, gone: undefined }";
    check(body, given(), Verdict::Accepted(removed));
    let body = "throw new Error(`bad ${configuration.address}`)";
    check(body, given(), rejected("bad 10.0.0.1"));
    check("throw 'bad'", given(), rejected("bad"));
    let expected = "a.js:3:12: TypeError: cannot read property 'x' of undefined";
    check("return configuration.no.x", given(), rejected(expected));
    check(
        "return configuration + 1",
        json!("7"),
        Verdict::Accepted(json!("71")),
    );
    check(
        "return !configuration",
        json!(true),
        Verdict::Accepted(json!(false)),
    );
    check(
        "return String(configuration)",
        json!(7),
        Verdict::Accepted(json!("7")),
    );
}

#[test]
fn what_validate_returns_must_be_a_configuration() {
    for (body, expected) in [
        (
            "return true",
            "validate returned true, return the configuration, or throw to reject it",
        ),
        (
            "return (async () => configuration)()",
            "validate returned a promise, it must decide before it returns",
        ),
        (
            "configuration.self = configuration; return configuration",
            "validate returned what JSON cannot hold: TypeError: circular reference",
        ),
        (
            "return validate => 1",
            "validate returned what JSON cannot hold: a function",
        ),
        (
            "return 10n",
            "validate returned what JSON cannot hold: a BigInt",
        ),
        (
            "return { f() {} }",
            "validate returned what JSON cannot hold: member 'f' is a function",
        ),
        (
            "return { port: parseInt('x') }",
            "validate returned what JSON cannot hold: member 'port' is NaN",
        ),
        (
            "return { all: new Map() }",
            "validate returned what JSON cannot hold: member 'all' is a Map",
        ),
        (
            "return { toJSON() {} }",
            "validate returned what JSON cannot hold",
        ),
        (
            "return { get x() { throw new Error('from the getter'); } }",
            "validate returned what JSON cannot hold: from the getter",
        ),
        (
            "return { x: 'y'.repeat(70000) }",
            "validate returned 70008 bytes of JSON, more than the 65536 allowed",
        ),
        (
            "return { x: 'y'.repeat(7e6) }",
            "validate needs more than 8192 KiB of memory",
        ),
        (
            "return { x: '\\ud800' }",
            "validate returned what is not JSON here: unexpected end of hex escape at line 1 column 13",
        ),
        (
            "let x = []; for (let i = 0; i < 200; i++) x = [x]; return x",
            "validate returned what is not JSON here: recursion limit exceeded at line 1 column 128",
        ),
        (
            "let x = []; for (let i = 0; i < 1e5; i++) x = [x]; return x",
            "validate needs more than 8192 KiB of memory",
        ),
        ("const f = () => f(); f()", "validate recurses too deeply"),
        (
            "const x = []; for (;;) x.push(() => x)",
            "validate needs more than 8192 KiB of memory",
        ),
    ] {
        check(body, json!({"a": 1}), failed(expected));
    }
}

#[test]
fn a_validate_that_does_not_end_is_stopped() {
    for body in [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch {} }",
        "return { toJSON() { for (;;) {} } }",
        "return { get x() { for (;;) {} } }",
        "return { get then() { for (;;) {} } }",
    ] {
        let verdict = validate_within(&validating(body), &json!({}), &SHORT);
        assert_eq!(
            verdict,
            failed("validate did not end within 0.1 s"),
            "{body}"
        );
    }
}

#[test]
fn a_change_that_is_not_returned_is_not_used_and_reported() {
    let said = |body: &str| {
        let task = ScriptCall::Validate("{\"a\":1}".into());
        let ran = engine::run(&validating(body), "{}", &task, &LIMITS);
        let verdict = answer::verdict(ran.answer, &json!({"a": 1}));
        assert_eq!(verdict, Verdict::Accepted(json!({"a": 1})), "{body}");
        ran.said
    };
    assert_eq!(said(""), []);
    for body in ["configuration.a = 2", "configuration.a = configuration"] {
        let [said] = &said(body)[..] else {
            panic!("one line for {body}");
        };
        assert_eq!(said.level, Level::Warn);
        let expected =
            "validate changed the configuration but did not return it: the change is not used";
        assert_eq!(said.text, expected);
    }
}

#[test]
fn members_of_any_name_are_only_data() {
    let text = r#"{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1,"toJSON":2,"then":3,"hasOwnProperty":4,"key":"é\u0000\u2028"}"#;
    let configuration: Value = serde_json::from_str(text).expect("JSON");
    let body = "if (({}).polluted !== undefined) throw new Error('polluted'); return configuration";
    check(
        body,
        configuration.clone(),
        Verdict::Accepted(configuration),
    );
}

#[test]
fn a_deeply_nested_configuration_survives() {
    let text = format!("{}{}{}", "[".repeat(127), "1", "]".repeat(127));
    let deep: Value = serde_json::from_str(&text).expect("JSON");
    check(
        "return configuration",
        deep.clone(),
        Verdict::Accepted(deep.clone()),
    );
    let body =
        "const depth = (x) => Array.isArray(x) ? 1 + depth(x[0]) : 0; return depth(configuration)";
    check(body, deep, Verdict::Accepted(json!(127)));
}

#[test]
fn calls_know_nothing_of_each_other() {
    let script = script(
        "let calls = 0;
         module.exports = { validate() { calls += 1; globalThis.calls = (globalThis.calls ?? 0) + 1; return { calls, all: globalThis.calls }; } };",
    );
    for _ in 0..2 {
        let expected = Verdict::Accepted(json!({"calls": 1, "all": 1}));
        assert_eq!(validate(&script, &json!({})), expected);
    }
}

#[test]
fn a_definition_that_changes_the_world_changes_only_its_own() {
    let body = "JSON.stringify = () => '1'; JSON.parse = () => 2; globalThis.InternalError = undefined; return configuration";
    check(body, json!({"a": 1}), Verdict::Accepted(json!({"a": 1})));
    let verdict = validate(&validating("Array.prototype.map = null"), &json!({}));
    assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
}

#[test]
fn a_validate_that_is_gone_is_reported() {
    let verdict = validate(&script("module.exports = {}"), &json!({}));
    assert_eq!(verdict, failed("there is no validate any more"));
    let verdict = validate(&script("syntax error"), &json!({}));
    assert_eq!(verdict, failed("a.js:1:8: SyntaxError: expecting ';'"));
}

#[test]
fn the_memory_may_end_anywhere() {
    for body in [
        "const x = []; for (;;) x.push({ a: ['x' + x.length], f: () => x, m: new Map([[x, 1]]) });",
        "const x = []; for (;;) x.push(/a+/.exec('aaa'), async () => x, 10n ** 50n, new WeakRef(x));",
        "const x = []; try { for (;;) x.push('ab'.repeat(100) + x.length); } catch {} return x;",
    ] {
        for memory in (450_000..600_000).step_by(3_001) {
            let limits = Limits { memory, ..LIMITS };
            let verdict = validate_within(&validating(body), &json!({}), &limits);
            assert!(!matches!(verdict, Verdict::Accepted(_)), "{memory}: {body}");
        }
    }
}
