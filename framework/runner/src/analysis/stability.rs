//! Dictionary stability: whether different seeds of one setting find the same features.
//!
//! Each two of the runs that differ by their seed alone are compared by [`matched_cosine`], live latents
//! only: those that are active on a test sample. What was found stands in a table, a row a pair, with
//! the digests of the two models that it is about: only pairs of other models are compared anew.

use std::collections::{BTreeMap, HashMap};

use std::time::{Duration, Instant};

use compare::dictionaries::{EXACT, Pairing, matched_cosine};
use framework::dims::Input;
use framework::spec::{Opened, RunSpec};
use tables::{Table, Values};

use super::{Group, Runs, Setting};
use crate::command::show;
use crate::exit::Failure;
use crate::store::{self, Folder, Manifest, RunState, Unread};
use crate::worker::as_trained;

/// Two runs of one setting and what their dictionaries have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The runs, that of the lower seed first.
    pub runs: [String; 2],
    /// Their seeds.
    pub seeds: [u64; 2],
    /// The digests of their models.
    pub models: [String; 2],
    /// How many live latents each has.
    pub live: [usize; 2],
    /// The mean |cosine| of paired rows; `None` if one has no live latent.
    pub matched_cosine: Option<f64>,
    /// How rows were paired.
    pub pairing: String,
}

/// The dictionary of a run: the rows of live latents.
struct Dictionary {
    model: String,
    rows: Vec<f32>,
    inputs: usize,
}

impl Dictionary {
    /// How many rows it has.
    fn live(&self) -> usize {
        self.rows.len() / self.inputs
    }
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every pair.
    All,
    /// What is known, and of the rest, dictionaries of at most [`EXACT`] live latents for as long as
    /// [`QUICK`].
    Quick,
}

/// So long a page may take for it.
const QUICK: Duration = Duration::from_secs(8);

/// What was found.
#[derive(Default)]
pub struct Stability {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// How many more there are, which were left for when there is more time.
    pub left: usize,
    /// Why others were left out: a model that is damaged or has no rows.
    pub warnings: Vec<String>,
}

/// Compares each two seeds of these settings, and keeps what was found.
///
/// # Errors
/// If the folder cannot be read or written to.
pub fn stability(
    folder: &Folder,
    grid: &[RunSpec],
    settings: &[&Setting],
    runs: &Runs,
    effort: Effort,
) -> Result<Stability, Failure> {
    let mut known = read(&folder.stability()?);
    let grid: HashMap<&str, &RunSpec> = grid.iter().map(|run| (run.id.0.as_str(), run)).collect();
    let Stability { mut pairs, mut left, mut warnings } = Stability::default();
    let (mut opened, mut is_new, started) = (Opened::default(), false, Instant::now());
    for setting in settings {
        let mut members: Vec<(u64, &RunSpec)> = setting
            .rows
            .iter()
            .filter_map(|row| grid.get(runs.text(*row, "run_id").as_str()).copied())
            .map(|run| (run.seed, run))
            .collect();
        members.sort_by_key(|(seed, _)| *seed);
        let digest = |run: &RunSpec| -> Result<Option<String>, Failure> {
            Ok(match folder.state(&run.id, false)? {
                RunState::Ended(manifest) => manifest.digests.get(MODEL).cloned(),
                _ => None,
            })
        };
        let digests: Vec<Option<String>> =
            members.iter().map(|(_, run)| digest(run)).collect::<Result<_, _>>()?;
        // Read when the first pair needs it, and let go with the setting.
        let mut dictionaries: BTreeMap<usize, Option<Dictionary>> = BTreeMap::new();
        for other in 1..members.len() {
            for one in 0..other {
                let (Some(a), Some(b)) = (&digests[one], &digests[other]) else { continue };
                if let Some(pair) = known.remove(&[a.clone(), b.clone()]) {
                    pairs.push(pair);
                    continue;
                }
                if effort == Effort::Quick && started.elapsed() > QUICK {
                    left += 1;
                    continue;
                }
                for at in [one, other] {
                    dictionaries.entry(at).or_insert_with(|| {
                        let run = members[at].1;
                        let read = dictionary(folder, run, &mut opened);
                        read.map_err(|what| warnings.push(format!("run {}: {what}", run.id))).ok()
                    });
                }
                if let [Some(Some(a)), Some(Some(b))] = [one, other].map(|at| dictionaries.get(&at))
                {
                    if effort == Effort::Quick && a.live().max(b.live()) > EXACT {
                        left += 1;
                        continue;
                    }
                    is_new = true;
                    pairs.push(compared([members[one], members[other]], [a, b]));
                }
            }
        }
    }
    if is_new {
        let mut kept = pairs.clone();
        if effort == Effort::Quick {
            // The others are of settings that nobody asked for, or of models that are no more.
            let mut others: Vec<Pair> = known.into_values().collect();
            others.retain(|other| pairs.iter().all(|pair| pair.runs != other.runs));
            others.sort_by(|a, b| a.runs.cmp(&b.runs));
            kept.extend(others);
        }
        folder.keep_stability(&table(&kept))?;
    }
    Ok(Stability { pairs, left, warnings })
}

