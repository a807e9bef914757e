//! How far each run goes where `[run] halving` stops those that do badly.
//!
//! Runs are compared at rungs. A rung is decided when each of its runs has a record there or has ended. So
//! the runs that go on depend on the records alone, not on who wrote them or when. Decisions are kept in
//! memory; for rungs that are not decided, only new records are read.

mod rank;

use std::collections::{HashMap, HashSet};

use framework::spec::{Experiment, Halving, RunId, RunSpec, Rung};
use store::exit::Failure;
use store::{Changes, Folder, RunCondition, Status};

use crate::words::readable;
use rank::{Ranking, Standing};

/// How far a run goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// To this rung, or to its end if no rung is left.
    GoOn(Option<Rung>),
    /// It waits at this rung, after so many steps, until the other runs have reached it.
    Wait(Rung, usize),
    /// It stops: others are better.
    Stop(StopAtRung),
}

/// Rung at which a run is stopped, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct StopAtRung {
    /// Rung at which it is stopped.
    pub rung: Rung,
    /// Reason that is stored with the run.
    pub reason: String,
}

/// Rungs of the runs of a grid, and what is decided there.
pub struct Rungs<'a> {
    folder: &'a Folder,
    runs: &'a [RunSpec],
    halving: Option<&'a Halving>,
    rungs: Vec<Rung>,
    brackets: Vec<Bracket>,
    /// Place of each run in the following list.
    index: HashMap<&'a RunId, usize>,
    per_run: Vec<RunAtRung>,
    changes: Changes,
}

/// Runs that are compared with each other.
struct Bracket {
    /// Runs that may go to the first undecided rung.
    alive: Vec<usize>,
    /// Index of that rung; the number of rungs if all are decided.
    rung: usize,
}

/// State of a run at its rungs.
struct RunAtRung {
    bracket: usize,
    /// Its standing at the first undecided rung of its bracket, and its steps there; `None` if unknown.
    standing: Option<(Standing, usize)>,
    stop: Option<StopAtRung>,
}

