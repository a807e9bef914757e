//! What evaluations may use, and their names: a model and samples of their own, a random stream, what is known
//! of the data, and names of the user's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use framework::evaluate::Evaluator;
use framework::model::Definition;
use framework::plugin::{Data, DataFacts, SampleShape, Split, When};
use framework::random::Streams;
use framework::spec::RunSpec;
use framework::train::{Ended, Model, Normalizer, Progress, train};

use crate::support::models::{data, runs};
use crate::support::program::Place;

const NUDGE: &str = "{ kind = \"nudge\", corruption = { kind = \"salt\", rate = 0.3 } }";

/// A short experiment with these evaluations.
fn text(kinds: &str, more: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\nkind = \"waves\"\ninputs = 6\nnormalize = \"standard\"\n\
         [architecture]\nkind = \"dense\"\nlatents = 5\n[evaluate]\nkinds = [{kinds}]\n{more}\n"
    )
}

/// The metrics at the end of the only run, by name.
fn found(kinds: &str, more: &str) -> Vec<(String, Option<f64>)> {
    let (experiment, runs) = runs(&text(kinds, &format!("[train]\nepochs = 1\n{more}")));
    let see = &mut |_: &Progress| {};
    let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, see);
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let metrics = trained.measured.metrics.into_iter();
    metrics.map(|metric| (metric.name, metric.value)).collect()
}

/// A model as a run starts with it, in the engine that the run asks for.
fn untrained<'a>(run: &'a RunSpec, data: &dyn Data) -> Model<'a> {
    let normalizer = Normalizer::fit(run.dataset.value.normalize, data).unwrap();
    Model::new(Definition::of(run), data.shape(), normalizer, &Streams::new(run.seed)).as_asked(run)
}

/// Wrong if samples of an evaluation's own were encoded or decoded in other units than those of the data, or
/// if what comes of a sample depended on how many are given at once.
#[test]
fn the_model_of_a_subject_takes_samples_in_the_units_of_the_data() {
    for (engine, penalty) in [
        ("fused", "kind = \"k-sparse\"\nk = 2"),
        ("fused", "kind = \"none\""),
        ("reference", "kind = \"k-sparse\"\nk = 2"),
    ] {
        let (_, runs) =
            runs(&text("", &format!("[penalty]\n{penalty}\n[train]\nengine = \"{engine}\"")));
        let data = data(&runs[0]);
        let model = untrained(&runs[0], &*data);
        let (mut x, mut x_hat, mut code, mut batches) = (vec![], vec![], vec![], 0);
        let mut evaluator = Evaluator::new(&*data, 7);
        evaluator
            .each_batch(&model, Split::Test, &mut |subject, batch| {
                x.extend_from_slice(batch.x);
                x_hat.extend_from_slice(batch.x_hat);
                code.extend_from_slice(&batch.code.to_dense());
                batches += 1;
                let rows: Vec<usize> = (batch.first..batch.first + batch.rows).collect();
                assert_eq!(subject.samples(Split::Test, &rows).unwrap(), batch.x);
                if batch.first + batch.rows == subject.data.rows(Split::Test) {
                    let codes = subject.model.encode(&x);
                    assert_eq!(*codes.view().to_dense(), *code, "{engine}");
                    assert_eq!(subject.model.reconstruct(&x), x_hat, "{engine}");
                    let whole = subject.model.whole().unwrap();
                    assert!(*whole.parameters() == *model.parameters(), "{engine}");
                    let decoded = subject.model.decode(codes.view());
                    let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
                    assert!(decoded.iter().zip(&x_hat).all(is_near), "{engine}");
                    assert!(subject.model.encode(&[]).view().rows() == 0);
                }
            })
            .unwrap();
        assert!(batches > 1);
    }
}

/// Wrong if what one evaluation draws moved another, or did not depend on the run's seed and on the name.
#[test]
fn the_random_stream_of_an_evaluation_is_its_own() {
    let alone = found(NUDGE, "");
    assert_eq!(alone.len(), 2);
    assert!(alone.iter().all(|(_, value)| value.is_some_and(|value| value > 0.0)), "{alone:?}");
    let named = NUDGE.replacen("{ kind", "{ name = \"again\", kind", 1);
    let beside = found(&format!("\"reconstruction\", {named}, {NUDGE}"), "");
    assert_eq!(beside[beside.len() - 2..], alone[..], "the others moved it");
    let again = &beside[beside.len() - 4..beside.len() - 2];
    assert!(again[0].1 != alone[0].1 && again[1].1 != alone[1].1, "{again:?}");
    assert_eq!(found(NUDGE, ""), alone);
}