/// A setting and what its seeds have in common.
pub struct Agreement<'a> {
    /// The method that it is of.
    pub group: &'a Group,
    /// The setting.
    pub setting: &'a Setting,
    /// Each two seeds that were compared.
    pub pairs: Vec<&'a Pair>,
}

impl<'a> Agreement<'a> {
    /// Those of all settings of which at least two seeds were compared.
    pub fn all(groups: &'a [Group], pairs: &'a [Pair], runs: &Runs) -> Vec<Self> {
        let mut of_run: HashMap<&str, Vec<&Pair>> = HashMap::new();
        pairs.iter().for_each(|pair| of_run.entry(&pair.runs[0]).or_default().push(pair));
        let settings =
            groups.iter().flat_map(|group| group.settings.iter().map(move |one| (group, one)));
        let agreement = |(group, setting): (&'a Group, &'a Setting)| {
            let ids = setting.rows.iter().map(|row| runs.text(*row, "run_id"));
            let pairs = ids.filter_map(|id| of_run.get(id.as_str())).flatten().copied();
            Self { group, setting, pairs: pairs.collect() }
        };
        settings.map(agreement).filter(|found| !found.pairs.is_empty()).collect()
    }

    /// The mean over pairs; pairs share runs, so there is no interval. `None` where a dictionary of
    /// each has no live latent.
    pub fn mean(&self) -> Option<f64> {
        let count = self.cosines().count();
        (count > 0).then(|| self.cosines().sum::<f64>() / count as f64)
    }

    /// The matched cosine of each pair that has one.
    pub fn cosines(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().filter_map(|pair| pair.matched_cosine)
    }

    /// Its cells in a table with this heading, both for people.
    pub fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), show::number);
        let live = self.pairs.iter().flat_map(|pair| pair.live);
        let (least, most) = (live.clone().min().unwrap_or(0), live.max().unwrap_or(0));
        vec![
            self.group.name.clone(),
            self.setting.words.clone(),
            self.setting.rows.len().to_string(),
            if least == most { least.to_string() } else { format!("{least} to {most}") },
            number(self.mean()),
            number(self.cosines().reduce(f64::min)),
            number(self.cosines().reduce(f64::max)),
        ]
    }

    /// What the cells are.
    pub const HEADING: [&'static str; 7] =
        ["method", "setting", "seeds", "live latents", "matched cosine", "least", "greatest"];
}

const MODEL: &str = "model.safetensors";

fn compared(members: [(u64, &RunSpec); 2], dictionaries: [&Dictionary; 2]) -> Pair {
    let [one, other] = dictionaries;
    let live = dictionaries.map(Dictionary::live);
    let pairing = Pairing::of(live[0], live[1]);
    Pair {
        runs: members.map(|(_, run)| run.id.0.clone()),
        seeds: members.map(|(seed, _)| seed),
        models: dictionaries.map(|dictionary| dictionary.model.clone()),
        live,
        matched_cosine: matched_cosine(&one.rows, &other.rows, one.inputs, pairing),
        pairing: pairing.name().to_owned(),
    }
}

