//! Pure: SHELL files. They are safe to source: `sh` and `bash` read back the exact values and execute
//! none of them. Reading is what `sh` would read.
//!
//! [`flatten`] turns members into variables and [`nest`] turns them back; [`text`] is what a variable
//! holds; [`quote`] writes it, [`assignments`] reads it from the words of [`words`]; [`names`] says
//! which variables a file may set.

mod assignments;
mod flatten;
mod names;
mod nest;
mod quote;
mod text;
mod words;

use crate::json::Kind;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::flatten::{Flat, shown_path};
use self::nest::Known;
use self::text::Text;
use super::rendered::Rendered;

/// More would flood the log.
const MOST_WARNINGS: usize = 20;

pub fn render(value: &Value) -> Result<Rendered, String> {
    let members = match value {
        Value::Null => return Ok(Rendered::whole(Vec::new())),
        Value::Object(members) => members,
        other => return Err(format!("is {}, and SHELL holds an object", Kind::of(other))),
    };
    let (lines, left_out) = lines(members)?;
    let mut bytes = Vec::new();
    for (name, text) in lines {
        quote::line(&name, &text, &mut bytes);
    }
    let warnings = bounded(left_out);
    Ok(Rendered { bytes, warnings })
}

/// What the variables hold, by their names, and a sentence for each member that is left out.
fn lines(members: &Map<String, Value>) -> Result<(BTreeMap<String, Text>, Vec<String>), String> {
    let mut lines = BTreeMap::new();
    let mut paths = BTreeMap::new();
    let mut left_out = Vec::new();
    for leaf in Flat::of(members).leaves {
        let path = shown_path(&leaf.path);
        if let Some(why) = names::unusable(&leaf.name) {
            left_out.push(format!("member {path} is left out: {why}"));
            continue;
        }
        if let Some(other) = paths.insert(leaf.name.clone(), path.clone()) {
            return Err(format!(
                "members {other} and {path} are the same shell variable"
            ));
        }
        let text = Text::of(leaf.value).map_err(|why| format!("member {path} {why}"))?;
        lines.insert(leaf.name, text);
    }
    Ok((lines, left_out))
}

fn bounded(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(format!("and {more} more members are left out"));
    }
    warnings
}

pub fn parse(contents: &[u8], known: &Value) -> Result<Value, String> {
    let read = assignments::read(contents)?;
    if read.is_empty() && known.is_null() {
        return Ok(Value::Null);
    }
    let mut variables = BTreeMap::new();
    for (name, text) in read {
        assign(&mut variables, name, text);
    }
    let nothing = Map::new();
    let known = Known::of(known.as_object().unwrap_or(&nothing));
    Ok(nest::nest(variables, &known))
}

/// The last assignment to a name stands, but to an array one text is its first element.
fn assign(variables: &mut BTreeMap<String, Text>, name: String, text: Text) {
    match (variables.get_mut(&name), text) {
        (Some(Text::Many(items)), Text::One(text)) => match items.first_mut() {
            Some(first) => *first = text,
            None => items.push(text),
        },
        (_, text) => {
            variables.insert(name, text);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "laws_tests.rs"]
mod laws_tests;
