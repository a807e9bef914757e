//! Tests of comparisons on made-up tables of runs: what they leave out, compare and note.

use tables::{Table, Values};

use super::*;
use crate::group::Setting;

/// A finished run: its method, seed, L0 and value, and further settings.
struct Run {
    penalty: &'static str,
    seed: i64,
    l0: f64,
    value: f64,
    more: Vec<(&'static str, &'static str)>,
}

/// Makes a run without further settings.
fn run(penalty: &'static str, seed: i64, l0: f64, value: f64) -> Run {
    Run { penalty, seed, l0, value, more: Vec::new() }
}

/// Makes runs of two methods at two strengths with four seeds each: `a` is better than `b` by 0.1.
fn methods(more: &[(&'static str, &'static str)]) -> Vec<Run> {
    let mut runs = Vec::new();
    for (penalty, worse) in [("a", 0.0), ("b", 0.1)] {
        for (l0, value) in [(5.0, 0.4), (20.0, 0.2)] {
            for seed in 0..4_i32 {
                let value = value + worse + 0.001 * f64::from(seed * seed % 3);
                let one = run(penalty, seed.into(), l0, value);
                runs.push(Run { more: more.to_vec(), ..one });
            }
        }
    }
    runs
}

/// Makes the table of runs; `declared` is their declaration of `test_it`.
fn table(runs: &[Run], declared: &str) -> Table {
    let rows = runs.iter().map(|run| {
        let mut row = Table::default();
        let mut text = |name: &str, value: &str| {
            row.set(name, Values::Text(vec![Some(value.to_owned())]));
        };
        text("status", "done");
        text("dataset", "some");
        text("penalty", run.penalty);
        text("penalty_strength", &run.l0.to_string());
        text("metrics", &format!("{{\"test_it\":{declared}}}"));
        run.more.iter().for_each(|(name, value)| text(name, value));
        let own = [run.penalty.to_owned(), run.seed.to_string(), run.l0.to_string()];
        let more = run.more.iter().map(|(_, value)| (*value).to_owned());
        text("run_id", &own.into_iter().chain(more).collect::<Vec<_>>().join("-"));
        row.set("seed", Values::Whole(vec![Some(run.seed)]));
        row.set("test_l0", Values::Number(vec![Some(run.l0)]));
        row.set("test_it", Values::Number(vec![Some(run.value)]));
        row
    });
    Table::union(rows)
}

/// Returns a question about the metric `test_it`.
fn it() -> Question {
    Question { metric: Some("test_it".to_owned()), ..Question::default() }
}

/// Compares runs by a question.
fn compared(runs: &[Run], declared: &str, question: &Question) -> Comparisons {
    Comparisons::new(&Runs::new(table(runs, declared)), question)
}

/// Returns the names of all winners.
fn winners(found: &Comparisons) -> BTreeSet<&str> {
    let part = |part: &'_ Comparison| -> Vec<usize> {
        part.pairs.iter().filter_map(|pair| pair.winner).collect()
    };
    let names = found.parts.iter().flat_map(|one| {
        part(one).into_iter().map(|at| one.groups[at].name.as_str()).collect::<Vec<_>>()
    });
    names.collect()
}

/// Declaration of a metric of which the lowest values are good.
const LOWEST: &str = "[\"lowest\",\"data\"]";

/// Wrong if the declaration in the results does not decide who wins, or if a method wins by a metric
/// without a known direction.
#[test]
fn results_say_which_values_are_good() {
    let runs = methods(&[]);
    assert_eq!(winners(&compared(&runs, LOWEST, &it())), ["a"].into());
    assert_eq!(winners(&compared(&runs, "[\"highest\",\"data\"]", &it())), ["b"].into());
    // All values are between 0.2 and 0.5; those of b are nearer to 0.6.
    let near = compared(&runs, "[0.6,\"data\"]", &it());
    assert_eq!(winners(&near), ["b"].into());
    assert_eq!(near.metric, "|test_it - 0.6|");
    let unknown = compared(&runs, "[null,\"data\"]", &it());
    let part = &unknown.parts[0];
    assert!(part.pairs.is_empty() && part.readings.is_empty());
    assert!(unknown.groups().flat_map(|group| &group.settings).all(|one| !one.is_on_front));
    assert!(
        part.notes(&unknown.by)[0].contains("say --best lowest, --best highest or --best VALUE")
    );
    for (best, winner) in [(Best::Lowest, "a"), (Best::Highest, "b"), (Best::Value(0.6), "b")] {
        let found = compared(&runs, "[null,\"data\"]", &Question { best: Some(best), ..it() });
        assert_eq!(winners(&found), [winner].into(), "{best:?}");
    }
}

