//! The shape of the source: which file uses which, what each one defines, and how it matches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::Item;

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
}
