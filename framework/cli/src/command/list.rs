//! `list`: shows every run of an experiment, its status and what it will need.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytesize::ByteSize;
use clap::Args;
use framework::search::{MOST_SHORT, TRAININGS};
use framework::spec::{AllSettings, RunSpec};
use serde::{Serialize, Serializer};
use store::exit::{Exit, Failure};
use store::provenance;
use store::{RunCondition, Status};
use worker::Rungs;

use super::fallbacks::Fallback;
use super::grid::Grid;
use super::{Chosen, print, print_json, show};
use crate::estimate::{self, Experience, Need, OF_A_SEARCH};
use crate::progress::say;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn list(arguments: &Arguments) -> Result<Exit, Failure> {
    print_list(&mut Grid::read(&arguments.chosen)?, None, arguments.json)
}

/// Prints the runs of a grid; `jobs` is the number of runs at once, by default one per core.
pub fn print_list(grid: &mut Grid, jobs: Option<usize>, json: bool) -> Result<Exit, Failure> {
    let rows = rows(grid)?;
    let total = Total::of(&rows, jobs.unwrap_or_else(provenance::cores));
    if json {
        let runs = grid.runs.iter().zip(&rows).map(|(run, row)| ListJson::new(run, row));
        let name = &grid.experiment.name;
        let searches = Searches::of(grid, &rows);
        let (fallbacks, runs) = (Fallback::of(&grid.runs), runs.collect());
        let listing = Listing { experiment: name, total, searches, fallbacks, runs };
        print_json(&listing)?;
    } else {
        print(&table(grid, &rows))?;
        print(&format!("{}\n", total.to_words()))?;
        if let Some(searches) = Searches::of(grid, &rows) {
            print(&searches.to_words())?;
        }
        for fallback in Fallback::of(&grid.runs) {
            print(&fallback.to_words())?;
        }
        let adoptable = grid.folder.adoptable(&grid.runs)?.len();
        if adoptable > 0 {
            say(&format!(
                "runs that are done under another spelling of the path to their data: {adoptable}; `run` adopts their \
                 results"
            ));
        }
    }
    Ok(Exit::Done)
}

/// Status and needs of a run.
struct ListRow {
    known: RunCondition,
    need: Need,
    /// Number of seconds that it took, if it is done and they are known.
    took: Option<f64>,
    /// Estimated number of seconds, from what other runs took.
    seconds: f64,
}

impl ListRow {
    /// Returns whether `run` would train it.
    fn is_to_do(&self) -> bool {
        match self.known {
            RunCondition::New
            | RunCondition::Running(_)
            | RunCondition::Lost(_)
            | RunCondition::Interrupted(_)
            | RunCondition::Waiting(_)
            | RunCondition::Damaged(_) => true,
            RunCondition::Ended(status, _) => status == Status::Killed,
            RunCondition::Unmeasured(..) | RunCondition::Stale(_) => false,
        }
    }

    /// Returns whether `run` would measure its stored model.
    fn is_to_measure(&self) -> bool {
        matches!(self.known, RunCondition::Unmeasured(..))
    }

    fn is_done(&self) -> bool {
        self.known.status() == Some(Status::Done) || matches!(self.known, RunCondition::Stale(_))
    }

    /// Formats parameters, memory and time.
    fn words(&self) -> [String; 3] {
        let time = match self.took {
            Some(took) => estimate::time(took),
            None => format!("~{}", estimate::time(self.seconds)),
        };
        let memory = ByteSize(self.need.memory).display().si().to_string();
        [self.need.parameters.to_string(), memory, time]
    }

    /// Returns a key: rows with the same key have the same words.
    fn key(&self) -> (u64, u64, u64, bool) {
        let seconds = self.took.unwrap_or(self.seconds).to_bits();
        (self.need.parameters, self.need.memory, seconds, self.took.is_some())
    }
}

fn rows(grid: &mut Grid) -> Result<Vec<ListRow>, Failure> {
    let mut known = grid.folder.survey(&grid.experiment, &grid.runs)?;
    Rungs::new(&grid.folder, &grid.experiment, &grid.runs)?.tell(&mut known);
    let needs = estimate::needs(&grid.experiment, &grid.runs, &mut grid.opened);
    let needs = needs.map_err(|problem| vec![problem])?;
    let row = |(known, need)| ListRow { known, need, took: None, seconds: 0.0 };
    let mut rows: Vec<ListRow> = known.into_iter().zip(needs).map(row).collect();
    let mut experience = Experience::default();
    if rows.iter().any(ListRow::is_done) {
        let seconds = grid.folder.seconds()?;
        for (run, row) in grid.runs.iter().zip(&mut rows).filter(|(_, row)| row.is_done()) {
            row.took = seconds.get(&run.id.0).copied();
            row.took.into_iter().for_each(|took| experience.add(&row.need, took));
        }
    }
    rows.iter_mut().for_each(|row| row.seconds = experience.seconds(&row.need));
    Ok(rows)
}

