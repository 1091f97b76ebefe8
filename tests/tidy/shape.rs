//! The shape of the source: which file uses which, what each one defines, and how it matches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;
use syn::{Item, ItemMod, ItemUse, Pat, UseTree, Visibility};

/// For each file the files that it uses.
pub type Uses<'a> = BTreeMap<&'a Vec<String>, BTreeSet<&'a Vec<String>>>;

/// The files of `src/`, by the path of their modules: `["mqtt", "dial", "race"]`.
pub struct Tree {
    pub files: BTreeMap<Vec<String>, syn::File>,
}

impl Tree {
    /// Reads every file that is not one of tests.
    pub fn read(src: &Path) -> Tree {
        let mut files = BTreeMap::new();
        let mut dirs = vec![(src.to_owned(), Vec::new())];
        while let Some((dir, module)) = dirs.pop() {
            for entry in fs::read_dir(&dir).expect("a directory").flatten() {
                let path = entry.path();
                let stem = path.file_stem().expect("a name").to_string_lossy();
                let mut own = module.clone();
                if path.is_dir() {
                    own.push(stem.into_owned());
                    dirs.push((path, own));
                    continue;
                }
                if stem.ends_with("tests") || path.extension().is_none_or(|it| it != "rs") {
                    continue;
                }
                if stem != "mod" && stem != "lib" {
                    own.push(stem.clone().into_owned());
                }
                if stem == "main" {
                    continue;
                }
                let text = fs::read_to_string(&path).expect("a source file");
                let file = syn::parse_file(&text).expect("it compiles");
                files.insert(own, file);
            }
        }
        Tree { files }
    }

    /// The types that a file defines outside of its tests.
    pub fn types(file: &syn::File) -> BTreeSet<String> {
        let names = file.items.iter().filter_map(|item| match item {
            Item::Struct(it) => Some(&it.ident),
            Item::Enum(it) => Some(&it.ident),
            Item::Trait(it) => Some(&it.ident),
            Item::Type(it) => Some(&it.ident),
            _ => None,
        });
        names.map(|name| name.to_string()).collect()
    }

    /// For each file the files that it names, with re-exports followed to where a thing is defined.
    pub fn uses(&self) -> Uses<'_> {
        let uses = self.files.iter().map(|(module, file)| {
            let mut found = Paths::default();
            file.items.iter().for_each(|item| found.visit_item(item));
            let used = found
                .paths
                .iter()
                .filter_map(|path| self.home(&absolute(module, path)?, 0))
                .filter(|home| *home != module)
                .collect();
            (module, used)
        });
        uses.collect()
    }

    /// The file that a path of the crate leads to.
    fn home(&self, path: &[String], depth: usize) -> Option<&Vec<String>> {
        let whole = (0..=path.len()).rev().find_map(|length| {
            let (module, _) = self.files.get_key_value(&path[..length])?;
            Some((module, path.get(length)))
        });
        let (module, name) = whole?;
        let Some(name) = name.filter(|_| depth < 8) else {
            return Some(module);
        };
        let exported = exports(&self.files[module]).remove(name);
        match exported.and_then(|path| absolute(module, &path)) {
            Some(path) => self.home(&path, depth + 1),
            None => Some(module),
        }
    }
}

/// What a file exports of others, by its name there.
fn exports(file: &syn::File) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for item in &file.items {
        if let Item::Use(ItemUse { vis, tree, .. }) = item
            && !matches!(vis, Visibility::Inherited)
        {
            for (name, path) in flat(tree) {
                all.insert(name, path);
            }
        }
    }
    all
}

