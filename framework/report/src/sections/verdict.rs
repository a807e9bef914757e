//! The verdict: which method costs least, in words and in the tables behind them.

use analysis::statistics::Better;
use analysis::statistics::matched::LEVEL;
use analysis::words;
use analysis::{Comparison, Group, SettingsSummary, SummaryColumn, THRESHOLDED};
use framework::plugin::L0Rule;
use framework::search::Quantity;

use super::{ExperimentView, in_words, interval, two_lines};
use crate::{Block, PageTable};

/// Maximum number of settings in the table of settings.
const SETTINGS: usize = 200;

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
        blocks.extend(of_part(subject, part));
    }
    blocks
}

/// Returns the verdicts, notes and tables of one comparison.
fn of_part(subject: &ExperimentView<'_>, comparison: &Comparison) -> Vec<Block> {
    let words: Vec<String> =
        comparison.at.iter().flat_map(|at| verdicts(comparison, *at)).collect();
    let within = &comparison.within;
    let verdict = |words: String| {
        let part = if within.is_empty() { words } else { format!("{within}: {words}") };
        Block::Verdict(part)
    };
    let notes = comparison.notes(&subject.comparisons.by).into_iter().map(Block::Words);
    let notes = notes.chain(summary(subject, comparison));
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
            in_words(&comparison.title, &comparison.metric),
            comparison.along.words()
        ),
        Some(_) => {
            format!(
                "Methods are compared by {} with the same number of latents per sample.",
                in_words(&comparison.title, &comparison.metric)
            )
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
        let set = match group.metric == THRESHOLDED {
            true => ", and all others are set to 0 where errors are compared",
            false => "",
        };
        blocks.push(Block::Words(format!(
            "Codes of {} are never exactly 0: a latent counts as active {}{set}.",
            group.name,
            group.l0_rule.words()
        )));
    }
    blocks.push(Block::PageTable(readings(comparison)));
    let pairs = pairs(comparison);
    if !pairs.rows.is_empty() {
        blocks.push(Block::Words(format!(
            "Differences in {} between the same seeds: a paired t-test, whose p is corrected by Holm over all \
             pairs ({}); a difference is called where p is below {LEVEL}.",
            in_words(&comparison.title, &comparison.metric),
            pairs.rows.len()
        )));
        blocks.push(Block::PageTable(pairs));
    }
    blocks
}

/// Returns the table of all settings and what its columns are.
fn summary(subject: &ExperimentView<'_>, part: &Comparison) -> Vec<Block> {
    let settings = part.groups.iter();
    let settings = settings.flat_map(|group| group.settings.iter().map(move |one| (group, one)));
    let rows: Vec<_> = settings.take(SETTINGS).collect();
    let summary = SettingsSummary::new(subject.runs, &part.groups, &rows);
    let heading = |column: &SummaryColumn| match &column.of {
        Some(of) => two_lines(column.heading.clone(), of),
        None => column.heading.clone(),
    };
    let legend = summary.legend().map(|(column, meaning)| format!("{}: {meaning}", column.heading));
    let legend: Vec<String> = legend.collect();
    let table = PageTable {
        heading: summary.columns.iter().map(heading).collect(),
        rows: summary.rows(),
        filter: None,
    };
    let words = format!("What each setting came to, means over its seeds. {}.", legend.join(". "));
    vec![Block::Words(words), Block::PageTable(table)]
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
            .join(" and ")
    };
    let (beaten, open) = (others(true), others(false));
    let metric = in_words(&comparison.title, comparison.metric_at(place));
    let wanted = if direction == Better::Lower { "lowest" } else { "highest" };
    let has = format!("{} has the {wanted} {metric}, {}", name(best), interval(&value));
    let at = match comparison.budgets {
        None => format!("At {}", comparison.place(place)),
        Some(_) => format!("With {} per sample", comparison.place(place)),
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