impl<'a> Rungs<'a> {
    /// Makes the rungs of an experiment's runs, and decides those that can be decided now.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn new(
        folder: &'a Folder,
        experiment: &'a Experiment,
        runs: &'a [RunSpec],
    ) -> Result<Self, Failure> {
        let halving = experiment.run.halving.as_ref();
        let mut rungs = Self {
            folder,
            runs,
            halving,
            rungs: halving.map_or(Vec::new(), Halving::rungs),
            brackets: Vec::new(),
            index: HashMap::new(),
            per_run: Vec::new(),
            changes: Changes::default(),
        };
        rungs.start_over()?;
        Ok(rungs)
    }

    fn start_over(&mut self) -> Result<(), Failure> {
        let Some(halving) = self.halving else { return Ok(()) };
        self.brackets.clear();
        self.per_run.clear();
        let mut known: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        for (at, run) in self.runs.iter().enumerate() {
            let value = |axis: &String| match axis.as_str() {
                "seed" => Some(run.seed.to_string()),
                axis => run.value_on(axis).map(str::to_owned),
            };
            let key = halving.within.iter().map(value).collect();
            let bracket = *known.entry(key).or_insert(self.brackets.len());
            if bracket == self.brackets.len() {
                self.brackets.push(Bracket { alive: Vec::new(), rung: 0 });
            }
            self.brackets[bracket].alive.push(at);
            self.index.insert(&run.id, at);
            self.per_run.push(RunAtRung { bracket, standing: None, stop: None });
        }
        self.refresh()
    }

    /// Reads new records, and decides the rungs that can be decided now.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let Some(halving) = self.halving else { return Ok(()) };
        if self.brackets.iter().all(|bracket| bracket.rung == self.rungs.len()) {
            return Ok(());
        }
        let ended: HashSet<RunId> = self.folder.run_ids()?.into_iter().collect();
        let mut recorded: Vec<Option<HashSet<RunId>>> = vec![None; self.rungs.len()];
        for bracket in 0..self.brackets.len() {
            while let Some(rung) = self.rungs.get(self.brackets[bracket].rung).copied() {
                let recorded = match &mut recorded[rung.number - 1] {
                    Some(known) => known,
                    unknown => unknown.insert(self.folder.recorded(rung.share)?),
                };
                for at in self.brackets[bracket].alive.clone() {
                    if self.per_run[at].standing.is_none() {
                        let id = &self.runs[at].id;
                        let (recorded, ended) = (recorded.contains(id), ended.contains(id));
                        self.per_run[at].standing = self.standing_at(at, rung, recorded, ended)?;
                    }
                }
                let alive = &self.brackets[bracket].alive;
                let standings: Option<Vec<(&RunId, Standing)>> = alive
                    .iter()
                    .map(|at| Some((&self.runs[*at].id, self.per_run[*at].standing?.0)))
                    .collect();
                let Some(standings) = standings else { break };
                let ranking = Ranking::new(halving, &standings);
                self.decide(bracket, rung, &ranking);
            }
        }
        Ok(())
    }

    /// Returns the standing of a run at a rung and its steps there, if that is known yet. Reads its record
    /// only if it is `recorded`, and its end only if it has `ended`.
    fn standing_at(
        &mut self,
        at: usize,
        rung: Rung,
        recorded: bool,
        ended: bool,
    ) -> Result<Option<(Standing, usize)>, Failure> {
        let (Some(halving), run) = (self.halving, &self.runs[at]) else { return Ok(None) };
        let record = if recorded { self.folder.record(rung.share, &run.id)? } else { None };
        // Values that were measured on other data cannot be compared.
        let record = record.filter(|record| self.changes.since(run, &record.data).is_none());
        if let Some(record) = record {
            let missed = record.missed.then_some(Standing::Absent);
            let measured = record.metrics.get(&halving.metric);
            let measured = measured.map(|value| Standing::Measured(value.as_f64()));
            if let Some(standing) = measured.or(missed) {
                return Ok(Some((standing, record.step)));
            }
        }
        let status =
            if ended { self.folder.brief(&run.id)?.map(|brief| brief.status) } else { None };
        Ok(match status {
            Some(Status::Done) => Some((Standing::Absent, 0)),
            // It has reached another rung, and may still reach this one.
            Some(Status::Stopped) | None => None,
            Some(_) => Some((Standing::Failed, 0)),
        })
    }

    /// Lets the best runs of a bracket go on, and stops the others.
    fn decide(&mut self, bracket: usize, rung: Rung, ranking: &Ranking) {
        let metric = self.halving.map_or("", |halving| halving.metric.as_str());
        let bracket = &mut self.brackets[bracket];
        let mut kept = Vec::with_capacity(ranking.kept);
        for (place, at) in std::mem::take(&mut bracket.alive).into_iter().enumerate() {
            let run = &mut self.per_run[at];
            if ranking.goes_on(place) {
                kept.push(at);
                run.standing = None;
            } else if let Some((Standing::Measured(value), step)) = run.standing {
                let value = value.map_or("undefined".to_owned(), readable);
                let reason = format!(
                    "rung {} of {}, at step {step}: place {} of {} by {metric} ({value}); the first {} go on",
                    rung.number, rung.of, ranking.places[place], ranking.of, ranking.kept,
                );
                run.stop = Some(StopAtRung { rung, reason });
            }
        }
        (bracket.alive, bracket.rung) = (kept, bracket.rung + 1);
    }

    /// Returns how far a run goes; reads its own record if that is missing in memory.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn verdict(&mut self, run: &RunSpec) -> Result<Verdict, Failure> {
        let Some(at) = self.index.get(&run.id).copied() else { return Ok(Verdict::GoOn(None)) };
        let rung = self.rungs.get(self.brackets[self.per_run[at].bracket].rung).copied();
        if let (None, None, Some(rung)) = (&self.per_run[at].standing, &self.per_run[at].stop, rung)
        {
            self.per_run[at].standing = self.standing_at(at, rung, true, false)?;
        }
        Ok(self.known_verdict(&run.id))
    }

    /// Returns how far a run goes by what is in memory; reads nothing.
    pub fn known_verdict(&self, id: &RunId) -> Verdict {
        let Some(at) = self.index.get(id).map(|at| &self.per_run[*at]) else {
            return Verdict::GoOn(None);
        };
        if let Some(stop) = &at.stop {
            return Verdict::Stop(stop.clone());
        }
        match (self.rungs.get(self.brackets[at.bracket].rung).copied(), at.standing) {
            (Some(rung), Some((Standing::Measured(_) | Standing::Absent, step))) => {
                Verdict::Wait(rung, step)
            }
            (rung, _) => Verdict::GoOn(rung),
        }
    }

    /// Notes that a run has not ended. If it counted as failed before, its result was put aside since, and
    /// all rungs are decided again.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn has_not_ended(&mut self, run: &RunSpec) -> Result<(), Failure> {
        let at = self.index.get(&run.id).map(|at| &self.per_run[*at]);
        match at.and_then(|at| at.standing) {
            Some((Standing::Failed, _)) => self.start_over(),
            _ => Ok(()),
        }
    }

    /// Marks interrupted runs as waiting if they wait at a rung.
    pub fn tell(&self, known: &mut [RunCondition]) {
        for (run, known) in self.runs.iter().zip(known) {
            if let (RunCondition::Interrupted(_), Verdict::Wait(rung, step)) =
                (&*known, self.known_verdict(&run.id))
            {
                let Rung { number, of, .. } = rung;
                *known = RunCondition::Waiting(format!("at rung {number} of {of}, step {step}"));
            }
        }
    }
}
