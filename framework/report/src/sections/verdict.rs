//! The verdict: which method costs least, in words and in the tables behind them.

use analysis::statistics::matched::LEVEL;
use analysis::words;
use analysis::{Comparison, Group};
use framework::plugin::L0Rule;
use framework::search::Quantity;

use super::{ExperimentView, interval};
use crate::{Block, PageTable};

/// Returns the verdicts, notes and tables of all comparisons.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let comparisons = subject.comparisons;
    if comparisons.parts.is_empty() {
        return vec![Block::Verdict("No run is done yet: there is nothing to compare.".into())];
    }
    let mut blocks: Vec<Block> = comparisons.why_several().map(Block::Words).into_iter().collect();
    if !comparisons.over.is_empty() {
        let over = comparisons.over.join(", ");
        blocks.push(Block::Words(format!("Paired and averaged like the seed: {over}.")));
    }
    for part in &comparisons.parts {
        blocks.extend(of_part(part, &comparisons.by));
    }
    blocks
}

/// Returns the verdicts, notes and tables of one comparison.
fn of_part(comparison: &Comparison, by: &[String]) -> Vec<Block> {
    let words: Vec<String> =
        comparison.at.iter().flat_map(|at| verdicts(comparison, *at)).collect();
    let within = &comparison.within;
    let verdict = |words: String| {
        let part = if within.is_empty() { words } else { format!("{within}: {words}") };
        Block::Verdict(part)
    };
    let notes = comparison.notes(by).into_iter().map(Block::Words);
    if words.is_empty() {
        let reason = match (comparison.better, comparison.groups.len()) {
            (_, 1) => "There is one method only: there is nothing to compare it with.",
            (None, _) => "No method is called better.",
            _ => &format!(
                "No two methods have {} in common, so none are compared.",
                comparison.along.a_word()
            ),
        };
        return std::iter::once(verdict(reason.into())).chain(notes).collect();
    }
    let mut blocks: Vec<Block> = words.into_iter().map(verdict).collect();
    blocks.extend(notes);
    let how = match comparison.budgets {
        None => format!(
            "Methods are compared where their codes are equally sparse: {} is read along the front of each, seed \
             by seed, over the logarithm of {}.",
            comparison.metric,
            comparison.along.words()
        ),
        Some(_) => {
            "Methods are compared with the same number of latents of each sample.".to_owned()
        }
    };
    blocks.push(Block::Words(format!(
        "{how} Given are means over the seeds ± half of the 95 % interval (Student's t)."
    )));
    blocks.extend(comparison.unread().map(|why| Block::Words(why.into())));
    let is_counted = |group: &&Group| {
        group.l0_rule != L0Rule::Nonzero
            && comparison.budgets.is_none()
            && comparison.along != Quantity::MeanActivation
    };
    for group in comparison.groups.iter().filter(is_counted) {
        blocks.push(Block::Words(format!(
            "{}: what is compared is {}; a latent of it counts as active {}.",
            group.name,
            group.label,
            group.l0_rule.words()
        )));
    }
    blocks.push(Block::PageTable(readings(comparison)));
    let pairs = pairs(comparison);
    if !pairs.rows.is_empty() {
        blocks.push(Block::Words(format!(
            "Differences in {} between the same seeds: a paired t-test, whose p is corrected by Holm over all \
             pairs ({}); a difference is called where p is below {LEVEL}.",
            comparison.metric,
            pairs.rows.len()
        )));
        blocks.push(Block::PageTable(pairs));
    }
    blocks
}

/// Returns the verdicts at a place: one for each set of methods that are compared with one another.
fn verdicts(comparison: &Comparison, place: f64) -> Vec<String> {
    let sets = comparison.sets();
    sets.iter().filter_map(|set| verdict(comparison, place, |at| set.contains(&at))).collect()
}

