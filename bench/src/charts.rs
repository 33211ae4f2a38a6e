//! The charts. On white, so that they can be read on a dark page too.

use std::path::Path;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contenders::{FLOOR, KW, KW_2};
use crate::report::{in_words, thousands};
use crate::results::{Results, Row, Unit};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn std::error::Error>>;
/// Draws a chart into a file, if there are results for it.
type Chart = fn(&Results, &Path) -> Option<Outcome>;

const WIDTH: i32 = 860;
/// Room on the left for the names of contenders, and on the right for figures.
const LEFT: i32 = 140;
const RIGHT: i32 = 190;
const TITLE: i32 = 56;
const BAR: i32 = 20;
const ROW: i32 = 30;
const FONT: i32 = 14;
const SMALL: i32 = 12;
const RED: RGBColor = RGBColor(178, 24, 24);
const GREY: RGBColor = RGBColor(110, 110, 110);
const PALE: RGBColor = RGBColor(225, 225, 225);

/// Draws what there are results for, into `directory`; the names of the charts.
pub fn draw(results: &Results, directory: &Path) -> Result<Vec<&'static str>, String> {
    let charts: [(&'static str, Chart); 4] = [
        ("ready", ready),
        ("memory", memory),
        ("latency", latency),
        ("burst", burst),
    ];
    let mut drawn = Vec::new();
    for (name, chart) in charts {
        let path = directory.join(name).with_extension("svg");
        match chart(results, &path) {
            Some(Ok(())) => drawn.push(name),
            Some(Err(error)) => return Err(format!("{}: {error}", path.display())),
            // Of an earlier run.
            None => drop(std::fs::remove_file(&path)),
        }
    }
    Ok(drawn)
}

/// libkw in a strong colour, the floor in black, the peers in muted ones.
fn colour(name: &str) -> RGBColor {
    match name {
        FLOOR => BLACK,
        KW => RGBColor(0, 90, 200),
        KW_2 => RGBColor(60, 150, 240),
        "notify" => RGBColor(214, 96, 20),
        "inotifywait" => RGBColor(20, 140, 90),
        "fswatch" => RGBColor(150, 110, 40),
        "watchman" => RGBColor(190, 30, 110),
        "watchdog" => RGBColor(120, 80, 180),
        "watchfiles" => RGBColor(200, 150, 0),
        "@parcel/watcher" => RGBColor(90, 130, 40),
        "chokidar" => RGBColor(0, 140, 150),
        _ => GREY,
    }
}

/// The rows of a case in the order of the contenders.
fn rows<'a>(results: &'a Results, measurement: &str, case: &str) -> Vec<&'a Row> {
    let mut found = Vec::new();
    for contender in &results.contenders {
        found.extend(results.rows.iter().filter(|row| {
            row.measurement == measurement && row.case == case && row.contender == contender.name
        }));
    }
    found
}

fn font(size: i32, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(colour)
}

fn text(
    area: &Area,
    at: (i32, i32),
    words: &str,
    size: i32,
    colour: &RGBColor,
    anchor: HPos,
) -> Outcome {
    let style = font(size, colour).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(words.to_string(), at, style))?;
    Ok(())
}

/// A white area with a title and what stands below it.
fn area<'a>(
    path: &'a Path,
    height: i32,
    title: &str,
    below: &str,
) -> Result<Area<'a>, Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    text(&area, (16, 20), title, 17, &BLACK, HPos::Left)?;
    text(&area, (16, 42), below, SMALL, &GREY, HPos::Left)?;
    Ok(area)
}

/// One bar of a chart.
struct Bar {
    name: String,
    /// `None` where there is no figure.
    value: Option<f64>,
    label: String,
    alarming: bool,
}

