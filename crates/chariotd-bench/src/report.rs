//! Pure: what was measured, as a table for people and as bars for a chart.

use std::fmt::{Display, Write};

/// One table. Every value stands beside what it is compared with.
pub struct Section {
    /// Of its chart, and of its place in a document.
    pub name: &'static str,
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    pub bars: Vec<Bar>,
    /// Of the bars.
    pub unit: &'static str,
    /// Sentences below the table: what else a reader must know to judge it.
    pub notes: Vec<String>,
    /// What a bound applies to.
    pub count: Option<Count>,
}

pub struct Bar {
    pub label: String,
    pub value: f64,
    pub of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Daemon,
    /// What it is compared with.
    Other,
}

/// A figure that a shared machine does not change.
#[derive(Clone, Copy)]
pub enum Count {
    SyscallsPerMessage(f64),
    Bytes(u64),
}

impl Section {
    pub fn new(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        columns: &[&'static str],
    ) -> Section {
        Section {
            name,
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
            bars: Vec::new(),
            unit,
            notes: Vec::new(),
            count: None,
        }
    }

    pub fn row(&mut self, cells: &[&dyn Display]) {
        let cells = cells.iter().map(|cell| cell.to_string());
        self.rows.push(cells.collect());
    }

    pub fn bar(&mut self, of: Of, label: impl Into<String>, value: f64) {
        self.bars.push(Bar {
            label: label.into(),
            value,
            of,
        });
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// A table in Markdown, padded for a terminal too; numbers stand at the right.
    pub fn table(&self) -> String {
        let columns: Vec<Column> = (0..self.columns.len())
            .map(|number| self.column(number))
            .collect();
        let heads: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let rules: Vec<String> = columns.iter().map(Column::rule).collect();
        let mut text = String::new();
        for row in [&heads, &rules].into_iter().chain(&self.rows) {
            for (cell, column) in row.iter().zip(&columns) {
                let _ = write!(text, "| {} ", column.padded(cell));
            }
            text.push_str("|\n");
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }

    fn column(&self, number: usize) -> Column {
        let cells = self.rows.iter().filter_map(|row| row.get(number));
        let head = self.columns[number].chars().count();
        let longest = cells.clone().map(|cell| cell.chars().count()).max();
        Column {
            width: longest.unwrap_or(0).max(head).max(3),
            numbers: cells.clone().all(|cell| is_number(cell)) && cells.count() > 0,
        }
    }
}

struct Column {
    width: usize,
    numbers: bool,
}

impl Column {
    fn padded(&self, cell: &str) -> String {
        let width = self.width;
        if self.numbers {
            format!("{cell:>width$}")
        } else {
            format!("{cell:<width$}")
        }
    }

    fn rule(&self) -> String {
        let end = if self.numbers { ":" } else { "-" };
        "-".repeat(self.width - 1) + end
    }
}

fn is_number(cell: &str) -> bool {
    cell == "–" || cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let mut section = Section::new("some", "Some", "ms", &["what", "ms"]);
        section.row(&[&"a file", &"1.25"]);
        section.row(&[&"no file", &"–"]);
        section
    }

    #[test]
    fn a_table_is_markdown_with_its_numbers_at_the_right() {
        let expected =
            "| what    |   ms |\n| ------- | ---: |\n| a file  | 1.25 |\n| no file |    – |\n";
        assert_eq!(section().table(), expected);
    }

    #[test]
    fn notes_stand_below_the_table_as_paragraphs() {
        let mut section = section();
        section.note("One run.");
        assert!(section.table().ends_with("|    – |\n\nOne run.\n"));
    }

    #[test]
    fn a_table_without_rows_has_its_heads() {
        let empty = Section::new("some", "Some", "ms", &["what"]);
        assert_eq!(empty.table(), "| what |\n| ---- |\n");
    }
}
