//! Learning curves: the metric and the terms of the loss at each step, as means over the seeds.

use std::collections::BTreeMap;

use analysis::{DEFAULT, Group};
use tables::Table;

use super::{ExperimentView, file_name, in_words, label};
use crate::figures::axis::PlotAxis;
use crate::subject::{name, numbers, shown};
use crate::{Block, Drawing, Figure, Plot, Series};

/// Number of points of a curve that are drawn.
const POINTS: usize = 150;

/// Returns the learning curves and loss terms of each method.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let mut figures = Vec::new();
    for (_, group) in subject.methods() {
        let histories: Vec<(String, Vec<Table>)> = shown(group)
            .into_iter()
            .map(|setting| {
                let of =
                    setting.rows.iter().filter_map(|row| subject.table(*row, "history.parquet"));
                (name(group, setting), of.collect())
            })
            .collect();
        figures.extend(learning(subject, group, &histories));
        figures.extend(terms(group, &histories));
    }
    if figures.is_empty() {
        return Vec::new();
    }
    let mut blocks: Vec<Block> = subject.left_out().map(Block::Words).into_iter().collect();
    blocks.push(Block::Figures(figures));
    blocks
}

/// Draws the metric of each setting over the steps.
fn learning(
    subject: &ExperimentView<'_>,
    group: &Group,
    histories: &[(String, Vec<Table>)],
) -> Option<Figure> {
    // A metric that is measured at the end alone has one point.
    let has_curve =
        |column: &str| histories.iter().any(|(_, tables)| mean(tables, column).len() > 1);
    let metric = if has_curve(&group.metric) { &group.metric } else { DEFAULT };
    let series = histories.iter().map(|(name, tables)| Series::line(name, mean(tables, metric)));
    figure(
        file_name(&["curve", &group.title(), metric]),
        format!(
            "{}: {} while training, mean over the seeds of each setting.",
            group.title(),
            in_words(&subject.runs.title(metric), metric)
        ),
        label(subject, metric),
        series.collect(),
    )
}

/// Draws the terms of the loss for the setting in the middle: its reconstruction and the rest.
fn terms(group: &Group, histories: &[(String, Vec<Table>)]) -> Option<Figure> {
    let (name, tables) = histories.get(histories.len() / 2)?;
    let terms = [
        ("reconstruction", "train_loss_reconstruction"),
        ("penalty, weighted", "train_loss_penalty"),
        ("auxiliary, weighted", "train_loss_auxiliary"),
        ("prior, weighted", "train_loss_prior"),
        ("sum", "train_loss"),
    ];
    let has = |column: &str| tables.iter().any(|table| table.get(column).is_some());
    let terms = terms.into_iter().filter(|(_, column)| has(column));
    let mut series: Vec<_> =
        terms.map(|(term, column)| Series::line(term, mean(tables, column))).collect();
    let title = group.title();
    let words = if *name == title { title.clone() } else { format!("{title}, {name}") };
    // A penalty that adds no term (k-sparse) has no place on a logarithmic axis; the sum then equals the
    // rest.
    let between = &series[1..series.len() - 1];
    let has_terms = between.iter().flat_map(|term| &term.points).any(|point| point.y > 0.0);
    let caption = match has_terms {
        true => format!("{words}: the terms of the loss while training, mean over the seeds."),
        false => format!(
            "{words}: the loss while training, mean over the seeds. It is the reconstruction alone: the \
             penalty adds no term."
        ),
    };
    if !has_terms {
        series.truncate(1);
    }
    figure(
        file_name(&["loss", &title]),
        caption,
        "loss per sample, summed over inputs".into(),
        series,
    )
}

/// Makes a figure of curves; `None` if no curve has two points.
fn figure(name: String, caption: String, label: String, series: Vec<Series>) -> Option<Figure> {
    let has_points = series.iter().any(|series| series.points.len() > 1);
    let is_positive = series.iter().flat_map(|series| &series.points).all(|point| point.y > 0.0);
    let y = if is_positive { PlotAxis::log(label) } else { PlotAxis::linear(label) };
    let plot = Plot { x: PlotAxis::linear("step"), y, series };
    has_points.then_some(Figure { name, caption, drawing: Drawing::Plot(plot) })
}

/// Returns the mean of a column over tables, at the steps that all of them have.
fn mean(tables: &[Table], column: &str) -> Vec<(f64, f64)> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for table in tables {
        for (step, value) in numbers(table, "step").into_iter().zip(numbers(table, column)) {
            let Some((step, value)) = step.zip(value) else { continue };
            by_step.entry(step as u64).or_default().push(value);
        }
    }
    let whole = by_step.into_iter().filter(|(_, values)| values.len() == tables.len());
    let points: Vec<(f64, f64)> = whole
        .map(|(step, values)| (step as f64, values.iter().sum::<f64>() / values.len() as f64))
        .collect();
    let every = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let is_drawn = |at: usize| at.is_multiple_of(every) || at == last;
    points.into_iter().enumerate().filter(|(at, _)| is_drawn(*at)).map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use tables::Values;

    use super::*;

    fn history(steps: &[i64], values: &[Option<f64>]) -> Table {
        let mut table = Table::default();
        table.set("step", Values::Whole(steps.iter().copied().map(Some).collect()));
        table.set("test_mse", Values::Number(values.to_vec()));
        table
    }

    /// Wrong if a seed that was not measured at a step changes the mean there.
    #[test]
    fn means_are_over_all_seeds_or_not_at_all() {
        let one = history(&[1, 2, 3], &[Some(1.0), Some(2.0), Some(3.0)]);
        let other = history(&[1, 2, 3], &[Some(3.0), None, Some(f64::NAN)]);
        assert_eq!(mean(&[one, other], "test_mse"), [(1.0, 2.0)]);
        let long: Vec<i64> = (0..1001).collect();
        let values: Vec<Option<f64>> = long.iter().map(|step| Some(*step as f64)).collect();
        let drawn = mean(&[history(&long, &values)], "test_mse");
        assert!(drawn.len() <= POINTS + 1 && drawn.last() == Some(&(1000.0, 1000.0)));
    }
}