/// Bars from zero with their labels; one that is much longer than the others is cut.
fn bars(path: &Path, title: &str, below: &str, bars: &[Bar]) -> Outcome {
    let area = area(path, TITLE + 12 + ROW * bars.len() as i32, title, below)?;
    let mut values: Vec<f64> = bars.iter().filter_map(|bar| bar.value).collect();
    values.sort_by(f64::total_cmp);
    // Beside one that is much longer nothing could be seen of the others.
    let mut longest = values.last().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
    let second = values.iter().rev().nth(1).copied().unwrap_or(longest);
    let cut = longest > second * 3.0;
    if cut {
        longest = second * 1.3;
    }
    for (i, bar) in bars.iter().enumerate() {
        let middle = TITLE + 6 + ROW * i as i32 + ROW / 2;
        let ours = [FLOOR, KW].contains(&bar.name.as_str());
        let size = if ours { FONT + 1 } else { FONT };
        text(
            &area,
            (LEFT - 8, middle),
            &bar.name,
            size,
            &BLACK,
            HPos::Right,
        )?;
        let part = bar.value.unwrap_or(0.0).max(0.0) / longest;
        let end = LEFT + (part.min(1.0) * f64::from(WIDTH - LEFT - RIGHT)) as i32;
        let corners = [
            (LEFT, middle - BAR / 2),
            (end.max(LEFT + 1), middle + BAR / 2),
        ];
        if bar.value.is_some() {
            area.draw(&Rectangle::new(corners, colour(&bar.name).filled()))?;
        }
        if cut && part > 1.0 {
            let gap = [
                (end - 40, middle + BAR / 2 + 2),
                (end - 30, middle - BAR / 2 - 2),
            ];
            area.draw(&PathElement::new(gap, WHITE.stroke_width(6)))?;
        }
        let ink = if bar.alarming { &RED } else { &BLACK };
        text(&area, (end + 8, middle), &bar.label, FONT, ink, HPos::Left)?;
    }
    area.present()?;
    Ok(())
}

fn memory(results: &Results, path: &Path) -> Option<Outcome> {
    let figure = "memory_per_entry";
    let found = rows(results, "ready", "wide");
    let largest = found.iter().filter_map(|row| row.entries).max()?;
    let found = found.into_iter().filter(|row| row.entries == Some(largest));
    let list: Vec<Bar> = found
        .map(|row| {
            let value = row.median(figure);
            let said = row.failed.as_deref().unwrap_or("no figure");
            Bar {
                name: row.contender.clone(),
                value,
                label: value.map_or(said.to_string(), |value| in_words(Unit::Bytes, value)),
                alarming: value.is_none(),
            }
        })
        .collect();
    let below = format!(
        "Of the process, less that with an empty tree: {} files in {} directories",
        thousands(largest),
        thousands(largest / 10),
    );
    Some(bars(path, "Memory per entry", &below, &list))
}

fn burst(results: &Results, path: &Path) -> Option<Outcome> {
    let list: Vec<Bar> = rows(results, "burst", "create")
        .into_iter()
        .map(|row| {
            let value = row.median("cpu_per_entry");
            let lost = row
                .figures
                .get("lost")
                .map_or(0.0, |figure| figure.value.max);
            let mut label = value.map_or_else(
                || row.failed.clone().unwrap_or_default(),
                |value| in_words(Unit::Ns, value),
            );
            if lost > 0.0 {
                label += &format!(", lost {}", in_words(Unit::Count, lost));
            }
            let alarming = lost > 0.0 || value.is_none();
            Bar {
                name: row.contender.clone(),
                value,
                label,
                alarming,
            }
        })
        .collect();
    let below = "CPU time of the watcher per created file; in red what it never told of, in its \
                 worst round";
    (!list.is_empty()).then(|| bars(path, "Burst of creates at full speed", below, &list))
}

/// A scale on which a factor is a length.
struct Scale {
    from: f64,
    to: f64,
    pixels: (i32, i32),
}

impl Scale {
    fn at(&self, value: f64) -> i32 {
        let part = (value.max(self.from) / self.from).ln() / (self.to / self.from).ln();
        self.pixels.0 + (part * f64::from(self.pixels.1 - self.pixels.0)) as i32
    }

