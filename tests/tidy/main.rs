//! What the compiler does not check: purity, the direction of imports, module comments, that every
//! option is documented, and that documents are well formed. Read from the text of the files.

mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chariotd::cli::Cli;
use clap::CommandFactory;
use shape::{Catchalls, Tree, circles};
use syn::visit::Visit;

/// The rows of the house from the top to the ground. A module uses lower rows; a feature or an edge
/// never uses another one of its own row.
const ROWS: [&[&str]; 8] = [
    &["main"],
    &["daemon"],
    &["config"],
    &[
        "cli",
        "publish",
        "shadow",
        "provision",
        "command",
        "subscribe",
        "inbox",
        "tunnel",
        "supervision",
    ],
    &["mqtt"],
    &["net", "aws", "spool", "certstore", "process", "format"],
    &[
        "clock",
        "exit",
        "file",
        "identity",
        "json",
        "logging",
        "suggest",
        "offload",
        "pem",
        "log_throttle",
        "text",
        "transient",
        "waits",
        "x509",
    ],
    &["date"],
];

/// What a pure file may not name.
const IMPURE: [&str; 9] = [
    "tokio",
    "rumqttc",
    "rustls",
    "std::fs",
    "std::net",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "log::",
];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Everything before the tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or_default()
    }

    /// Lines of code, numbered, without comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code()
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn module(&self) -> String {
        let relative = self
            .path
            .strip_prefix(root().join("src"))
            .expect("below src");
        let first = relative
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_test(&self) -> bool {
        self.path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut dirs = vec![root().join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 20, "the sources are found");
    sources.retain(|source| !source.is_test());
    sources
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[test]
fn every_file_begins_with_its_promise() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{}", source.path.display());
    }
}

#[test]
fn pure_files_touch_nothing_of_the_world() {
    let mut pure = 0;
    for source in sources()
        .iter()
        .filter(|source| source.text.starts_with("//! Pure"))
    {
        pure += 1;
        for (number, line) in source.lines() {
            for word in IMPURE {
                assert!(
                    !line.contains(word),
                    "{}:{number} names {word}",
                    source.path.display()
                );
            }
        }
    }
    assert!(pure >= 10, "the pure files are found: {pure}");
}