/// Wrong if a value beyond the best one counts as better, or if two values on either side of it count as
/// the best one on average.
#[test]
fn what_is_near_to_the_best_value_is_good_on_either_side() {
    let around = |penalty, off: f64| {
        (0..4).map(move |seed| {
            run(penalty, seed, 5.0, if seed % 2 == 0 { 1.0 + off } else { 1.0 - off })
        })
    };
    let runs: Vec<Run> = around("a", 0.3).chain(around("b", 0.1)).collect();
    let found = compared(&runs, "[1.0,\"data\"]", &Question { at: vec![5.0], ..it() });
    let means: Vec<f64> = found.groups().map(|group| group.settings[0].value.mean).collect();
    assert!((means[0] - 0.3).abs() < 1e-9 && (means[1] - 0.1).abs() < 1e-9, "{means:?}");
}

/// Wrong if runs on one data set win over runs on another, or are tested against them.
#[test]
fn each_data_set_has_a_comparison_of_its_own() {
    let mut runs = methods(&[("dataset_part", "one")]);
    let good: Vec<Run> = methods(&[("dataset_part", "two")])
        .into_iter()
        .filter(|run| run.penalty == "b")
        .map(|run| Run { value: run.value / 100.0, ..run })
        .collect();
    runs.extend(good);
    let found = compared(&runs, LOWEST, &it());
    let names: Vec<&str> = found.parts.iter().map(|part| part.within.as_str()).collect();
    assert_eq!(names, ["part=one", "part=two"]);
    assert_eq!(winners(&found), ["a"].into(), "b is better on other data alone");
    assert!(found.groups().flat_map(|group| &group.settings).all(|one| one.is_on_front));
    assert!(found.parts[1].pairs.is_empty());
    assert!(found.why_several().unwrap().contains("nothing is compared across them"));
}

/// Wrong if `normalize` splits errors in the same units into two comparisons, or if no note names its
/// difference.
#[test]
fn what_does_not_change_the_meaning_is_said_beside_the_verdict() {
    let mut runs = methods(&[("dataset_normalize", "none")]);
    for run in runs.iter_mut().filter(|run| run.penalty == "a") {
        run.more = vec![("dataset_normalize", "standard"), ("train_epochs", "20")];
    }
    let found = compared(&runs, LOWEST, &it());
    assert_eq!((found.parts.len(), winners(&found)), (1, ["a"].into()));
    let notes = found.parts[0].notes(&found.by).join("\n");
    assert!(notes.contains("dataset_normalize (a standard, b none)"), "{notes}");
    assert!(
        !notes.contains("penalty_strength"),
        "that is how far each is along its front: {notes}"
    );
    // A number that is taken on the samples as the model sees them changes its meaning with `normalize`.
    let found = compared(&runs, "[\"lowest\",\"training\"]", &it());
    assert_eq!((found.parts.len(), winners(&found)), (2, [].into()));
}