    /// The powers of ten on it.
    fn marks(&self) -> impl Iterator<Item = f64> + '_ {
        let from = self.from.log10().ceil() as i32;
        (from..)
            .map(|power| 10f64.powi(power))
            .take_while(|&mark| mark <= self.to * 1.001)
    }
}

fn latency(results: &Results, path: &Path) -> Option<Outcome> {
    let panels: Vec<(&str, Vec<&Row>)> = ["idle", "under load"]
        .into_iter()
        .map(|case| (case, rows(results, "latency", case)))
        .filter(|panel| !panel.1.is_empty())
        .collect();
    (!panels.is_empty()).then(|| draw_latency(path, &panels))
}

fn draw_latency(path: &Path, panels: &[(&str, Vec<&Row>)]) -> Outcome {
    let all = || panels.iter().flat_map(|panel| &panel.1);
    let values = || all().filter_map(|row| Some((at(row, 1.0)?, at(row, 99.9)?)));
    let from = values().map(|value| value.0).fold(f64::INFINITY, f64::min);
    let to = values().map(|value| value.1).fold(0.0, f64::max);
    let scale = Scale {
        from: from * 0.9,
        to: to * 1.1,
        pixels: (LEFT, WIDTH - RIGHT),
    };
    let height = panels
        .iter()
        .map(|panel| 30 + ROW * panel.1.len() as i32)
        .sum::<i32>();
    let below = "Bar: from the 1st to the 99th percentile; white line: median; thin line: to the \
                 99.9th. The scale is logarithmic";
    let title = "From a write to the line that tells of it";
    let area = area(path, TITLE + height + 36, title, below)?;
    let bottom = TITLE + height + 8;
    for mark in scale.marks() {
        let x = scale.at(mark);
        area.draw(&PathElement::new(
            [(x, TITLE), (x, bottom)],
            PALE.stroke_width(1),
        ))?;
        let words = in_words(Unit::Ns, mark)
            .replace(".00", "")
            .replace(".0", "");
        text(&area, (x, bottom + 12), &words, SMALL, &GREY, HPos::Center)?;
    }
    let mut y = TITLE;
    for (case, rows) in panels {
        text(&area, (16, y + 14), case, FONT, &GREY, HPos::Left)?;
        y += 30;
        for row in rows {
            draw_range(&area, row, y + ROW / 2, &scale)?;
            y += ROW;
        }
    }
    area.present()?;
    Ok(())
}

/// The value below which `percent` of a row's samples are.
fn at(row: &Row, percent: f64) -> Option<f64> {
    row.distribution
        .iter()
        .find(|pair| pair.0 == percent)
        .map(|pair| pair.1)
}

fn draw_range(area: &Area, row: &Row, middle: i32, scale: &Scale) -> Outcome {
    let name = &row.contender;
    text(area, (LEFT - 8, middle), name, FONT, &BLACK, HPos::Right)?;
    let values = (at(row, 1.0), at(row, 50.0), at(row, 99.0), at(row, 99.9));
    let (Some(low), Some(median), Some(high), Some(highest)) = values else {
        let reason = row.failed.as_deref().unwrap_or("no figure");
        return text(area, (LEFT + 8, middle), reason, FONT, &RED, HPos::Left);
    };
    let ink = colour(name);
    let line = [(scale.at(low), middle), (scale.at(highest), middle)];
    area.draw(&PathElement::new(line, ink.stroke_width(2)))?;
    let (left, right) = (scale.at(low), scale.at(high).max(scale.at(low) + 2));
    let box_ = [(left, middle - BAR / 2), (right, middle + BAR / 2)];
    area.draw(&Rectangle::new(box_, ink.filled()))?;
    let x = scale.at(median);
    let line = [(x, middle - BAR / 2), (x, middle + BAR / 2)];
    area.draw(&PathElement::new(line, WHITE.stroke_width(3)))?;
    let label = format!(
        "{}, p99 {}",
        in_words(Unit::Ns, median),
        in_words(Unit::Ns, high)
    );
    text(
        area,
        (scale.at(highest).max(right) + 8, middle),
        &label,
        FONT,
        &BLACK,
        HPos::Left,
    )
}

