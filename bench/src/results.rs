//! What was measured, as it is written to `results.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contenders::{FLOOR, KW_2};
use crate::machine::Machine;

/// Everything of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where, when and of what.
    pub machine: Machine,
    /// Who was measured, and who was not and why.
    pub contenders: Vec<Measured>,
    /// One for each contender in each case of each measurement.
    pub rows: Vec<Row>,
}

/// A contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// What it is called in the rows.
    pub name: String,
    /// Its version, if it was measured.
    pub version: Option<String>,
    /// Why it was not.
    pub skipped: Option<String>,
    /// What a reader should know.
    pub note: String,
}

/// How one contender did in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// `ready`, `latency`, `burst`, ...
    pub measurement: String,
    /// Within the measurement: `wide`, `under load`, `create`, ...
    pub case: String,
    /// Entries of the tree, where the case is one of several sizes.
    pub entries: Option<u64>,
    /// Who.
    pub contender: String,
    /// What was measured, by name.
    pub figures: BTreeMap<String, Figure>,
    /// Pairs of a percentage and the value below which so many of all samples are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<(f64, f64)>,
    /// Why there are no (more) figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Hundredths.
    Percent,
}

/// One figure, with a sample of each round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Of the samples.
    pub unit: Unit,
    /// Their spread.
    pub value: Spread,
    /// The spread of the ratios to the floor, each within a round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_floor: Option<Spread>,
    /// By round.
    pub samples: Vec<f64>,
}

/// Minimum, quartiles and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub min: f64,
    pub lower_quartile: f64,
    pub median: f64,
    pub upper_quartile: f64,
    pub max: f64,
}

impl Spread {
    /// Of some values; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Spread {
            min: *sorted.first()?,
            lower_quartile: percentile(&sorted, 25.0)?,
            median: percentile(&sorted, 50.0)?,
            upper_quartile: percentile(&sorted, 75.0)?,
            max: *sorted.last()?,
        })
    }
}

/// The value below which `percent` of the sorted values are, by linear interpolation.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let at = percent / 100.0 * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// One case of a measurement while it runs.
#[derive(Debug)]
pub struct Case {
    measurement: &'static str,
    name: String,
    entries: Option<u64>,
    contenders: Vec<Entrant>,
}

/// The samples of one figure.
#[derive(Debug)]
struct Samples {
    unit: Unit,
    /// Each with the round that it is from.
    by_round: Vec<(usize, f64)>,
}

/// What is known of one contender in a [`Case`].
#[derive(Debug, Default)]
struct Entrant {
    name: String,
    samples: BTreeMap<&'static str, Samples>,
    all: Vec<f64>,
    failed: Option<String>,
}

impl Case {
    /// A case of `measurement`, on a tree of `entries` if there are several.
    pub fn new(measurement: &'static str, name: impl Into<String>, entries: Option<u64>) -> Case {
        Case {
            measurement,
            name: name.into(),
            entries,
            contenders: Vec::new(),
        }
    }

    fn entrant(&mut self, contender: &str) -> &mut Entrant {
        let at = match self
            .contenders
            .iter()
            .position(|entrant| entrant.name == contender)
        {
            Some(at) => at,
            None => {
                let name = contender.to_string();
                self.contenders.push(Entrant {
                    name,
                    ..Entrant::default()
                });
                self.contenders.len() - 1
            }
        };
        &mut self.contenders[at]
    }

    /// A sample of a figure in a round.
    pub fn add(
        &mut self,
        contender: &str,
        round: usize,
        figure: &'static str,
        unit: Unit,
        value: f64,
    ) {
        let samples = self.entrant(contender).samples.entry(figure);
        let samples = samples.or_insert(Samples {
            unit,
            by_round: Vec::new(),
        });
        samples.by_round.push((round, value));
    }

    /// Samples whose distribution over all rounds is of interest.
    pub fn add_to_distribution(&mut self, contender: &str, values: &[f64]) {
        self.entrant(contender).all.extend_from_slice(values);
    }

