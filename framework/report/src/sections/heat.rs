//! Heat maps over two numeric settings of a method, if its grid varies at least two.

use std::collections::BTreeMap;

use analysis::statistics::Better;
use analysis::words;
use analysis::{Comparison, DEFAULT, Group, Runs, Setting};

use super::{ExperimentView, file_name, fronts, in_words, label};
use crate::{Block, Drawing, Figure, Heat};

/// Returns the heat maps of all methods.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let methods = subject.methods();
    let figures: Vec<Figure> =
        methods.flat_map(|(part, group)| figures(subject, part, group)).collect();
    if figures.is_empty() { Vec::new() } else { vec![Block::Figures(figures)] }
}

/// Draws the metric, the mean activation, L0 and the error of a method over the first two numeric settings that vary.
fn figures(subject: &ExperimentView<'_>, comparison: &Comparison, group: &Group) -> Vec<Figure> {
    let runs = subject.runs;
    let rows: Vec<usize> = group.settings.iter().flat_map(|setting| setting.rows.clone()).collect();
    let varied = runs.varied(&rows);
    // What was found for a target is a result, and no axis.
    let is_axis = |name: &&str| runs.is_number(name) && !runs.is_found(&rows, name);
    let numeric: Vec<&str> = varied.iter().copied().filter(is_axis).collect();
    let [x, y, rest @ ..] = &numeric[..] else { return Vec::new() };
    let is_all = rest.is_empty() && varied.len() == 2;
    let others = if is_all { "" } else { ", of the best of all other settings" };
    let mut figures = Vec::new();
    if comparison.better.is_none() && !is_all {
        return Vec::new(); // The best of the others is unknown.
    }
    let wanted = match comparison.better {
        Some(Better::Lower) => " Lower is better.",
        Some(Better::Higher) => " Higher is better.",
        None => "",
    };
    let cost =
        |setting: &Setting| comparison.better.map_or(0.0, |better| better.cost(setting.value.mean));
    let compared = group.label.as_str();
    let others_than_compared = ["test_mean_activation", "test_l0", DEFAULT];
    let others_than_compared = others_than_compared.into_iter().filter(|what| *what != compared);
    for what in std::iter::once(compared).chain(others_than_compared) {
        let of = |setting: &Setting| match what == compared {
            true => Some(setting.value.mean),
            false => mean(runs, setting, what),
        };
        let (wanted, label) = match what {
            "test_l0" if what != compared => ("", fronts::l0_axis(&[group.l0_rule])),
            _ => (if what == compared { wanted } else { "" }, label(subject, what)),
        };
        let mut best: BTreeMap<(SortKey, SortKey), &Setting> = BTreeMap::new();
        for setting in &group.settings {
            let Some((at_x, at_y)) = place(runs, setting, x).zip(place(runs, setting, y)) else {
                continue;
            };
            let known = best.entry((at_y, at_x)).or_insert(setting);
            if cost(setting) < cost(known) {
                *known = setting;
            }
        }
        let mut columns: Vec<SortKey> = best.keys().map(|(_, x)| *x).collect();
        let mut rows: Vec<SortKey> = best.keys().map(|(y, _)| *y).collect();
        for keys in [&mut columns, &mut rows] {
            keys.sort();
            keys.dedup();
        }
        if columns.len() < 2 || rows.len() < 2 || columns.len() > MOST || rows.len() > MOST {
            continue;
        }
        // Put the greatest value at the top, as on an axis.
        rows.reverse();
        let number = |setting: &&Setting| of(setting).map(|value| (value, words::number(value)));
        let cell = |y: &SortKey, x: &SortKey| best.get(&(*y, *x)).and_then(number);
        let cells = rows.iter().flat_map(|y| columns.iter().map(move |x| cell(y, x)));
        let cells: Vec<_> = cells.collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        figures.push(Figure {
            name: file_name(&["settings", &group.title(), what]),
            caption: format!(
                "{}: {}, mean over the seeds{others}.{wanted}",
                group.title(),
                in_words(&runs.title(what), what)
            ),
            drawing: Drawing::Heat(Heat {
                x: (*x).to_owned(),
                y: (*y).to_owned(),
                columns: columns.iter().map(|key| key.value().to_string()).collect(),
                rows: rows.iter().map(|key| key.value().to_string()).collect(),
                cells,
                label,
            }),
        });
    }
    figures
}

/// Returns the mean of a column over the runs of a setting; `None` if one of them lacks it.
fn mean(runs: &Runs, setting: &Setting, column: &str) -> Option<f64> {
    let values = setting.rows.iter().map(|row| runs.number(*row, column));
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// Maximum number of rows or columns: more have no room for their names.
const MOST: usize = 16;

/// A number as a key that sorts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey(i64);

impl SortKey {
    /// Makes the key of a number.
    fn new(value: f64) -> Self {
        // Negative numbers sort in the reverse order of their bits.
        let bits = value.to_bits() as i64;
        Self(if bits < 0 { bits ^ i64::MAX } else { bits })
    }

    /// Returns the number of the key.
    fn value(self) -> f64 {
        let bits = if self.0 < 0 { self.0 ^ i64::MAX } else { self.0 };
        f64::from_bits(bits as u64)
    }
}

/// Returns the key of a setting in a column.
fn place(runs: &Runs, setting: &Setting, column: &str) -> Option<SortKey> {
    runs.number(*setting.rows.first()?, column).map(SortKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_numbers() {
        let values = [-2.0, -0.5, 0.0, 0.25, 1e9];
        let mut keys: Vec<SortKey> =
            values.iter().rev().map(|value| SortKey::new(*value)).collect();
        keys.sort();
        assert_eq!(keys.into_iter().map(SortKey::value).collect::<Vec<_>>(), values);
    }
}