#[test]
fn modules_use_only_what_is_below_them() {
    for source in sources() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let own =
            row(&module).unwrap_or_else(|| panic!("{module} has no row in tests/tidy/main.rs"));
        for (number, line) in source.lines() {
            let prefix = if module == "main" {
                "chariotd::"
            } else {
                "crate::"
            };
            for used in line.split(prefix).skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let Some(other) = row(&used) else { continue };
                let allowed = other > own || used == module;
                assert!(
                    allowed,
                    "{}:{number}: {module} may not use {used}",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn only_the_connection_knows_the_mqtt_and_tls_crates() {
    for (module, name) in [("mqtt", "rumqttc::"), ("net", "rustls::")] {
        for source in sources().iter().filter(|one| one.module() != module) {
            for (number, line) in source.lines() {
                assert!(!line.contains(name), "{}:{number}", source.path.display());
            }
        }
    }
}

#[test]
fn the_two_wings_of_the_shadow_do_not_know_each_other() {
    let mut files = 0;
    for source in sources() {
        let path = source.path.to_string_lossy().into_owned();
        let other = match (
            path.contains("shadow/cloud/"),
            path.contains("shadow/device/"),
        ) {
            (true, _) => "device::",
            (_, true) => "cloud::",
            (false, false) => continue,
        };
        files += 1;
        for (number, line) in source.lines() {
            assert!(!line.contains(other), "{path}:{number} names {other}");
        }
    }
    assert!(files > 20, "the files of both are found: {files}");
}

#[test]
fn only_one_file_knows_the_javascript_interpreter() {
    for source in sources() {
        let engine = source.path.ends_with("shadow/device/javascript/engine.rs");
        let named = source.lines().any(|(_, line)| line.contains("rquickjs"));
        assert_eq!(named, engine, "{}", source.path.display());
    }
}

#[test]
fn nothing_panics_on_what_comes_from_outside() {
    for source in sources() {
        for (number, line) in source.lines() {
            let panics = [
                ".unwrap()",
                "panic!(",
                "todo!(",
                "unimplemented!(",
                "process::exit",
            ];
            let found = panics.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{}:{number}", source.path.display());
        }
    }
}

#[test]
fn the_manual_lists_exactly_the_options_of_the_program() {
    let command = Cli::command();
    let program: BTreeSet<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|name| !["help", "version"].contains(name))
        .map(str::to_owned)
        .collect();
    let manual = fs::read_to_string(root().join("docs/chariotd.8.md")).expect("the manual");
    let listed: BTreeSet<String> = manual
        .lines()
        .filter(|line| {
            line.trim_start_matches(['-', ' ', '*', '#'])
                .starts_with("`--")
        })
        .flat_map(|line| line.split("`--").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect()
        })
        .filter(|name: &String| {
            !["help", "version", "id", "rootca", "opt"].contains(&name.as_str())
        })
        .collect();
    let missing: Vec<_> = program.difference(&listed).collect();
    assert!(missing.is_empty(), "not in docs/chariotd.8.md: {missing:?}");
    let invented: Vec<_> = listed.difference(&program).collect();
    assert!(
        invented.is_empty(),
        "only in docs/chariotd.8.md: {invented:?}"
    );
}

/// The documents of both crates, with their text.
fn documents() -> Vec<Source> {
    let folders = ["", "docs", "crates/iotcore-sandbox"].map(|folder| root().join(folder));
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a directory").flatten());
    let paths = entries.map(|entry| entry.path());
    let documents: Vec<Source> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| Source {
            text: fs::read_to_string(&path).expect("a document"),
            path,
        })
        .collect();
    assert!(documents.len() >= 6, "the documents are found");
    documents
}

/// The lines of a document outside of its blocks of code, numbered.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

#[test]
fn headings_stand_apart_from_the_text_before_them() {
    for document in documents() {
        let lines: Vec<&str> = document.text.lines().collect();
        for (number, line) in prose(&document.text).filter(|(_, line)| line.starts_with('#')) {
            let apart = number == 1 || lines[number - 2].is_empty();
            assert!(apart, "{}:{number}: {line}", document.path.display());
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    for document in documents() {
        let folder = document.path.parent().expect("a folder");
        for (number, line) in prose(&document.text) {
            for link in line.split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                links += 1;
                let found = folder.join(target).exists();
                assert!(found, "{}:{number}: {target}", document.path.display());
            }
        }
    }
    assert!(links >= 10, "the links are found: {links}");
}

/// The changelog and the decisions mention files that may be gone.
#[test]
fn files_that_documents_name_are_there() {
    let history = ["CHANGELOG.md", "DECISIONS.md"];
    let mut files = 0;
    for document in documents() {
        if history.iter().any(|name| document.path.ends_with(name)) {
            continue;
        }
        for (number, line) in prose(&document.text) {
            for name in line.split('`').skip(1).step_by(2) {
                let folder = name.split('/').next().unwrap_or_default();
                let ours = ["src", "tests", "crates", "docs", "runit", ".ci"].contains(&folder);
                if !ours || !name.contains('/') || name.contains(' ') {
                    continue;
                }
                files += 1;
                let found = root().join(name).exists();
                assert!(found, "{}:{number}: {name}", document.path.display());
            }
        }
    }
    assert!(files >= 20, "the files are found: {files}");
}

#[test]
fn the_map_shows_the_rows_of_the_house_as_they_are() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map");
    let names = |row: &[&'static str]| -> BTreeSet<&str> {
        row.iter().copied().filter(|it| *it != "cli").collect()
    };
    let drawing = map.split("```").find_map(|it| it.strip_prefix("mermaid"));
    let drawn: BTreeSet<&str> = drawing
        .expect("a drawing")
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for (title, row) in [
        ("features:", ROWS[3]),
        ("mqtt:", ROWS[4]),
        ("edges:", ROWS[5]),
        ("ground:", ROWS[6]),
        ("floor:", ROWS[7]),
    ] {
        let rows: Vec<BTreeSet<&str>> = map
            .lines()
            .filter_map(|line| line.strip_prefix(title))
            .map(|row| row.split('(').next().unwrap_or(row))
            .map(|row| row.split_whitespace().collect())
            .collect();
        assert_eq!(rows, [names(row)], "{title}");
        assert!(names(row).is_subset(&drawn), "{title} are drawn");
    }
}

