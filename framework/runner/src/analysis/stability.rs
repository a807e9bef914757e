//! Dictionary stability: whether different seeds of one setting find the same features.
//!
//! Each two of the runs that differ by their seed alone are compared by [`matched_cosine`], live latents
//! only: those that are active on a test sample. What was found stands in a table, a row a pair, with
//! the digests of the two models that it is about: only pairs of other models are compared anew.

use std::collections::{BTreeMap, HashMap};

use compare::dictionaries::{Pairing, matched_cosine};
use framework::dims::Input;
use framework::spec::{Opened, RunSpec};
use tables::{Table, Values};

use super::{Comparison, Runs};
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

/// Compares each two seeds of every setting, and keeps what was found. Pairs of runs that cannot be
/// compared, as a model is damaged or has no rows, are left out; why is told by the warnings.
///
/// # Errors
/// If the folder cannot be read or written to.
pub fn stability(
    folder: &Folder,
    grid: &[RunSpec],
    comparison: &Comparison,
    runs: &Runs,
) -> Result<(Vec<Pair>, Vec<String>), Failure> {
    let known = read(&folder.stability()?);
    let grid: HashMap<&str, &RunSpec> = grid.iter().map(|run| (run.id.0.as_str(), run)).collect();
    let (mut pairs, mut warnings, mut is_new) = (Vec::new(), Vec::new(), false);
    let mut opened = Opened::default();
    for setting in comparison.groups.iter().flat_map(|group| &group.settings) {
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
                let key = [a.clone(), b.clone()];
                if let Some(pair) = known.get(&key) {
                    pairs.push(pair.clone());
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
                    is_new = true;
                    pairs.push(compared([members[one], members[other]], [a, b]));
                }
            }
        }
    }
    if is_new {
        folder.keep_stability(&table(&pairs))?;
    }
    Ok((pairs, warnings))
}

const MODEL: &str = "model.safetensors";

fn compared(members: [(u64, &RunSpec); 2], dictionaries: [&Dictionary; 2]) -> Pair {
    let [one, other] = dictionaries;
    let live = dictionaries.map(|dictionary| dictionary.rows.len() / one.inputs);
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