/// The decoder rows of a run's live latents in the units of the data.
fn dictionary(folder: &Folder, run: &RunSpec, opened: &mut Opened) -> Result<Dictionary, String> {
    let data = opened.get(&run.dataset).map_err(|problem| problem.to_string())?;
    let inputs = data.shape().inputs();
    let state = folder.state(&run.id, false).map_err(|failure| failure.to_string())?;
    let RunState::Ended(manifest) = state else { return Err("it has not ended".to_owned()) };
    let digest = manifest.digests.get(MODEL).ok_or("it has no model")?.clone();
    let bytes = folder.read_run_file(&manifest, MODEL).map_err(said)?;
    let trained = as_trained(run, &manifest)?;
    let model = store::read_model(&trained, Input(inputs), &bytes)?;
    let mut rows = model.dictionary().ok_or("its latents have no decoder rows")?;
    model.normaliser.undo_direction(&mut rows);
    let is_live = live(folder, &manifest)?;
    let is_live = |at: usize| is_live.as_ref().is_none_or(|all| all.get(at) != Some(&false));
    let rows = rows.chunks_exact(inputs).enumerate().filter(|(at, _)| is_live(*at));
    let rows = rows.flat_map(|(_, row)| row).copied().collect();
    Ok(Dictionary { model: digest, rows, inputs })
}

/// Which latents are active on a test sample; `None` where that was not measured.
fn live(folder: &Folder, manifest: &Manifest) -> Result<Option<Vec<bool>>, String> {
    let table = folder.table_of(&manifest.run_id, "latents.parquet").map_err(said)?;
    let rates = match table.as_ref().and_then(|table| table.get("firing_rate")) {
        Some(Values::Number(rates)) => rates,
        _ => return Ok(None),
    };
    Ok(rates.iter().map(|rate| rate.map(|rate| rate > 0.0)).collect())
}

fn said(unread: Unread) -> String {
    match unread {
        Unread::Damaged(what) => what,
        Unread::Failed(failure) => failure.to_string(),
    }
}

/// The table of pairs.
fn table(pairs: &[Pair]) -> Table {
    let mut table = Table::default();
    let text = |of: &dyn Fn(&Pair) -> &str| {
        Values::Text(pairs.iter().map(|pair| Some(of(pair).to_owned())).collect())
    };
    let whole = |of: &dyn Fn(&Pair) -> u64| {
        Values::Whole(pairs.iter().map(|pair| i64::try_from(of(pair)).ok()).collect())
    };
    for (at, prefix) in ["", "other_"].into_iter().enumerate() {
        table.set(format!("{prefix}run_id"), text(&|pair| &pair.runs[at]));
        table.set(format!("{prefix}seed"), whole(&|pair| pair.seeds[at]));
        table.set(format!("{prefix}live_latents"), whole(&|pair| pair.live[at] as u64));
        table.set(format!("{prefix}model"), text(&|pair| &pair.models[at]));
    }
    let cosines = pairs.iter().map(|pair| pair.matched_cosine).collect();
    table.set("matched_cosine", Values::Number(cosines));
    table.set("pairing", text(&|pair| &pair.pairing));
    table
}

/// The pairs of a table by their models; of a table of another form, none.
fn read(table: &Table) -> HashMap<[String; 2], Pair> {
    let text = |name: &str, row: usize| match table.get(name) {
        Some(Values::Text(values)) => values[row].clone(),
        _ => None,
    };
    let whole = |name: &str, row: usize| match table.get(name) {
        Some(Values::Whole(values)) => u64::try_from(values[row]?).ok(),
        _ => None,
    };
    let pair = |row: usize| {
        Some(Pair {
            runs: [text("run_id", row)?, text("other_run_id", row)?],
            seeds: [whole("seed", row)?, whole("other_seed", row)?],
            models: [text("model", row)?, text("other_model", row)?],
            live: [
                usize::try_from(whole("live_latents", row)?).ok()?,
                usize::try_from(whole("other_live_latents", row)?).ok()?,
            ],
            matched_cosine: match table.get("matched_cosine")? {
                Values::Number(values) => values[row],
                _ => return None,
            },
            pairing: text("pairing", row)?,
        })
    };
    let pairs = (0..table.rows()).filter_map(pair);
    pairs.map(|pair| (pair.models.clone(), pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a pair were compared again each time, or came back as another one.
    #[test]
    fn the_table_holds_all_of_a_pair() {
        let pair = |cosine| Pair {
            runs: ["a".into(), "b".into()],
            seeds: [0, 7],
            models: ["x".into(), format!("{cosine:?}")],
            live: [3, 4],
            matched_cosine: cosine,
            pairing: "best".into(),
        };
        let pairs = [pair(Some(0.5)), pair(None)];
        let known = read(&table(&pairs));
        assert_eq!(known.len(), 2);
        for pair in &pairs {
            assert_eq!(&known[&pair.models], pair);
        }
        assert!(read(&Table::default()).is_empty());
    }
}