/// Data that counts the training samples that are read from it.
struct Counted {
    data: Arc<dyn Data>,
    read: AtomicUsize,
}

impl Data for Counted {
    fn shape(&self) -> SampleShape {
        self.data.shape()
    }

    fn rows(&self, split: Split) -> usize {
        self.data.rows(split)
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        if split == Split::Train {
            self.read.fetch_add(rows.len(), Ordering::SeqCst);
        }
        self.data.gather(split, rows, out)
    }
}

/// Wrong if what depends on the data alone were found again for each run or each name, or if evaluations with
/// other settings took it for theirs.
#[test]
fn what_depends_on_the_data_is_found_once_for_all_runs_on_it() {
    let named = NUDGE.replacen("{ kind", "{ name = \"again\", kind", 1);
    let other = named.replace("again", "other").replace("0.3", "0.4");
    let kinds = format!("{NUDGE}, {named}, {other}");
    let (experiment, runs) =
        runs(&text(&kinds, "").replace("[dataset]", "seeds = [0, 1]\n[dataset]"));
    let data = Counted { data: data(&runs[0]), read: AtomicUsize::default() };
    let facts = Arc::<DataFacts>::default();
    let reads = runs.iter().map(|run| {
        let model = untrained(run, &data);
        let before = data.read.load(Ordering::SeqCst);
        let mut evaluator = Evaluator::new(&data, 16).knowing(facts.clone());
        evaluator.measure(&model, &experiment.evaluate.evaluations, When::End).unwrap();
        data.read.load(Ordering::SeqCst) - before
    });
    let drawn = 3 * 10;
    let once = 2 * data.rows(Split::Train);
    assert_eq!(reads.collect::<Vec<_>>(), [2 * once + drawn, drawn]);
}

/// Wrong if a name did not stand in the columns, or the unnamed one lost its own.
#[test]
fn an_evaluation_stands_more_than_once_under_names() {
    let heavy = NUDGE.replacen("{ kind", "{ name = \"heavy\", kind", 1).replace("0.3", "0.9");
    let own = NUDGE.replacen("{ kind", "{ name = \"nudge\", kind", 1);
    for first in [NUDGE, &own] {
        let names: Vec<String> =
            found(&format!("{first}, {heavy}"), "").into_iter().map(|(name, _)| name).collect();
        let expected =
            ["test_nudge_distance", "test_error", "test_heavy_distance", "test_heavy_error"];
        assert_eq!(names, expected);
    }
}

/// Wrong if a name that cannot stand in a column, or that is taken, were found later or at no line.
#[test]
fn names_that_cannot_be_are_refused_at_their_place() {
    let again = |name: &str| format!("\"peak\", {{ kind = \"peak\", name = {name} }}");
    for (kinds, parts) in [
        (again("\"Heavy\""), ["x.toml:10:42", "`Heavy` cannot name an evaluation"]),
        (again("\"1st\""), ["x.toml:10:42", "lowercase letters, digits and `_`, a letter first"]),
        (again("\"\""), ["x.toml:10:42", "`` cannot name an evaluation"]),
        (again("3"), ["x.toml:10:42", "the name of an evaluation is a string, got a whole number"]),
        (again(&format!("\"{}\"", "a".repeat(65))), ["x.toml:10:42", "has at most 64 letters"]),
        (again("\"probe\""), ["x.toml:10:42", "`probe` is another evaluation"]),
        (again("\"peak\""), ["x.toml:10:42", "the evaluation `peak` is there twice"]),
        ("\"peak\", \"peak\"".into(), ["x.toml:10:18", "the evaluation `peak` is there twice"]),
        (
            "\"reconstruction\", { kind = \"peak\", name = \"mse\" }".into(),
            ["x.toml:10:52", "`reconstruction` and `mse` would both have the column `test_mse`"],
        ),
        (
            NUDGE.replace("0.3", "1.5"),
            ["x.toml:10:65", "corruption `salt`: rate: expected a rate strictly between 0 and 1"],
        ),
        (NUDGE.replace("salt", "sault"), ["x.toml:10:50", "did you mean `salt`?"]),
        (NUDGE.replace("nudge", "nudje"), ["x.toml:10:19", "did you mean `nudge`?"]),
    ] {
        let place = Place::with(&text(&kinds, ""));
        let said = place.run_outside(["check", "x.toml"]).exits(2).complains(parts);
        assert!(!place.has_results(), "something was written:\n{said}");
    }
}
