//! Activity of latents: how often each is active, and its mean activation.

use analysis::words;
use analysis::{Group, Setting};

use super::{ExperimentView, file_name};
use crate::figures::axis::PlotAxis;
use crate::subject::{name, numbers, shown};
use crate::{Block, Drawing, Figure, Plot, Series};

/// Number of bins for the mean activation.
const BINS: usize = 40;

/// Number of bins for the firing rate, for each power of ten.
const A_DECADE: f64 = 5.0;

/// Activity of the latents of one setting, all seeds together.
struct LatentSummary {
    name: String,
    firing: Vec<f64>,
    activation: Vec<f64>,
}

/// Returns histograms of firing rate and mean activation for each method.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let mut figures = Vec::new();
    for (_, group) in subject.methods() {
        let found: Vec<LatentSummary> =
            shown(group).into_iter().map(|setting| find(subject, group, setting)).collect();
        figures.extend(firing(group, &found));
        figures.extend(activation(group, &found));
    }
    if figures.is_empty() { Vec::new() } else { vec![Block::Figures(figures)] }
}

/// Reads the activity of the latents of a setting.
fn find(subject: &ExperimentView<'_>, group: &Group, setting: &Setting) -> LatentSummary {
    let mut found =
        LatentSummary { name: name(group, setting), firing: Vec::new(), activation: Vec::new() };
    for table in setting.rows.iter().filter_map(|row| subject.table(*row, "latents.parquet")) {
        found.firing.extend(numbers(&table, "firing_rate").into_iter().flatten());
        found.activation.extend(numbers(&table, "mean_activation").into_iter().flatten());
    }
    found
}

/// Draws the histogram of firing rates; `None` if no latent is live.
fn firing(group: &Group, found: &[LatentSummary]) -> Option<Figure> {
    let live = || found.iter().flat_map(|one| &one.firing).copied().filter(|rate| *rate > 0.0);
    let least = live().reduce(f64::min)?;
    let low = (least.log10() * A_DECADE - 1e-9).floor() / A_DECADE;
    let bins = (-low * A_DECADE).round().max(1.0) as usize;
    let never = group.l0_rule.never_active();
    let series = found.iter().map(|one| {
        let dead = one.firing.iter().filter(|rate| **rate == 0.0).count();
        let share = 100.0 * dead as f64 / one.firing.len().max(1) as f64;
        let places = one.firing.iter().filter(|rate| **rate > 0.0).map(|rate| rate.log10());
        let steps = histogram(places, one.firing.len(), low, 0.0, bins);
        let steps = steps.into_iter().map(|(place, share)| (10_f64.powf(place), share));
        Series::line(format!("{} ({share:.0} % {never})", one.name), steps)
    });
    Some(Figure {
        name: file_name(&["firing-rates", &group.title()]),
        caption: format!(
            "{}: how often each latent is active, that is {}. Latents that are active on no test sample have no \
             place on a logarithmic axis; their share stands with the name. All seeds together.",
            group.title(),
            group.l0_rule.condition()
        ),
        drawing: Drawing::Plot(Plot {
            x: PlotAxis::log("share of test samples on which a latent is active\nfiring_rate"),
            y: PlotAxis::linear("share of latents"),
            series: series.collect(),
        }),
    })
}

/// Draws the histogram of mean activations; `None` if they span no range.
fn activation(group: &Group, found: &[LatentSummary]) -> Option<Figure> {
    let all = || found.iter().flat_map(|one| &one.activation).copied();
    let mut sorted: Vec<f64> = all().collect();
    sorted.sort_by(f64::total_cmp);
    let (low, most) = (sorted.first()?.min(0.0), *sorted.last()?);
    // Cut the axis at 99 % of the latents: a few distant ones would squeeze all others into one bin.
    let high = sorted[sorted.len() * 99 / 100].max(low + 0.1 * (most - low));
    if low >= high {
        return None;
    }
    let beyond = match high < most {
        true => format!(" The last bin has all from there to {}.", words::number(most)),
        false => String::new(),
    };
    let series = found.iter().map(|one| {
        let places = one.activation.iter().copied();
        Series::line(&one.name, histogram(places, one.activation.len(), low, high, BINS))
    });
    Some(Figure {
        name: file_name(&["mean-activation", &group.title()]),
        caption: format!(
            "{}: the mean of each latent over the test samples; sparse codes have most of them near 0. All \
             seeds together.{beyond}",
            group.title()
        ),
        drawing: Drawing::Plot(Plot {
            x: PlotAxis::linear("mean activation of a latent over test samples\nmean_activation"),
            y: PlotAxis::linear("share of latents"),
            series: series.collect(),
        }),
    })
}

/// Returns the outline of a histogram: each bin gives its two ends at its share of `count`.
fn histogram(
    values: impl Iterator<Item = f64>,
    count: usize,
    low: f64,
    high: f64,
    bins: usize,
) -> Vec<(f64, f64)> {
    let mut counts = vec![0_usize; bins];
    for value in values {
        let at = ((value - low) / (high - low) * bins as f64) as usize;
        counts[at.min(bins - 1)] += 1;
    }
    let edge = |at: usize| low + (high - low) * at as f64 / bins as f64;
    let share = |n: usize| n as f64 / count.max(1) as f64;
    let steps = counts.iter().enumerate();
    steps.flat_map(|(at, n)| [(edge(at), share(*n)), (edge(at + 1), share(*n))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_one_bin() {
        let steps = histogram([0.0, 0.1, 0.5, 1.0].into_iter(), 4, 0.0, 1.0, 2);
        assert_eq!(steps, [(0.0, 0.5), (0.5, 0.5), (0.5, 0.5), (1.0, 0.5)]);
    }
}
