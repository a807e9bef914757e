//! Learning curves: a metric at the evaluation points of runs that differ by their seeds alone.

use std::collections::BTreeMap;

use tables::{Table, Values};

/// A metric over the steps of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Column of the metric.
    pub metric: String,
    /// Pairs of step and value, sorted by step.
    pub points: Vec<(i64, f64)>,
}

/// Returns the mean of a metric over several histories, at the steps where every run has measured it. Takes
/// the training loss instead if the runs share no step with the metric.
pub fn mean_curve(histories: &[Table], metric: &str) -> Option<Curve> {
    [metric, "train_loss"].into_iter().find_map(|metric| {
        let points = mean(histories, metric);
        (!points.is_empty()).then(|| Curve { metric: metric.to_owned(), points })
    })
}

/// Returns the mean of one column, at the steps where every history has a finite value.
fn mean(histories: &[Table], metric: &str) -> Vec<(i64, f64)> {
    let mut sums: BTreeMap<i64, (usize, f64)> = BTreeMap::new();
    for history in histories {
        let (Some(Values::Whole(steps)), Some(Values::Number(values))) =
            (history.get("step"), history.get(metric))
        else {
            continue;
        };
        for (step, value) in steps.iter().zip(values) {
            if let (Some(step), Some(value)) = (step, value.filter(|value| value.is_finite())) {
                let (count, sum) = sums.entry(*step).or_default();
                *count += 1;
                *sum += value;
            }
        }
    }
    let all = histories.len();
    let complete = sums.into_iter().filter(|(_, (count, _))| *count == all);
    complete.map(|(step, (count, sum))| (step, sum / count as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(metric: &str, points: &[(i64, Option<f64>)]) -> Table {
        let mut table = Table::default();
        table.set("step", Values::Whole(points.iter().map(|(step, _)| Some(*step)).collect()));
        table.set(metric, Values::Number(points.iter().map(|(_, value)| *value).collect()));
        table
    }

    /// Wrong if a point that one seed lacks, for example because it was stopped, bends the curve of the
    /// others.
    #[test]
    fn a_curve_is_the_mean_where_every_seed_was_measured() {
        let runs = [
            history("test_mse", &[(10, Some(4.0)), (20, Some(2.0)), (30, Some(1.0))]),
            history("test_mse", &[(10, Some(2.0)), (20, None), (30, Some(0.0))]),
        ];
        let curve = mean_curve(&runs, "test_mse").unwrap();
        assert_eq!(curve.points, [(10, 3.0), (30, 0.5)]);
        let losses = mean_curve(&[history("train_loss", &[(5, Some(1.0))])], "test_mse").unwrap();
        assert_eq!((losses.metric.as_str(), losses.points), ("train_loss", vec![(5, 1.0)]));
        assert_eq!(mean_curve(&[history("other", &[(5, Some(1.0))])], "test_mse"), None);
    }
}