fn ready(results: &Results, path: &Path) -> Option<Outcome> {
    let found = rows(results, "ready", "wide");
    let mut series: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for contender in &results.contenders {
        let points = found
            .iter()
            .filter(|row| row.contender == contender.name)
            .filter_map(|row| {
                // Of a small tree nothing may be left when the start is taken off.
                let time = row.median("in_process").or(row.median("ready"))?;
                (time > 0.0).then_some((row.entries? as f64, time))
            });
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !points.is_empty() {
            series.push((&contender.name, points));
        }
    }
    (!series.is_empty()).then(|| draw_ready(path, &series))
}

fn draw_ready(path: &Path, series: &[(&str, Vec<(f64, f64)>)]) -> Outcome {
    let (height, top, bottom) = (520, TITLE + 8, 520 - 44);
    let points = || series.iter().flat_map(|one| &one.1);
    let range = |value: fn(&(f64, f64)) -> f64| {
        let from = points().map(value).fold(f64::INFINITY, f64::min);
        (from, points().map(value).fold(0.0, f64::max))
    };
    let (sizes, times) = (range(|point| point.0), range(|point| point.1));
    let across = Scale {
        from: sizes.0,
        to: sizes.1.max(sizes.0 * 2.0),
        pixels: (90, WIDTH - RIGHT),
    };
    let up = Scale {
        from: times.0 * 0.8,
        to: times.1 * 1.2,
        pixels: (bottom, top),
    };
    let below =
        "Ten files a directory. By the process's own clock, or less the time with an empty \
                 tree. Both scales are logarithmic";
    let area = area(path, height, "Time until a tree is watched", below)?;
    for mark in across.marks() {
        let x = across.at(mark);
        area.draw(&PathElement::new(
            [(x, top), (x, bottom)],
            PALE.stroke_width(1),
        ))?;
        let words = format!("{} files", thousands(mark as u64));
        text(&area, (x, bottom + 18), &words, SMALL, &GREY, HPos::Center)?;
    }
    for mark in up.marks() {
        let y = up.at(mark);
        area.draw(&PathElement::new(
            [(90, y), (WIDTH - RIGHT, y)],
            PALE.stroke_width(1),
        ))?;
        let words = in_words(Unit::Ns, mark)
            .replace(".00", "")
            .replace(".0", "");
        text(&area, (82, y), &words, SMALL, &GREY, HPos::Right)?;
    }
    let mut labels = Vec::new();
    for (name, points) in series {
        let ink = colour(name);
        let line: Vec<(i32, i32)> = points
            .iter()
            .map(|p| (across.at(p.0), up.at(p.1)))
            .collect();
        let width = if [FLOOR, KW].contains(name) { 4 } else { 2 };
        area.draw(&PathElement::new(line.clone(), ink.stroke_width(width)))?;
        for &point in &line {
            area.draw(&Circle::new(point, 4, ink.filled()))?;
        }
        if let Some(&end) = line.last() {
            let time = points
                .last()
                .map_or(String::new(), |point| in_words(Unit::Ns, point.1));
            labels.push((end, format!("{name} {time}"), ink));
        }
    }
    // From the top, each below the one before; those at the right edge do not overlap.
    labels.sort_by_key(|label| label.0 .1);
    let mut free = top;
    for (end, name, ink) in labels {
        let at_edge = end.0 > across.pixels.1 - 8;
        let y = if at_edge { end.1.max(free) } else { end.1 - 12 };
        if at_edge {
            free = y + FONT + 3;
        }
        text(&area, (end.0 + 10, y), &name, FONT, &ink, HPos::Left)?;
    }
    area.present()?;
    Ok(())
}