/// Returns the verdict on some methods at a place; `None` if fewer than two can be compared there.
fn verdict(
    comparison: &Comparison,
    place: f64,
    is_meant: impl Fn(usize) -> bool,
) -> Option<String> {
    let direction = comparison.better?;
    let name = |at: usize| comparison.groups[at].name.as_str();
    let near = comparison.readings.iter().filter(|reading| reading.at == place);
    let near = near.filter(|reading| is_meant(reading.method));
    let near: Vec<_> =
        near.filter_map(|reading| Some((reading.method, reading.interval()?))).collect();
    let (best, value) = *near
        .iter()
        .min_by(|a, b| direction.cost(a.1.mean).total_cmp(&direction.cost(b.1.mean)))?;
    let against: Vec<_> = comparison
        .pairs
        .iter()
        .filter(|pair| {
            pair.at == place && pair.methods.contains(&best) && pair.difference.is_some()
        })
        .collect();
    if against.is_empty() {
        return None;
    }
    let others = |is_called: bool| {
        let of = against.iter().filter(|pair| (pair.winner == Some(best)) == is_called);
        of.map(|pair| name(pair.methods[usize::from(pair.methods[0] == best)]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (beaten, open) = (others(true), others(false));
    let metric = comparison.metric_at(place);
    let has = format!("{} has the best {metric}, {}", name(best), interval(&value));
    let at = match comparison.budgets {
        None => format!("At {}", comparison.place(place)),
        Some(_) => format!("With {}", comparison.place(place)),
    };
    Some(if against.iter().all(|pair| pair.probability.is_none()) {
        format!("{at} no winner can be called: {has}, but one seed says nothing about chance.")
    } else if open.is_empty() {
        format!("{at} {has}: better than {beaten} beyond chance.")
    } else if beaten.is_empty() {
        format!("{at} no winner can be called: {has}, but the difference to {open} may be chance.")
    } else {
        format!(
            "{at} {has}: better than {beaten} beyond chance, but the difference to {open} may be chance."
        )
    })
}

/// Makes the table of values at each L0.
fn readings(comparison: &Comparison) -> PageTable {
    let heading = std::iter::once("method".to_owned()).chain(comparison.at.iter().map(|at| {
        match comparison.budgets {
            None => format!("at {}", comparison.place(*at)),
            Some(_) => format!("with {}", comparison.place(*at)),
        }
    }));
    let row = |at: usize| {
        let of = comparison.readings.iter().filter(move |reading| reading.method == at);
        let values = of.map(|reading| comparison.read(reading).unwrap_or("–".into()));
        std::iter::once(comparison.groups[at].name.clone()).chain(values).collect()
    };
    let mut rows: Vec<Vec<String>> = (0..comparison.groups.len()).map(row).collect();
    if let Some((method, values)) = comparison.baseline_row() {
        let value = |value: &Option<f64>| value.map_or("–".to_owned(), words::number);
        rows.push(std::iter::once(method.to_owned()).chain(values.iter().map(value)).collect());
    }
    PageTable { heading: heading.collect(), rows, filter: None }
}

/// Makes the table of differences between methods.
fn pairs(comparison: &Comparison) -> PageTable {
    let name = |at: usize| comparison.groups[at].name.as_str();
    let rows = comparison.pairs.iter().filter_map(|pair| {
        let [one, other] = pair.methods;
        let so = match (pair.winner, pair.probability) {
            (Some(winner), _) => format!("{} is better", name(winner)),
            (None, Some(_)) => "may be chance".to_owned(),
            (None, None) => "one seed says nothing".to_owned(),
        };
        Some(vec![
            pair.at.to_string(),
            format!("{} − {}", name(one), name(other)),
            interval(&pair.difference?),
            pair.probability.map_or("–".to_owned(), words::number),
            so,
        ])
    });
    let place = if comparison.budgets.is_some() { "latents" } else { comparison.along.words() };
    let heading = [place, "methods", "difference", "p (Holm)", "so"].map(str::to_owned).to_vec();
    PageTable { heading, rows: rows.collect(), filter: None }
}