/// Wrong if files of one name in two folders count as the same data, or one file under two names as two.
#[test]
fn a_data_file_is_what_it_holds() {
    let (one, two) = (("dataset_images", "x.idx"), ("dataset_images", "../data/x.idx"));
    let runs: Vec<Run> = methods(&[one])
        .into_iter()
        .chain(methods(&[two]))
        .filter(|run| (run.penalty == "a") == (run.more == [one]))
        .collect();
    let from = |digests: [Option<&str>; 2]| {
        let origin = |run: &Run| {
            let at = usize::from(run.penalty == "b");
            let digest = digests[at].map(|digest| ("images".to_owned(), digest.to_owned()));
            let folder = ["results/one", "results/two"][at].into();
            crate::runs::RowOrigin { folder, files: digest.into_iter().collect() }
        };
        let runs = Runs::new(table(&runs, LOWEST)).from(runs.iter().map(origin).collect());
        Comparisons::new(&runs, &it())
    };
    assert_eq!(winners(&from([Some("abcdef012345"); 2])), ["a"].into());
    let other = from([Some("abcdef012345"), Some("543210fedcba")]);
    assert_eq!((other.parts.len(), winners(&other)), (2, [].into()));
    assert_eq!(from([None; 2]).parts.len(), 2, "what is not known is not the same");
}

/// Wrong if runs of one id on different data are dropped as repetitions: the id contains the path as
/// written.
#[test]
fn the_same_name_in_two_folders_may_be_other_data() {
    let runs: Vec<Run> = methods(&[("dataset_images", "x.idx")])
        .into_iter()
        .chain(methods(&[("dataset_images", "x.idx")]))
        .collect();
    let from = |digests: [&str; 2]| {
        let origin = |at: usize| {
            let digest = digests[usize::from(at >= 16)].to_owned();
            let files = [("images".to_owned(), digest)].into();
            crate::runs::RowOrigin { folder: "results/x".into(), files }
        };
        let runs = Runs::new(table(&runs, LOWEST)).from((0..32).map(origin).collect());
        let found = Comparisons::new(&runs, &it());
        let count: usize =
            found.groups().flat_map(|group| &group.settings).map(|one| one.rows.len()).sum();
        (found.parts.iter().map(|part| part.within.clone()).collect::<Vec<_>>(), count)
    };
    assert_eq!(from(["0123456789ab"; 2]), (vec![String::new()], 16));
    let (names, count) = from(["0123456789ab", "ba9876543210"]);
    assert_eq!(
        (names, count),
        (vec!["images=x.idx (01234567)".into(), "images=x.idx (ba987654)".into()], 32)
    );
}

/// Wrong if `--over` does not pair runs with equal values of the column, or still splits by it.
#[test]
fn what_is_averaged_over_is_paired_like_the_seed() {
    let mut runs = methods(&[("dataset_normal", "0")]);
    let other = methods(&[("dataset_normal", "1")]);
    // Values differ far more between classes than between methods: only pairs show the difference.
    runs.extend(other.into_iter().map(|run| Run { value: run.value + 5.0, ..run }));
    assert_eq!(compared(&runs, LOWEST, &it()).parts.len(), 2);
    let over = Question { over: vec!["dataset_normal".into()], ..it() };
    let found = compared(&runs, LOWEST, &over);
    assert_eq!((found.parts.len(), winners(&found)), (1, ["a"].into()));
    let settings: Vec<usize> =
        found.groups().flat_map(|group| &group.settings).map(|one| one.rows.len()).collect();
    assert_eq!(settings, [8; 4], "four seeds of two classes");
    assert!(found.parts[0].pairs.iter().all(|pair| pair.difference.unwrap().count == 8));
}

/// Wrong if an L0 that is asked for twice makes every difference less certain.
#[test]
fn a_place_that_is_named_twice_is_one() {
    let runs = methods(&[]);
    let at = |at: &[f64]| {
        let found = compared(&runs, LOWEST, &Question { at: at.to_vec(), ..it() });
        let pairs = &found.parts[0].pairs;
        pairs.iter().map(|pair| (pair.at, pair.methods, pair.probability)).collect::<Vec<_>>()
    };
    assert_eq!(at(&[10.0, 10.0]), at(&[10.0]));
    assert_eq!(at(&[8.0, 8.0, 8.0]).len(), 1);
}