    /// `contender` cannot go on in this case.
    ///
    /// What it did in rounds before is no figure: it would look as if it had done well.
    pub fn fail(&mut self, contender: &str, reason: String) {
        let entrant = self.entrant(contender);
        entrant.samples.clear();
        entrant.all.clear();
        entrant.failed = Some(reason);
    }

    /// Whether [`Case::fail`] was called for it.
    pub fn has_failed(&self, contender: &str) -> bool {
        let mut entrants = self.contenders.iter();
        entrants.any(|entrant| entrant.name == contender && entrant.failed.is_some())
    }

    /// Whether the case is of interest for this contender: the second thread of libkw
    /// takes part in a crawl only.
    pub fn is_for(&self, contender: &str) -> bool {
        contender != KW_2 || self.measurement == "ready"
    }

    /// The contenders that have failed.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut entrants = self.contenders.iter();
        std::iter::from_fn(move || {
            entrants.find_map(|entrant| Some((entrant.name.as_str(), entrant.failed.as_deref()?)))
        })
    }

    /// The rows of all contenders.
    pub fn rows(&self) -> Vec<Row> {
        self.contenders
            .iter()
            .map(|entrant| self.row(entrant))
            .collect()
    }

    fn row(&self, entrant: &Entrant) -> Row {
        let figure = |(&name, samples): (&&'static str, &Samples)| {
            Some((name.to_string(), self.figure(name, samples)?))
        };
        let figures = entrant.samples.iter().filter_map(figure);
        let mut all = entrant.all.clone();
        all.sort_by(f64::total_cmp);
        let percents = [
            0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0,
        ];
        let at = |percent| Some((percent, percentile(&all, percent)?));
        Row {
            measurement: self.measurement.to_string(),
            case: self.name.clone(),
            entries: self.entries,
            contender: entrant.name.clone(),
            figures: figures.collect(),
            distribution: percents.into_iter().filter_map(at).collect(),
            failed: entrant.failed.clone(),
        }
    }

    fn figure(&self, name: &str, samples: &Samples) -> Option<Figure> {
        let values: Vec<f64> = samples.by_round.iter().map(|sample| sample.1).collect();
        let ratio = |&(round, value): &(usize, f64)| self.ratio(name, round, value);
        let ratios: Vec<f64> = samples.by_round.iter().filter_map(ratio).collect();
        Some(Figure {
            unit: samples.unit,
            value: Spread::of(&values)?,
            to_floor: Spread::of(&ratios),
            samples: values,
        })
    }

    /// To the floor's sample of the same figure in the same round.
    fn ratio(&self, figure: &str, round: usize, value: f64) -> Option<f64> {
        let floor = self
            .contenders
            .iter()
            .find(|entrant| entrant.name == FLOOR)?;
        let samples = &floor.samples.get(figure)?.by_round;
        let floor = samples.iter().find(|sample| sample.0 == round)?.1;
        (floor > 0.0).then(|| value / floor)
    }
}

impl Results {
    /// The rows of a case of a measurement.
    pub fn case<'a>(
        &'a self,
        measurement: &'a str,
        case: &'a str,
    ) -> impl Iterator<Item = &'a Row> {
        self.rows
            .iter()
            .filter(move |row| row.measurement == measurement && row.case == case)
    }
}

impl Row {
    /// The median of a figure.
    pub fn median(&self, figure: &str) -> Option<f64> {
        Some(self.figures.get(figure)?.value.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_to_the_floor_of_the_same_round() {
        let mut case = Case::new("ready", "wide", Some(1000));
        for (round, floor, kw) in [(0, 10.0, 11.0), (1, 20.0, 24.0), (2, 10.0, 13.0)] {
            case.add(FLOOR, round, "time", Unit::Ns, floor);
            case.add("kw", round, "time", Unit::Ns, kw);
        }
        let rows = case.rows();
        let kw = &rows[1].figures["time"];
        assert_eq!((kw.value.median, kw.value.min), (13.0, 11.0));
        let ratio = kw.to_floor.unwrap();
        assert!((ratio.median - 1.2).abs() < 1e-9 && (ratio.max - 1.3).abs() < 1e-9);
    }

    #[test]
    fn percentiles_lie_between_the_values() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 50.0), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0], 50.0), Some(1.5));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
