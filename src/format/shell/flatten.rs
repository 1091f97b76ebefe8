//! Pure: nested members become variables, their names joined with `_`.

use serde_json::{Map, Value};

use crate::format::rendered::shown;

/// A member that is not an object.
pub struct Leaf<'a> {
    pub name: String,
    pub path: Vec<&'a str>,
    pub value: &'a Value,
}

/// A member that is an object. It is empty if it has nothing but nulls.
pub struct Branch<'a> {
    pub name: String,
    pub path: Vec<&'a str>,
    pub empty: bool,
}

/// Everything in an object, in its order, without nulls. Names may repeat or be no names at all.
#[derive(Default)]
pub struct Flat<'a> {
    pub leaves: Vec<Leaf<'a>>,
    pub branches: Vec<Branch<'a>>,
}

impl<'a> Flat<'a> {
    pub fn of(members: &'a Map<String, Value>) -> Flat<'a> {
        let mut flat = Flat::default();
        flat.walk(members, &mut Vec::new());
        flat
    }

    fn walk(&mut self, members: &'a Map<String, Value>, path: &mut Vec<&'a str>) {
        for (member, value) in members {
            path.push(member);
            self.member(value, path);
            path.pop();
        }
    }

    fn member(&mut self, value: &'a Value, path: &mut Vec<&'a str>) {
        let name = path.join("_");
        match value {
            Value::Null => {}
            Value::Object(members) => {
                let (path_here, empty) = (path.clone(), members.values().all(Value::is_null));
                self.branches.push(Branch {
                    name,
                    path: path_here,
                    empty,
                });
                self.walk(members, path);
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.leaves.push(Leaf {
                    name,
                    path: path.clone(),
                    value,
                });
            }
        }
    }
}

/// A path for a message: `"net"."my_key"`.
pub fn shown_path(path: &[&str]) -> String {
    const MOST_MEMBERS: usize = 8;
    let members = path.iter().take(MOST_MEMBERS);
    let mut quoted: Vec<String> = members
        .map(|member| format!("\"{}\"", shown(member)))
        .collect();
    if path.len() > MOST_MEMBERS {
        quoted.push("...".into());
    }
    quoted.join(".")
}