/// Wrong if codes that are all off are on a front, or extend the stretch in which methods are compared.
#[test]
fn codes_that_are_all_off_win_nothing() {
    let mut runs = methods(&[]);
    runs.extend((0..4).map(|seed| run("c", seed, 0.0, 0.01)));
    let found = compared(&runs, LOWEST, &it());
    let part = &found.parts[0];
    let silent = part.groups.iter().find(|group| group.name == "c").unwrap();
    assert!(!silent.settings[0].is_on_front && part.silent == 4);
    assert_eq!(winners(&found), ["a"].into());
    assert!(part.at.iter().all(|l0| *l0 >= 5.0), "{:?}", part.at);
    assert!(part.notes(&found.by).join(" ").contains("4 runs are on no front"));
}

/// Wrong if a run whose data path is spelled in another way counts as one more seed.
#[test]
fn a_run_under_two_paths_is_one_run() {
    let spelled =
        |path| methods(&[("dataset_images", path)]).into_iter().filter(|run| run.penalty == "a");
    let runs: Vec<Run> = spelled("x").chain(spelled("./x")).collect();
    let origin = crate::runs::RowOrigin {
        folder: "results/x".into(),
        files: [("images".to_owned(), "0123456789ab".to_owned())].into(),
    };
    let runs = Runs::new(table(&runs, LOWEST)).from(vec![origin; runs.len()]);
    let found = Comparisons::new(&runs, &it());
    assert!(found.groups().flat_map(|group| &group.settings).all(|one| one.rows.len() == 4));
    assert_eq!(found.left_out.values().sum::<usize>(), 8);
}

/// Wrong if a method that counts L0 in two ways becomes two methods of one name: the winner would be
/// unclear.
#[test]
fn a_method_that_counts_in_two_ways_has_two_names() {
    let mut table = table(&methods(&[]), LOWEST);
    let above = |row: usize| Some(if row.is_multiple_of(4) { 0.5 } else { 0.0 });
    table.set("l0_threshold", Values::Number((0..table.rows()).map(above).collect()));
    let found = Comparisons::new(&Runs::new(table), &it());
    let names: Vec<&str> = found.groups().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["a", "a (L0 above 0.5)", "b", "b (L0 above 0.5)"]);
    let part = &found.parts[0];
    assert!(part.is_split && !part.pairs.is_empty());
    let counts = |at: usize| part.groups[at].l0_rule;
    assert!(part.pairs.iter().all(|pair| counts(pair.methods[0]) == counts(pair.methods[1])));
}

/// Wrong if the words of settings repeated their section, or what the kind of a section says already, so
/// that tables got too wide to read; or if two settings had the same words.
#[test]
fn the_words_of_a_setting_are_short_and_tell_it_from_others() {
    type More = &'static [(&'static str, &'static str)];
    let settings: [More; 5] = [
        &[("corruption", "none")],
        &[("corruption", "block"), ("corruption_share", "0.1")],
        &[("corruption", "block"), ("corruption_where", "lower-half")],
        &[("corruption", "masking"), ("corruption_rate", "0.2"), ("corruption_rescale", "false")],
        &[("corruption", "masking"), ("corruption_rate", "0.5"), ("corruption_rescale", "false")],
    ];
    let runs = settings.iter().enumerate().map(|(at, more)| {
        let one = run("a", 0, 1.0 + at as f64, 1.0);
        Run { more: more.to_vec(), ..one }
    });
    let runs: Vec<Run> = runs.collect();
    // Without the column that names the strength of made-up runs, which is another for each.
    let mut table = table(&runs, LOWEST);
    table.set("penalty_strength", Values::Text(vec![None; table.rows()]));
    let words = |question: &Question| {
        let found = Comparisons::new(&Runs::new(table.clone()), question);
        let of = |group: &Group| {
            let words = |one: &Setting| format!("{}: {}", group.name, one.words);
            group.settings.iter().map(words).collect::<Vec<_>>()
        };
        found.groups().flat_map(of).collect::<Vec<_>>()
    };
    let said = [
        "a: corruption=none",
        "a: corruption=block share=0.1",
        "a: corruption=block where=lower-half",
        "a: corruption=masking rate=0.2",
        "a: corruption=masking rate=0.5",
    ];
    assert_eq!(words(&it()), said);
    let by = Question { by: vec!["corruption_rate".to_owned()], ..it() };
    assert!(words(&by).contains(&"none: corruption=none".to_owned()), "a method has a name");
}