fn table(grid: &Grid, rows: &[ListRow]) -> String {
    let axes = grid.experiment.axis_names();
    let with_reason = rows.iter().any(|row| row.known.reason().is_some());
    let mut heading = vec!["run"];
    heading.extend(&axes);
    heading.extend(["seed", "parameters", "memory", "time", "status"]);
    heading.extend(with_reason.then_some("reason"));
    // Most runs of a large grid have the same needs, so the words of each need are made once.
    let mut words: HashMap<_, [String; 3]> = HashMap::new();
    for row in rows {
        words.entry(row.key()).or_insert_with(|| row.words());
    }
    let runs = grid.runs.iter().zip(rows);
    let cells: Vec<Vec<Cow<'_, str>>> = runs
        .map(|(run, row)| {
            let mut cells: Vec<Cow<'_, str>> = Vec::with_capacity(heading.len());
            cells.push(run.id.0.as_str().into());
            cells.extend(axes.iter().map(|axis| Cow::from(run.value_on(axis).unwrap_or(""))));
            cells.push(run.seed.to_string().into());
            cells.extend(words[&row.key()].iter().map(|word| Cow::from(word.as_str())));
            cells.push(row.known.word().into());
            cells.extend(with_reason.then(|| Cow::from(row.known.reason().unwrap_or(""))));
            cells
        })
        .collect();
    show::table(&heading, &cells)
}

/// Totals over all runs.
#[derive(Serialize)]
struct Total {
    /// Number of runs of each status.
    counts: BTreeMap<String, usize>,
    to_do: usize,
    /// Number of runs that are trained but not fully measured.
    to_measure: usize,
    at_once: usize,
    /// Estimated time of the runs to do.
    estimated_seconds: f64,
}

impl Total {
    fn of(rows: &[ListRow], jobs: usize) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            match counts.get_mut(row.known.word()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(row.known.word().to_owned(), 1)),
            }
        }
        let to_do = rows.iter().filter(|row| row.is_to_do());
        let (seconds, to_do) = (to_do.clone().map(|row| row.seconds), to_do.count());
        let at_once = jobs.min(to_do);
        let to_measure = rows.iter().filter(|row| row.is_to_measure()).count();
        Self {
            counts,
            to_do,
            to_measure,
            at_once,
            estimated_seconds: estimate::together(seconds, at_once),
        }
    }

    fn to_words(&self) -> String {
        let all: usize = self.counts.values().sum();
        let ended = ["done", "stale", "failed", "diverged", "timeout", "oom"];
        let ended = ended.iter().filter_map(|word| Some((*self.counts.get(*word)?, *word)));
        let mut words: Vec<String> = ended.map(|(count, word)| format!("{count} {word}")).collect();
        if self.to_do > 0 {
            let time = estimate::time(self.estimated_seconds);
            words.push(format!("{} to do", self.to_do));
            words.push(format!("about {time} with {} at once", self.at_once));
        }
        if self.to_measure > 0 {
            words.push(format!("{} to measure", self.to_measure));
        }
        format!("{all} runs: {}", words.join(", "))
    }
}

/// Runs to do that search for a strength.
#[derive(Serialize)]
struct Searches {
    runs: usize,
    least_trainings: usize,
    most_trainings: usize,
}

impl Searches {
    /// Counts the searches; `None` if there are none.
    fn of(grid: &Grid, rows: &[ListRow]) -> Option<Self> {
        let is_one = |(run, row): &(&RunSpec, &ListRow)| row.is_to_do() && run.searched().is_some();
        let runs = grid.runs.iter().zip(rows).filter(is_one).count();
        let [least, most] = TRAININGS.map(|of_one| runs * of_one);
        (runs > 0).then_some(Self { runs, least_trainings: least, most_trainings: most })
    }

    fn to_words(&self) -> String {
        let [least, most] = TRAININGS;
        format!(
            "{} to do with a target: each is a search of {least} to {most} trainings, at most {MOST_SHORT} of them \
             short, which takes about {OF_A_SEARCH} times the time of one\n",
            self.runs
        )
    }
}

/// Document that `--json` prints. It borrows, since the runs of a large grid share their settings.
#[derive(Serialize)]
struct Listing<'a> {
    experiment: &'a str,
    total: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    searches: Option<Searches>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallbacks: Vec<Fallback>,
    runs: Vec<ListJson<'a>>,
}

#[derive(Serialize)]
struct ListJson<'a> {
    run_id: &'a str,
    seed: u64,
    status: &'a str,
    reason: Option<&'a str>,
    parameters: u64,
    estimated_memory_bytes: u64,
    seconds: Option<f64>,
    estimated_seconds: f64,
    #[serde(serialize_with = "as_map")]
    point: &'a [(String, String)],
    settings: AllSettings<'a>,
}

impl<'a> ListJson<'a> {
    fn new(run: &'a RunSpec, row: &'a ListRow) -> Self {
        Self {
            run_id: &run.id.0,
            seed: run.seed,
            status: row.known.word(),
            reason: row.known.reason(),
            parameters: row.need.parameters,
            estimated_memory_bytes: row.need.memory,
            seconds: row.took,
            estimated_seconds: row.seconds,
            point: &run.point,
            settings: run.all_settings(),
        }
    }
}

fn as_map<S: Serializer>(point: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(point.iter().map(|(axis, value)| (axis, value)))
}
