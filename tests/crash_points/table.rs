//! The outcomes of all points as a table in Markdown, one row for each call and fault.

use std::collections::BTreeMap;

use crate::parts::Part;
use crate::story::{Ending, Outcome};

const HEAD: &str = "\
| system call | fault | points | reached | killed | ended itself | done without a restart | lost | repeated | in failed/ | verdict |
|---|---|---|---|---|---|---|---|---|---|---|
";

#[derive(Default)]
struct Row {
    points: usize,
    reached: usize,
    killed: usize,
    ended: usize,
    went_on: usize,
    lost: usize,
    repeated: usize,
    given_up: usize,
    wrong: usize,
}

impl Row {
    fn add(&mut self, outcome: &Outcome) {
        self.points += 1;
        self.reached += usize::from(outcome.reached);
        self.killed += usize::from(outcome.ending == Ending::Killed);
        self.ended += usize::from(matches!(outcome.ending, Ending::Ended(_)));
        self.went_on += usize::from(outcome.ending == Ending::WentOn);
        self.lost += outcome.lost;
        self.repeated += outcome.repeated;
        self.given_up += outcome.given_up;
        self.wrong += usize::from(!outcome.problems.is_empty());
    }

    fn line(&self, call: &str, fault: &str) -> String {
        let verdict = match self.wrong {
            0 => "kept".to_owned(),
            count => format!("**{count} wrong**"),
        };
        let numbers = [
            self.points,
            self.reached,
            self.killed,
            self.ended,
            self.went_on,
            self.lost,
            self.repeated,
            self.given_up,
        ];
        let numbers = numbers.map(|number| number.to_string()).join(" | ");
        format!("| {call} | {fault} | {numbers} | {verdict} |\n")
    }
}

pub fn write(outcomes: &[Outcome]) -> String {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    let mut sum = Row::default();
    for outcome in outcomes {
        let key = (outcome.point.call, outcome.point.fault);
        rows.entry(key).or_default().add(outcome);
        sum.add(outcome);
    }
    let mut text = HEAD.to_owned();
    for ((call, fault), row) in &rows {
        text += &row.line(call, fault);
    }
    text + &sum.line("all", "") + "\n" + &by_part(outcomes)
}

fn by_part(outcomes: &[Outcome]) -> String {
    let mut parts: BTreeMap<Part, Row> = BTreeMap::new();
    for outcome in outcomes {
        parts.entry(outcome.point.part).or_default().add(outcome);
    }
    let line = |(part, row): (&Part, &Row)| row.line(&format!("{part:?}"), "all");
    HEAD.replace("system call", "part") + &parts.iter().map(line).collect::<String>()
}

/// Why the daemon ended by itself, each reason once.
pub fn last_words(outcomes: &[Outcome]) {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for outcome in outcomes {
        if let Ending::Ended(code) = outcome.ending {
            let reason = format!("{code}: {}", outcome.last_words);
            let points = reasons.entry(reason).or_default();
            points.push(outcome.point.to_string());
        }
    }
    for (reason, points) in reasons {
        println!("ended with {reason} ({} x, {})", points.len(), points[0]);
    }
}
