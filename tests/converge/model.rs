//! What was asked for last, and values that are easily mistaken for others.

use serde_json::{Map, Value, json};

/// What the last value of each member of a key is.
pub type Model = Map<String, Value>;

pub fn merge(model: &mut Model, change: &Map<String, Value>) {
    for (member, value) in change {
        if value.is_null() || value == "DELETE" {
            model.remove(member);
        } else {
            model.insert(member.clone(), value.clone());
        }
    }
}

/// One member that several write.
pub fn member(name: &str, value: impl Into<Value>) -> Map<String, Value> {
    [(name.to_owned(), value.into())].into_iter().collect()
}

/// A member that desired values and update files change, and the values that may be its last: of
/// two that came at the same time either.
#[derive(Default)]
pub struct Shared {
    pub desired: Option<u32>,
    pub filed: Option<u32>,
}

impl Shared {
    pub fn allows(&self, found: &Value) -> bool {
        let last = [self.desired, self.filed];
        let nothing = last == [None, None] && found.is_null();
        nothing || last.iter().flatten().any(|value| found == &json!(value))
    }
}

/// Values that are easily mistaken for others.
pub fn tricky(rng: &mut fastrand::Rng) -> Value {
    match rng.u32(0..10) {
        0 => json!("007"),
        1 => json!("true"),
        2 => json!(true),
        3 => json!("1e3"),
        4 => json!("it's $(reboot) `reboot` ;"),
        5 => json!([1, "two", false]),
        6 => json!([]),
        7 => json!("DELETE"),
        8 => json!(""),
        _ => json!(rng.u32(..1000)),
    }
}

/// A second reading of the SHELL format, for the values above.
pub fn shell(config: &Value) -> String {
    let quoted = |value: &Value| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("'{}'", text.replace('\'', "'\\''"))
    };
    let members = config.as_object().expect("an object").iter();
    let mut lines: Vec<String> = members
        .map(|(name, value)| match value.as_array() {
            Some(items) => {
                let items: Vec<String> = items.iter().map(quoted).collect();
                format!("{name}=({})", items.join(" "))
            }
            None => format!("{name}={}", quoted(value)),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}
