//! What was measured: a table for people, and one chart.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// One section of the report. Every value stands beside what it is compared with.
pub struct Section {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// What is to be shown as bars: label and value.
    pub bars: Vec<(String, f64)>,
    pub unit: &'static str,
    /// What a bound applies to.
    pub total: Option<f64>,
}

impl Section {
    pub fn new(title: &'static str, unit: &'static str, columns: &[&'static str]) -> Section {
        Section {
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
            bars: Vec::new(),
            unit,
            total: None,
        }
    }

    pub fn row(&mut self, cells: &[&dyn std::fmt::Display]) {
        self.rows
            .push(cells.iter().map(|cell| cell.to_string()).collect());
    }

    pub fn bar(&mut self, label: impl Into<String>, value: f64) {
        self.bars.push((label.into(), value));
    }

    /// A table in Markdown, padded for a terminal too.
    pub fn table(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(self.columns[column].chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("### {}\n\n", self.title);
        let heads: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        for row in [&heads, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
        }
        text
    }

    /// Bars from left to right, as a file `DIR/NAME.svg`.
    pub fn chart(&self, dir: &Path, name: &str) -> Result<()> {
        if self.bars.is_empty() {
            return Ok(());
        }
        let path = dir.join(format!("{name}.svg"));
        self.draw(&path)
            .map_err(|error| anyhow!("{}: {error}", path.display()))
    }

    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let count = self.bars.len();
        let area =
            SVGBackend::new(path, (760, 90 + 34 * u32::try_from(count)?)).into_drawing_area();
        area.fill(&WHITE)?;
        let most = self
            .bars
            .iter()
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("{} ({})", self.title, self.unit),
                ("sans-serif", 18),
            )
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(230)
            .build_cartesian_2d(0.0..most * 1.15, (0..count - 1).into_segmented())?;
        let label = |at: &SegmentValue<usize>| match at {
            SegmentValue::CenterOf(at) => self
                .bars
                .get(*at)
                .map_or(String::new(), |bar| bar.0.clone()),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_label_formatter(&label)
            .y_labels(count)
            .draw()?;
        chart.draw_series(self.bars.iter().enumerate().map(|(at, (_, value))| {
            let corners = [
                (0.0, SegmentValue::Exact(at)),
                (*value, SegmentValue::Exact(at + 1)),
            ];
            let mut bar = Rectangle::new(corners, RGBColor(70, 110, 170).filled());
            bar.set_margin(5, 5, 0, 0);
            bar
        }))?;
        area.present()?;
        Ok(())
    }
}

/// The values in the middle, of one in a hundred, and the most.
pub fn percentiles(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = values.len().saturating_sub(1);
        values
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or(0.0)
    };
    (at(0.5), at(0.99), at(1.0))
}
