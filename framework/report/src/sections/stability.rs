//! Stability: tells whether different seeds of one setting find the same features.

use analysis::words;
use analysis::{Agreement, Effort, Setting, stability};
use framework::plugin::L0Rule;

use super::{ExperimentView, fronts};
use crate::figures::axis::PlotAxis;
use crate::subject::shown;
use crate::{Block, Drawing, Figure, PageTable, Plot, PlotPoint, Series};

/// Returns the figure and table of matched cosines.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    if !subject.comparisons.over.is_empty() {
        return Vec::new(); // Runs of a setting differ by more than their seed.
    }
    let settings: Vec<&Setting> = subject.methods().flat_map(|(_, group)| shown(group)).collect();
    let missing = "dictionaries of seeds are not compared";
    let (mut pairs, mut left, mut without_rows) = (Vec::new(), 0, 0);
    for (folder, grid) in subject.folders.iter().zip(subject.grids(missing)) {
        match stability(folder, &grid.runs, &settings, subject.runs, Effort::Quick) {
            Ok(found) => {
                subject.warnings.borrow_mut().extend(found.warnings);
                pairs.extend(found.pairs);
                left += found.left;
                without_rows += found.without_rows;
            }
            Err(failure) => {
                subject.warn::<()>(format!("{missing}: {failure}"));
            }
        }
    }
    let all = Agreement::all(subject.comparisons.groups(), &pairs, subject.runs);
    let mut blocks = Vec::new();
    if !all.is_empty() {
        blocks.push(Block::Words(
            "The decoder rows of the live latents of two seeds are paired one to one so that the sum of |cosine| is \
             greatest; the matched cosine is the mean over pairs, rows left over counting 0. It is the mean over each \
             two seeds, with the least and the greatest."
                .into(),
        ));
        blocks.extend(figure(subject, &all).map(|figure| Block::Figures(vec![figure])));
        blocks.push(Block::PageTable(PageTable {
            heading: Agreement::HEADING.map(str::to_owned).to_vec(),
            rows: all.iter().map(Agreement::cells).collect(),
            filter: None,
        }));
        blocks.push(Block::Words(Agreement::meaning(&all).join(" ")));
        let of = subject.methods().map(|(_, group)| group.settings.len()).sum::<usize>();
        if settings.len() < of {
            let shown = settings.len();
            blocks.push(Block::Words(format!(
                "{shown} of {of} settings are shown; `saegrid stability` shows all."
            )));
        }
    }
    if without_rows > 0 {
        blocks.push(Block::Words(format!(
            "Runs whose latents have no decoder rows are not compared: {without_rows}."
        )));
    }
    if left > 0 {
        blocks.push(Block::Words(format!(
            "{} more pairs of seeds would take longer than a page should; `saegrid stability` compares them, and the \
             next page has them too.",
            left
        )));
    }
    blocks
}

/// Draws the matched cosine of each setting against its L0.
fn figure(subject: &ExperimentView<'_>, all: &[Agreement<'_>]) -> Option<Figure> {
    let point = |one: &Agreement<'_>| {
        let mean = one.mean()?;
        let chance = one.chance().map(|chance| format!(", by chance {}", words::number(chance)));
        let seeds = format!(
            "{} {}: matched cosine {}{}",
            one.group.title(),
            one.setting.words,
            words::number(mean),
            chance.unwrap_or_default()
        );
        Some(PlotPoint { title: seeds, ..PlotPoint::at(one.setting.l0.mean, mean) })
    };
    // Include all methods, so that each has the same colour as in the fronts.
    let series = subject.comparisons.groups().map(|group| Series {
        name: group.title(),
        points: all.iter().filter(|one| std::ptr::eq(one.group, group)).filter_map(point).collect(),
        is_marked: true,
        has_line: false,
    });
    let mut series: Vec<Series> = series.collect();
    let chance = |one: &Agreement<'_>| Some((one.setting.l0.mean, one.chance()?));
    let mut by_chance: Vec<(f64, f64)> = all.iter().filter_map(chance).collect();
    by_chance.sort_by(|a, b| a.0.total_cmp(&b.0));
    series.push(Series::line("by chance", by_chance));
    let l0 = || series.iter().flat_map(|series| &series.points).map(|point| point.x);
    let (low, high) = (l0().reduce(f64::min)?, l0().reduce(f64::max)?);
    let x = if low > 0.0 && high > 2.0 * low {
        PlotAxis::log(fronts::l0_axis(&[]))
    } else {
        PlotAxis::linear(fronts::l0_axis(&[]))
    };
    Some(Figure {
        name: "stability".into(),
        caption: format!(
            "Matched cosine of the dictionaries of different seeds, mean over each two seeds of a setting, against \
             L0, and what random directions have in common.{}",
            counting(subject)
        ),
        drawing: Drawing::Plot(Plot {
            x,
            y: PlotAxis::linear("matched cosine (1: the same features)"),
            series,
        }),
    })
}

/// Says which latents count as active, for methods that do not count every nonzero code.
fn counting(subject: &ExperimentView<'_>) -> String {
    let others = subject.comparisons.groups().filter(|group| group.l0_rule != L0Rule::Nonzero);
    let words = others.map(|group| {
        format!(" A latent of {} counts as active {}.", group.title(), group.l0_rule.words())
    });
    words.collect()
}
