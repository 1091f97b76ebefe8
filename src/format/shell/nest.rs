//! Pure: variables become nested members again, in the places of the known document.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::flatten::{Flat, Leaf};
use super::names::is_name;
use super::text::Text;
use crate::format::rendered::MOST_LEVELS;

/// Where a document has its members, by the names of their variables.
pub struct Known<'a> {
    leaves: BTreeMap<String, Leaf<'a>>,
    branches: BTreeMap<String, Vec<&'a str>>,
    empty: Vec<Vec<&'a str>>,
}

impl<'a> Known<'a> {
    pub fn of(members: &'a Map<String, Value>) -> Known<'a> {
        let mut known = Known {
            leaves: BTreeMap::new(),
            branches: BTreeMap::new(),
            empty: Vec::new(),
        };
        let flat = Flat::of(members);
        for leaf in flat.leaves {
            known.leaves.entry(leaf.name.clone()).or_insert(leaf);
        }
        for branch in flat.branches {
            if branch.empty {
                known.empty.push(branch.path.clone());
            }
            if is_name(&branch.name) {
                known.branches.entry(branch.name).or_insert(branch.path);
            }
        }
        known
    }

    /// The object whose name and a `_` begin `name`, the longest of several, and what is left then.
    fn branch<'n>(&self, name: &'n str) -> Option<(&[&'a str], &'n str)> {
        let mut bound = Bound::Included(name);
        loop {
            let below = (Bound::Unbounded, bound);
            let (candidate, path) = self.branches.range::<str, _>(below).next_back()?;
            let rest = name.strip_prefix(candidate.as_str());
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('_')) {
                return Some((path, rest));
            }
            // A name that begins `name` begins what the two have in common, and is not the candidate.
            let common = common(name, candidate);
            bound = if common == candidate.len() {
                Bound::Excluded(&name[..common])
            } else {
                Bound::Included(&name[..common])
            };
        }
    }

    /// Where a variable belongs: the place that it has, or its own object's, or one nested by `_`.
    fn place(&self, name: &str) -> Vec<String> {
        if let Some(leaf) = self.leaves.get(name) {
            return owned(&leaf.path);
        }
        let (branch, rest) = self.branch(name).unwrap_or((&[], name));
        let mut path = owned(branch);
        let levels = MOST_LEVELS.saturating_sub(path.len() + 1);
        path.extend(parts(rest, levels));
        path
    }

    /// The value of a variable: the known one if that is its text.
    fn value(&self, name: &str, text: Text) -> Value {
        match self.leaves.get(name) {
            Some(leaf) if Text::of(leaf.value).as_ref() == Ok(&text) => leaf.value.clone(),
            _ => text.into_value(),
        }
    }
}

/// Every variable becomes a member. Where one would have to be inside of another (`a` and `a_b`), the
/// longer name is not nested there. Known objects without members have no line, and stay.
pub fn nest(variables: BTreeMap<String, Text>, known: &Known) -> Value {
    let mut members = Map::new();
    // In this order every name comes before those that it begins.
    for (name, text) in variables {
        let value = known.value(&name, text);
        insert(&mut members, &known.place(&name), value);
    }
    for path in &known.empty {
        insert_empty(&mut members, path);
    }
    Value::Object(members)
}

/// A name's parts between `_`, at most `most`. One with an empty part is a single part: nobody nests
/// `_a`, `a_` or `a__b`.
fn parts(name: &str, most: usize) -> Vec<String> {
    if name.split('_').any(str::is_empty) {
        return vec![name.to_owned()];
    }
    name.splitn(most.max(1), '_').map(str::to_owned).collect()
}

fn insert(members: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        members.insert(first.clone(), value);
        return;
    }
    let inner = members
        .entry(first.as_str())
        .or_insert_with(|| Value::Object(Map::new()));
    match inner {
        Value::Object(inner) => insert(inner, rest, value),
        _ => {
            members.insert(path.join("_"), value);
        }
    }
}

fn insert_empty(members: &mut Map<String, Value>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let inner = match members.entry(*first) {
        Entry::Occupied(inner) => inner.into_mut(),
        Entry::Vacant(place) => place.insert(Value::Object(Map::new())),
    };
    if let Value::Object(inner) = inner {
        insert_empty(inner, rest);
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|member| (*member).to_owned()).collect()
}

fn common(one: &str, other: &str) -> usize {
    let pairs = one.bytes().zip(other.bytes());
    pairs.take_while(|(a, b)| a == b).count()
}