/// Paths as they are written, from the use declarations and from within expressions and types.
#[derive(Default)]
struct Paths {
    paths: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A re-export is not a use: whoever takes it from here uses where it is defined.
        if matches!(item.vis, Visibility::Inherited) {
            self.paths
                .extend(flat(&item.tree).into_iter().map(|it| it.1));
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(|it| it.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single word is a variable, or has a use declaration.
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|it| it.ident.to_string());
            self.paths.push(segments.collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// The names that a use declaration brings, each with its whole path.
fn flat(tree: &UseTree) -> Vec<(String, Vec<String>)> {
    match tree {
        UseTree::Path(path) => {
            let mut all = flat(&path.tree);
            for (name, rest) in &mut all {
                rest.insert(0, path.ident.to_string());
                if name == "self" {
                    *name = path.ident.to_string();
                }
            }
            all
        }
        UseTree::Name(name) if name.ident == "self" => vec![("self".to_owned(), Vec::new())],
        UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        UseTree::Rename(it) => vec![(it.rename.to_string(), vec![it.ident.to_string()])],
        UseTree::Glob(_) => vec![("*".to_owned(), Vec::new())],
        UseTree::Group(group) => group.items.iter().flat_map(flat).collect(),
    }
}

/// A path of this crate from its root. `None`: it is relative to something else, or foreign.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    let mut rest = path.iter();
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            rest.next();
        }
        "self" => drop(rest.next()),
        "super" => {
            while rest.as_slice().first().is_some_and(|it| it == "super") {
                rest.next();
                at.pop();
            }
        }
        // A child of this module; a name from elsewhere has its own use declaration.
        _ => {}
    }
    at.extend(rest.cloned());
    Some(at)
}

/// Matches on our own enums that have an arm for all the rest.
pub struct Catchalls<'a> {
    pub enums: &'a BTreeSet<String>,
    pub found: Vec<String>,
}

impl<'ast> Visit<'ast> for Catchalls<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(|it| it.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_match(&mut self, matched: &'ast syn::ExprMatch) {
        let ours = matched
            .arms
            .iter()
            .flat_map(|arm| variants(&arm.pat))
            .find(|variant| self.enums.contains(&variant.0));
        let rest = matched
            .arms
            .iter()
            .any(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
        if let Some((name, variant)) = ours.filter(|_| rest) {
            self.found.push(format!("{name}::{variant}"));
        }
        syn::visit::visit_expr_match(self, matched);
    }
}

/// The variants that a pattern names: `A::B`, `A::B(_) | A::C { .. }`, also within `Some` or a tuple.
fn variants(pattern: &Pat) -> Vec<(String, String)> {
    match pattern {
        Pat::Path(it) => of(&it.path),
        Pat::Struct(it) => of(&it.path),
        Pat::TupleStruct(it) => {
            let inner = it.elems.iter().flat_map(variants);
            of(&it.path).into_iter().chain(inner).collect()
        }
        Pat::Tuple(it) => it.elems.iter().flat_map(variants).collect(),
        Pat::Or(it) => it.cases.iter().flat_map(variants).collect(),
        Pat::Reference(it) => variants(&it.pat),
        _ => Vec::new(),
    }
}

fn of(path: &syn::Path) -> Vec<(String, String)> {
    let segments: Vec<String> = path
        .segments
        .iter()
        .map(|it| it.ident.to_string())
        .collect();
    match segments.as_slice() {
        [.., name, variant] => vec![(name.clone(), variant.clone())],
        _ => Vec::new(),
    }
}

/// The groups of files that use each other, directly or through others.
pub fn circles(uses: &Uses) -> Vec<String> {
    let reach: BTreeMap<_, _> = uses
        .keys()
        .map(|from| (*from, reachable(from, uses)))
        .collect();
    let mut groups = BTreeSet::new();
    for (from, seen) in &reach {
        let group: BTreeSet<_> = seen.iter().filter(|it| reach[*it].contains(from)).collect();
        let names: Vec<String> = group.iter().map(|it| it.join("/")).collect();
        if !names.is_empty() {
            groups.insert(names.join(" <-> "));
        }
    }
    groups.into_iter().collect()
}

fn reachable<'a>(from: &Vec<String>, uses: &Uses<'a>) -> BTreeSet<&'a Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<_> = uses[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if seen.insert(at) {
            next.extend(uses[at].iter().copied());
        }
    }
    seen
}
