//! Writes what was measured: `results.json`, the charts, and a page with tables.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::charts;
use crate::contenders::{FLOOR, KW, KW_2};
use crate::results::{Figure, Results, Row, Unit};

/// The file that all others are made from.
const RESULTS: &str = "results.json";

/// Reads the results of an earlier run in `directory`.
pub fn read(directory: &Path) -> Result<Results, String> {
    let path = directory.join(RESULTS);
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes the results, the charts and the page into `directory`.
pub fn write(results: &Results, directory: &Path) -> Result<(), String> {
    let said = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(|error| said(directory, error))?;
    let json = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
    let drawn = charts::draw(results, directory)?;
    for (name, text) in [(RESULTS, json + "\n"), ("README.md", page(results, &drawn))] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| said(&path, error))?;
    }
    Ok(())
}

/// What must not be, on whatever machine.
pub fn complaints(results: &Results) -> Vec<String> {
    let mut complaints = Vec::new();
    for contender in &results.contenders {
        if let (FLOOR | KW, Some(reason)) = (contender.name.as_str(), &contender.skipped) {
            complaints.push(format!("{} cannot be measured: {reason}", contender.name));
        }
    }
    let ours = |row: &&Row| [FLOOR, KW, KW_2].contains(&row.contender.as_str());
    for row in results.rows.iter().filter(ours) {
        let Row {
            contender,
            measurement,
            case,
            ..
        } = row;
        // Who has no valgrind has no counters; that is no failure of libkw.
        if let (Some(reason), true) = (&row.failed, measurement != "cost" && measurement != "size")
        {
            complaints.push(format!(
                "{contender} failed in {measurement}, {case}: {reason}"
            ));
        }
        let lost = row
            .figures
            .get("lost")
            .map_or(0.0, |figure| figure.value.max);
        if contender != FLOOR && lost > 0.0 {
            complaints.push(format!("{contender} lost {lost} in {measurement}, {case}"));
        }
    }
    complaints
}

/// The page in the directory of the report.
fn page(results: &Results, drawn: &[&str]) -> String {
    let mut page = String::from("# Figures of libkw and its peers\n\n");
    page +=
        "Made by `make bench`; do not edit. `bench/README.md` says what is measured and how.\n\n";
    if results.machine.quick {
        page += "**This was a quick run: the figures only show that the harness works.**\n\n";
    }
    for chart in drawn {
        let _ = writeln!(page, "![{chart}]({chart}.svg)\n");
    }
    page + &tables(results)
}

/// All tables.
pub fn tables(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "On {}, libkw {}: {}. The kernel's queue holds {} notifications.\n\n\
         Each figure is the median of the rounds; in brackets are the median and the quartiles \
         of its ratios to the floor, each within one round. Every sample is in \
         `results.json`.\n",
        machine.date,
        machine.revision,
        machine.in_words(),
        machine.max_queued_events,
    );
    text += &contenders(results);
    for shape in ["wide", "deep", "flat"] {
        for (figure, title) in [
            ("in_process", "Time to get the tree watched, in the process"),
            ("ready", "Time to ready, less that with an empty tree"),
            ("cpu", "CPU time to ready, less that with an empty tree"),
            (
                "memory_per_entry",
                "Memory per entry, less that with an empty tree",
            ),
        ] {
            text += &by_size(
                results,
                "ready",
                shape,
                figure,
                &format!("{title}: {shape}"),
            );
        }
    }
    for case in ["idle", "under load"] {
        let title = format!("Latency, {case}: from a write to the line that tells of it");
        text += &by_figure(
            results,
            "latency",
            case,
            &title,
            &["p50", "p99", "p99.9", "missed"],
        );
    }
    for (case, title) in [
        ("create", "Burst of creates"),
        ("delete", "Burst of deletes"),
        ("checkout", "Checkout"),
        ("remove", "Removal of a tree"),
    ] {
        let figures = [
            "lost",
            "drain",
            "writer",
            "cpu_per_entry",
            "cpu_per_event",
            "events",
            "cpu",
        ];
        text += &by_figure(results, "burst", case, title, &figures);
    }
    let title = "A directory with many descendants is renamed";
    text += &by_figure(
        results,
        "rename",
        "directory",
        title,
        &["told", "done", "events", "cpu"],
    );
    text += &cost(results);
    let title = "CPU time per second while nothing happens";
    text += &by_figure(results, "idle", "cpu", title, &["cpu_per_second"]);
    let figures = ["shared", "shared_stripped", "static", "static_stripped"];
    text + &by_figure(results, "size", "library", "Size of the library", &figures)
}

fn contenders(results: &Results) -> String {
    let mut rows = Vec::new();
    for contender in &results.contenders {
        let version = match (&contender.version, &contender.skipped) {
            (Some(version), _) => version.clone(),
            (None, reason) => format!("skipped: {}", reason.as_deref().unwrap_or("")),
        };
        rows.push(vec![
            contender.name.clone(),
            version,
            contender.note.clone(),
        ]);
    }
    table("Who was measured", &["", "version", "note"], rows)
}