/// In a step of a walk each file is followed by a function that is in it.
#[test]
fn the_walks_lead_through_functions_that_are_there() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map");
    let walks = map.split("\n## ").find(|it| it.starts_with("Three walks"));
    let mut steps = 0;
    for line in walks.expect("the walks").lines() {
        if !line.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        assert!(quoted[0].ends_with(".rs"), "{line}");
        for pair in quoted.windows(2).filter(|pair| pair[0].ends_with(".rs")) {
            let file = root().join("src").join(pair[0]);
            let source = fs::read_to_string(&file).unwrap_or_default();
            let function = format!("fn {}", pair[1]);
            let ends = |rest: &str| rest.starts_with(['(', '<']);
            let found = source.split(&function).skip(1).any(ends);
            assert!(found, "{function} in {}: {line}", pair[0]);
        }
        steps += 1;
    }
    assert!(steps > 30, "the steps are found: {steps}");
}

#[test]
fn a_type_has_a_name_of_its_own() {
    let tree = Tree::read(&root().join("src"));
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, file) in &tree.files {
        for name in Tree::types(file) {
            homes.entry(name).or_default().push(module.join("/"));
        }
    }
    homes.retain(|_, homes| homes.len() > 1);
    assert_eq!(homes, BTreeMap::new());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let tree = Tree::read(&root().join("src"));
    let uses = tree.uses();
    let count: usize = uses.values().map(BTreeSet::len).sum();
    assert!(count > 200, "the uses are found: {count}");
    let circles = circles(&uses);
    assert!(
        circles.is_empty(),
        "{}",
        circles.join(
            "
"
        )
    );
}

#[test]
fn a_match_on_an_enum_of_ours_names_every_variant() {
    let tree = Tree::read(&root().join("src"));
    let enums: BTreeSet<String> = tree
        .files
        .values()
        .flat_map(|file| &file.items)
        .filter_map(|item| match item {
            syn::Item::Enum(it) => Some(it.ident.to_string()),
            _ => None,
        })
        .collect();
    assert!(enums.len() > 50, "the enums are found: {}", enums.len());
    let mut all = Vec::new();
    for (module, file) in &tree.files {
        let mut catchalls = Catchalls {
            enums: &enums,
            found: Vec::new(),
        };
        catchalls.visit_file(file);
        let found = catchalls.found.into_iter();
        all.extend(found.map(|it| format!("{}: {it}", module.join("/"))));
    }
    assert_eq!(all, Vec::<String>::new());
}

#[test]
fn the_map_shows_every_file_and_which_of_them_are_pure() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map");
    let lines = map
        .lines()
        .skip_while(|line| *line != "src/")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let (mut folders, mut shown) = (Vec::<String>::new(), BTreeSet::new());
    for line in lines {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        folders.truncate(depth - 1);
        let pure = words.next() == Some("[P]");
        let path = folders.concat() + &name;
        if name.ends_with('/') {
            folders.push(name);
        } else {
            shown.insert((path, pure));
        }
    }
    // What a folder is for stands beside it, and its `mod.rs` says the same.
    let files = sources().into_iter().map(|source| {
        let path = source.path.strip_prefix(root().join("src"));
        let path = path.expect("below src").to_string_lossy().into_owned();
        (path, source.text.starts_with("//! Pure"))
    });
    let files: BTreeSet<_> = files.filter(|it| !it.0.ends_with("mod.rs")).collect();
    let difference: Vec<_> = shown.symmetric_difference(&files).collect();
    assert!(difference.is_empty(), "on one side only: {difference:?}");
}
