//! Charts: bars from left to right, what is compared with in another colour, each with its value.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::numbers::short;
use crate::report::{Bar, Of, Section};

const WIDTH: u32 = 820;
const HEAD: u32 = 66;
const LINE: u32 = 26;
/// Room for the labels, and for a value behind the longest bar.
const LABELS: i32 = 330;
const VALUES: i32 = 90;

const DAEMON: RGBColor = RGBColor(40, 100, 170);
const OTHER: RGBColor = RGBColor(165, 165, 165);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

/// Writes `DIR/NAME.svg`; nothing for a section without bars.
pub fn write(section: &Section, dir: &Path) -> Result<()> {
    if section.bars.is_empty() {
        return Ok(());
    }
    let path = dir.join(format!("{}.svg", section.name));
    draw(section, &path).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn draw(section: &Section, path: &Path) -> Drawn<()> {
    let height = HEAD + LINE * u32::try_from(section.bars.len())? + 10;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    heads(&area, section)?;
    let most = section.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    for (bar, number) in section.bars.iter().zip(0..) {
        let top = i32::try_from(HEAD + LINE * number)?;
        line(&area, bar, top, if most > 0.0 { most } else { 1.0 })?;
    }
    area.present()?;
    Ok(())
}

fn heads(area: &Area, section: &Section) -> Drawn<()> {
    let title = format!("{} ({})", section.title, section.unit);
    area.draw(&Text::new(
        title,
        (12, 12),
        ("sans-serif", 22).into_font().color(&BLACK),
    ))?;
    for (left, colour, text) in [
        (12, DAEMON, "chariotd"),
        (112, OTHER, "what it is compared with"),
    ] {
        area.draw(&Rectangle::new(
            [(left, 40), (left + 12, 52)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(text, (left + 18, 40), ("sans-serif", 16)))?;
    }
    Ok(())
}

fn line(area: &Area, bar: &Bar, top: i32, most: f64) -> Drawn<()> {
    let right = Pos::new(HPos::Right, VPos::Center);
    let left = Pos::new(HPos::Left, VPos::Center);
    let font = ("sans-serif", 16).into_font();
    let middle = top + 11;
    let room = f64::from(i32::try_from(WIDTH)? - LABELS - VALUES);
    let end = LABELS + (room * bar.value / most) as i32;
    let colour = match bar.of {
        Of::Daemon => DAEMON,
        Of::Other => OTHER,
    };
    let label = TextStyle::from(font.clone()).pos(right);
    area.draw(&Text::new(bar.label.clone(), (LABELS - 8, middle), label))?;
    let corners = [(LABELS, top + 2), (end.max(LABELS + 1), top + 20)];
    area.draw(&Rectangle::new(corners, colour.filled()))?;
    let value = TextStyle::from(font).pos(left);
    area.draw(&Text::new(short(bar.value), (end + 6, middle), value))?;
    Ok(())
}