/// One figure, by contender and size of the tree.
fn by_size(results: &Results, measurement: &str, case: &str, figure: &str, title: &str) -> String {
    let mut sizes: Vec<u64> = results
        .case(measurement, case)
        .filter_map(|row| row.entries)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut rows = Vec::new();
    for contender in &results.contenders {
        let of = |size: u64| {
            let mut rows = results.case(measurement, case);
            rows.find(|row| row.contender == contender.name && row.entries == Some(size))
        };
        if !sizes
            .iter()
            .any(|&size| of(size).is_some_and(|row| row.figures.contains_key(figure)))
        {
            continue;
        }
        let cells = sizes
            .iter()
            .map(|&size| of(size).map_or(String::new(), |row| cell(row, figure)));
        rows.push([contender.name.clone()].into_iter().chain(cells).collect());
    }
    let heads: Vec<String> = sizes
        .iter()
        .map(|&size| format!("{} files", thousands(size)))
        .collect();
    let mut head = vec![""];
    head.extend(heads.iter().map(String::as_str));
    table(title, &head, rows)
}

/// Several figures of one case, by contender.
fn by_figure(
    results: &Results,
    measurement: &str,
    case: &str,
    title: &str,
    figures: &[&str],
) -> String {
    let row = |row: &Row| match &row.failed {
        // The reason once, not in every column.
        Some(reason) if row.figures.is_empty() => {
            let mut cells = vec![row.contender.clone(), reason.clone()];
            cells.resize(figures.len() + 1, String::new());
            cells
        }
        _ => {
            let cells = figures.iter().map(|figure| cell(row, figure));
            [row.contender.clone()].into_iter().chain(cells).collect()
        }
    };
    let order = |name: &str| results.contenders.iter().position(|c| c.name == name);
    let mut found: Vec<&Row> = results.case(measurement, case).collect();
    found.sort_by_key(|row| order(&row.contender));
    let names: Vec<String> = figures
        .iter()
        .map(|figure| figure.replace('_', " "))
        .collect();
    let mut head = vec![""];
    head.extend(names.iter().map(String::as_str));
    table(title, &head, found.into_iter().map(row).collect())
}

/// Instructions by size, and the ratio of the largest to the smallest.
fn cost(results: &Results) -> String {
    let mut text = String::new();
    for shape in ["wide", "flat"] {
        let mut found: Vec<&Row> = results.case("cost", shape).collect();
        found.sort_by_key(|row| row.entries);
        let mut rows = Vec::new();
        for kind in ["write", "rename", "create", "crawl_per_entry"] {
            let medians: Vec<Option<f64>> = found.iter().map(|row| row.median(kind)).collect();
            let mut cells = vec![kind.replace('_', " ")];
            cells.extend(found.iter().map(|row| cell(row, kind)));
            cells.push(match (medians.first(), medians.last()) {
                (Some(&Some(first)), Some(&Some(last))) => format!("{:.2}", last / first),
                _ => String::new(),
            });
            rows.push(cells);
        }
        let mut heads = vec![String::new()];
        let size = |row: &&Row| format!("{} files", thousands(row.entries.unwrap_or(0)));
        heads.extend(found.iter().map(size));
        heads.push("last to first".to_string());
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let title = format!("Instructions of libkw for one change: {shape}");
        text += &table(
            &title,
            &heads,
            if found.is_empty() { Vec::new() } else { rows },
        );
    }
    text
}

/// A figure of a row: its median, and how it compares to the floor.
fn cell(row: &Row, figure: &str) -> String {
    let Some(figure) = row.figures.get(figure) else {
        return row.failed.clone().unwrap_or_default();
    };
    let value = in_words(figure.unit, figure.value.median);
    match figure.to_floor {
        Some(ratio) if row.contender != FLOOR && is_compared(figure) => {
            // Of fewer rounds there are no quartiles to speak of.
            let spread = match figure.samples.len() {
                ..3 => String::new(),
                _ => format!(", {:.2}-{:.2}", ratio.lower_quartile, ratio.upper_quartile),
            };
            format!("{value} ({:.2} x{spread})", ratio.median)
        }
        _ => value,
    }
}

/// Percentages are ratios already, and bytes of a floor that keeps nothing are noise.
fn is_compared(figure: &Figure) -> bool {
    figure.unit == Unit::Ns
}

/// A value with its unit, in three digits or so.
pub fn in_words(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Ns if value.abs() >= 1e9 => format!("{:.2} s", value / 1e9),
        Unit::Ns if value.abs() >= 1e8 => format!("{:.0} ms", value / 1e6),
        Unit::Ns if value.abs() >= 1e6 => format!("{:.1} ms", value / 1e6),
        Unit::Ns if value.abs() >= 1e5 => format!("{:.0} µs", value / 1e3),
        Unit::Ns => format!("{:.1} µs", value / 1e3),
        Unit::Bytes if value.abs() >= 1e4 => format!("{:.0} kB", value / 1e3),
        // Nothing is not less than nothing.
        Unit::Bytes => format!("{:.0} bytes", value.round() + 0.0),
        Unit::Count => thousands(value.round() as u64),
        Unit::Percent => format!("{value:.1} %"),
    }
}

/// With a comma every three digits.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table that can be read as text, too; nothing if it has no rows.
fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<String> = head.iter().map(|cell| cell.to_string()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!(" {cell:width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: String = widths
        .iter()
        .map(|width| format!(" {} |", "-".repeat((*width).max(3))))
        .collect();
    let body: String = rows.iter().map(line).collect();
    format!("\n## {title}\n\n{}|{rule}\n{body}", line(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_a_unit_that_suits_them() {
        assert_eq!(in_words(Unit::Ns, 12_345.0), "12.3 µs");
        assert_eq!(in_words(Unit::Ns, 2.5e9), "2.50 s");
        assert_eq!(in_words(Unit::Count, 1_234_567.0), "1,234,567");
        assert_eq!(thousands(999), "999");
    }
}
