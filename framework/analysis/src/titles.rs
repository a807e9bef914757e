//! What columns are called for people: the words of the evaluations that find them.

use std::collections::BTreeSet;
use std::path::Path;

use framework::plugin::{EVALUATIONS, L0Rule, Title};

use super::Runs;

/// Share of latents that are never active.
pub(super) const DEAD: &str = "test_dead_fraction";

/// Word for one number of a sample, if data sets have different words.
const INPUT: &str = "input";

impl Runs {
    /// Returns what a column, or the distance from its best value (`|column - best|`), is called. A column that nobody has words for is called by its name.
    pub fn title(&self, column: &str) -> Title {
        let distance = column.strip_prefix('|').and_then(|column| column.strip_suffix('|'));
        if let Some((column, best)) = distance.and_then(|column| column.rsplit_once(" - ")) {
            let Title { short, long } = self.title(column);
            return Title::new(
                format!("|{short} - {best}|"),
                format!("distance of {long} from {best}"),
            );
        }
        let input = self.input();
        let found = EVALUATIONS
            .iter()
            .find_map(|row| row.example(Path::new("")).ok()?.plugin.title(column, input));
        let mut title =
            found.or_else(|| own(column, input)).unwrap_or_else(|| Title::new(column, column));
        if column == DEAD
            && let Some(rule) = self.only_rule()
        {
            title.short = rule.never_active().to_owned();
        }
        title
    }

    /// Returns the rule by which the active latents of all runs are counted, if it is one.
    fn only_rule(&self) -> Option<L0Rule> {
        let rules: BTreeSet<L0Rule> = (0..self.count()).map(|row| self.l0_rule(row)).collect();
        if rules.len() == 1 { rules.first().copied() } else { None }
    }

    /// Returns the word for one number of a sample that all data sets of the runs share.
    fn input(&self) -> &'static str {
        let words = (0..self.count()).map(|row| self.text(row, "dataset")).collect::<BTreeSet<_>>();
        let word =
            |kind: &String| self.dataset_of(kind).map_or(INPUT, |built| built.plugin.input());
        let words: BTreeSet<&str> = words.iter().map(word).collect();
        if words.len() == 1 { words.first().copied().unwrap_or(INPUT) } else { INPUT }
    }
}

/// Returns the words for a column that every run has, whatever is measured.
fn own(column: &str, input: &str) -> Option<Title> {
    Some(match column {
        "train_loss" => Title::new("loss", "loss of the last epoch, per sample"),
        "train_loss_reconstruction" => {
            let long = format!("reconstruction term of the loss, summed over {input}s");
            Title::new("reconstruction loss", long)
        }
        "train_loss_penalty" => Title::new("penalty", "penalty terms of the loss, weighted"),
        "train_loss_penalty_raw" => {
            Title::new("penalty, unweighted", "penalty terms of the loss without their weights")
        }
        "train_loss_auxiliary" => Title::new("auxiliary", "auxiliary terms of the loss, weighted"),
        "train_loss_prior" => Title::new("prior", "prior term of the loss, weighted"),
        "search_trainings" => Title::new("trainings", "trainings that the search took"),
        "seconds" => Title::new("seconds", "seconds of a run"),
        "samples_per_second" => Title::new("samples/s", "training samples per second"),
        "peak_memory_bytes" => Title::new("memory", "greatest memory in use, in bytes"),
        _ => {
            let key = column.strip_prefix("control_")?;
            Title::new(format!("{key} at the end"), format!("{key} that the controller steered to"))
        }
    })
}
