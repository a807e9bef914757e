//! `compare`: from the tables of a folder to statements about its methods.

use serde_json::{Value as Json, json};

use crate::support::program::{Place, TINY, numbers, texts};

/// Two methods with two strengths each, three seeds.
const GRID: &str = "name = \"tiny\"
seeds = [0, 1, 2]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 32

[train]
epochs = 10

[grid]
penalty = [
    { kind = \"l1\", lambda = 0.1 },
    { kind = \"l1\", lambda = 3.0 },
    { kind = \"k-sparse\", k = 4 },
    { kind = \"k-sparse\", k = 12 },
]
";

fn near(value: &Json, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() <= 1e-9 * expected.abs().max(1e-9), "{value} for {expected}");
}

/// Wrong if a mean or an interval differed from that of the rows, or if runs of different strengths counted
/// as seeds of one.
#[test]
fn means_and_intervals_are_those_of_the_rows() {
    let place = Place::with(GRID);
    place.run(["x.toml"]).exits(0);
    let found = place.run(["compare", "results/tiny", "--json", "--at", "l0=10"]).exits(0).json();
    let table = place.table("tiny/runs");
    let (ids, mse) = (texts(&table, "run_id"), numbers(&table, "test_mse"));
    let mut settings = 0;
    for method in found["methods"].as_array().unwrap() {
        assert_eq!(method["metric"], "test_mse");
        for setting in method["settings"].as_array().unwrap() {
            let runs = setting["run_ids"].as_array().unwrap();
            assert_eq!(runs.len(), 3);
            let of = |run: &Json| mse[ids.iter().position(|id| run == id).unwrap()].unwrap();
            let values: Vec<f64> = runs.iter().map(of).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let sd = (squares / 2.0).sqrt();
            near(&setting["value"]["mean"], mean);
            near(&setting["value"]["sd"], sd);
            let half = setting["value"]["half_width"].as_f64().unwrap();
            // Student's t with 2 degrees of freedom at 97.5 %.
            assert!((half / (4.302_652_73 * sd / 3.0_f64.sqrt()) - 1.0).abs() < 1e-6, "{half}");
            settings += 1;
        }
    }
    assert_eq!(settings, 4);
    let pair = &found["pairs"][0];
    assert_eq!(pair["methods"], json!(["k-sparse", "l1"]));
    assert_eq!(pair["difference"]["seeds"], json!(3));
    let shown = place.run(["compare", "results/tiny"]).exits(0);
    assert!(shown.out.contains("12 runs that are done, 2 methods by penalty"), "{shown}");
}

/// Wrong if a method had a value beyond its front, if the gap went unexplained, or if the default L0 left
/// nothing to compare.
#[test]
fn a_front_is_not_read_beyond_its_ends() {
    let place = Place::with(GRID);
    place.run(["x.toml"]).exits(0);
    // No k-sparse code has more than 12.
    let found = place.run(["compare", "results/tiny", "--json", "--at", "l0=14"]).exits(0).json();
    assert_eq!(
        (&found["at"][0]["method"], &found["at"][0]["value"]),
        (&json!("k-sparse"), &Json::Null)
    );
    let shown = place.run(["compare", "results/tiny", "--at", "l0=14"]).exits(0);
    assert!(shown.out.contains("| k-sparse | – "), "{shown}");
    assert!(
        shown.out.contains("A method is not read (–) where its front does not reach"),
        "{shown}"
    );
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    let pairs = found["pairs"].as_array().unwrap();
    assert!(
        !pairs.is_empty() && pairs.iter().all(|pair| pair["difference"].is_object()),
        "{found}"
    );
}

/// Wrong if one seed were enough to win.
#[test]
fn one_seed_says_nothing() {
    let place = Place::with(&GRID.replace("[0, 1, 2]", "[0]"));
    place.run(["x.toml"]).exits(0);
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    for pair in found["pairs"].as_array().unwrap() {
        assert_eq!((&pair["better"], &pair["p_holm"]), (&Json::Null, &Json::Null));
    }
    let shown = place.run(["compare", "results/tiny", "--at", "l0=8"]).exits(0);
    assert!(shown.out.contains("one seed says nothing"), "{shown}");
    assert!(!shown.out.contains("is better"), "{shown}");
}

/// Wrong if a diverged run entered a mean, or were left out without a word.
#[test]
fn what_is_not_done_is_counted_and_not_averaged() {
    let grid = GRID.replace(
        "[grid]\n",
        "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\", lr = 1e6 }]\n",
    );
    let place = Place::with(&grid.replace("[0, 1, 2]", "[0, 1]"));
    place.run(["x.toml"]).exits(100);
    let table = place.table("tiny/runs");
    let diverged = texts(&table, "status").iter().filter(|status| *status == "diverged").count();
    assert!(diverged > 0);
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    assert_eq!(found["left_out"]["diverged"], json!(diverged));
    let methods = found["methods"].as_array().unwrap();
    let settings = methods.iter().flat_map(|method| method["settings"].as_array().unwrap());
    let counted: usize = settings.map(|one| one["run_ids"].as_array().unwrap().len()).sum();
    assert_eq!(counted + diverged, table.rows());
}

/// Wrong if codes that are never 0 shared a front with codes that are, or if their error were compared
/// without silencing the latents that L0 does not count.
#[test]
fn methods_with_another_threshold_stand_apart() {
    let place = Place::with(
        "name = \"tiny\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
         kind = \"dense\"\nlatents = 32\nactivation = \"sigmoid\"\n[train]\nepochs = 2\n[grid]\n\
         penalty = [{ kind = \"kl\", rho = 0.1, beta = 0.01 }, { kind = \"k-sparse\", k = 8 }]\n",
    );
    place.run(["x.toml"]).exits(0);
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    let methods = found["methods"].as_array().unwrap();
    let of = |name: &str| methods.iter().find(|method| method["method"] == name).unwrap();
    assert_eq!(of("kl")["metric"], "test_mse_thresholded");
    assert_eq!(of("kl")["l0_threshold"], json!(0.5));
    assert_eq!(of("k-sparse")["metric"], "test_mse");
    // By another metric, nothing is comparable across thresholds.
    let words = ["compare", "results/tiny", "--metric", "train_loss", "--at", "l0=8", "--json"];
    assert_eq!(place.run(words).exits(0).json()["pairs"], json!([]));
}

/// Wrong if found strengths, which differ from seed to seed, counted as settings.
#[test]
fn runs_with_a_target_are_seeds_of_one_setting_whatever_strength_was_found() {
    let text = "name = \"tiny\"\nseeds = [0, 1, 2]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
                kind = \"dense\"\nlatents = 32\n[train]\nepochs = 4\n[target]\nl0 = 8\n[grid]\n\
                penalty = [{ kind = \"l1\" }, { kind = \"k-sparse\" }]\n";
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    for method in found["methods"].as_array().unwrap() {
        let settings = method["settings"].as_array().unwrap();
        assert_eq!(settings.len(), 1, "{settings:?}");
        assert_eq!(settings[0]["run_ids"].as_array().unwrap().len(), 3);
        // What was found is shown, though it is no setting.
        let words = settings[0]["setting"].as_str().unwrap();
        let start = if method["method"] == "l1" { "lambda≈" } else { "k=8 (found)" };
        assert!(words.starts_with(start) && words.ends_with(" (found)"), "{words}");
    }
    assert_eq!(found["at"][0]["l0"], json!(8.0), "the targets are where they are compared");
}

/// Methods with codes of two activations, and one with codes of both signs.
const MEANS: &str = "name = \"tiny\"
seeds = [0, 1]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 32

[train]
epochs = 20

[[grid.zip]]
penalty = [
    { kind = \"l1\", lambda = 0.03 },
    { kind = \"l1\", lambda = 0.5 },
    { kind = \"k-sparse\", k = 3 },
    { kind = \"k-sparse\", k = 9 },
    { kind = \"k-sparse\", k = 3 },
    { kind = \"k-sparse\", k = 9 },
    { kind = \"kl\", rho = 0.02, beta = 0.1 },
    { kind = \"kl\", rho = 0.02, beta = 2.0 },
    { kind = \"l1\", lambda = 0.1 },
]
\"architecture.activation\" = [\"relu\", \"relu\", \"relu\", \"relu\", \"sigmoid\", \"sigmoid\", \"sigmoid\", \"sigmoid\", \"tanh\"]
";

/// Wrong if codes whose means are in other units were compared, if codes of both signs took part, or if the words
/// were those of L0.
#[test]
fn methods_are_compared_at_the_same_mean_activation() {
    let place = Place::with(MEANS);
    place.run(["x.toml"]).exits(0);
    let at = ["--at", "mean_activation=0.15"];
    let compare = ["compare", "results/tiny"].into_iter().chain(at);
    let found = place.run(compare.clone().chain(["--json"])).exits(0).json();
    assert_eq!(found["metric"], "test_mse");
    let names: Vec<&str> = found["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["method"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["k-sparse (relu codes)", "k-sparse (sigmoid codes)", "kl", "l1"]);
    assert!(
        found["left_out"]
            .as_object()
            .unwrap()
            .iter()
            .any(|(why, runs)| { why.contains("codes that can be negative") && *runs == json!(2) })
    );
    let pairs = found["pairs"].as_array().unwrap();
    let methods: Vec<&serde_json::Value> = pairs.iter().map(|pair| &pair["methods"]).collect();
    assert_eq!(
        methods,
        [&json!(["k-sparse (relu codes)", "l1"]), &json!(["k-sparse (sigmoid codes)", "kl"])]
    );
    assert!(pairs.iter().all(|pair| pair["mean_activation"] == json!(0.15)), "{pairs:?}");
    // Settings are sorted, and read, by their means.
    for method in found["methods"].as_array().unwrap() {
        let settings = method["settings"].as_array().unwrap();
        let means = settings.iter().map(|one| one["mean_activation"]["mean"].as_f64().unwrap());
        assert!(means.is_sorted(), "{method}");
    }
    let shown = place.run(compare).exits(0).out;
    for words in [
        "At the same mean activation, ",
        "| mean activation 0.15 |",
        "Mean activations of relu and sigmoid codes",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    place.run(["report", "results/tiny"].into_iter().chain(at)).exits(0);
    let page = place.read("results/tiny/report.html");
    for words in
        ["At mean activation 0.15 ", "against mean activation of relu codes", "of sigmoid codes"]
    {
        assert!(page.contains(words), "{words}");
    }
    let shares = ["--at", "share=0.2"];
    let found =
        place.run(["compare", "results/tiny", "--json"].into_iter().chain(shares)).exits(0).json();
    assert_eq!(found["at"][0]["share"], json!(0.2));
    assert_eq!(found["metric"], "test_mse_thresholded");
    let compare =
        |words: &[&str]| place.run(["compare", "results/tiny"].iter().chain(words)).exits(2);
    compare(&["--at", "mean=0.1"]).complains(["`mean` is no quantity to compare at"]);
    compare(&["--at", "share=2"]).complains(["at most 1"]);
    compare(&["--at", "l0=2", "--at", "share=0.2"]).complains(["at l0 or at share, not at both"]);
}

/// Wrong if the means that runs were brought to were not where they are compared.
#[test]
fn targets_of_a_mean_activation_are_where_methods_are_compared() {
    let text = "name = \"tiny\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
                kind = \"dense\"\nlatents = 32\nactivation = \"sigmoid\"\n[train]\nepochs = 30\n[target]\n\
                mean_activation = 0.15\n[grid]\npenalty = [{ kind = \"kl\", rho = 0.05 }, { kind = \"k-sparse\" }]\n";
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    let found = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    let pairs = found["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 1, "{found}");
    assert_eq!(pairs[0]["mean_activation"], json!(0.15));
    assert!(pairs[0]["difference"]["mean"].is_number(), "{found}");
    // By L0, all the same.
    let by_l0 = place.run(["compare", "results/tiny", "--at", "l0=5", "--json"]).exits(0).json();
    assert_eq!(by_l0["at"][0]["l0"], json!(5.0));
}

#[test]
fn a_comparison_of_what_is_not_there_is_refused_with_a_suggestion() {
    let place = Place::with(TINY);
    place.run(["compare", "results/tiny"]).exits(74).complains(["results/tiny"]);
    place.run(["x.toml"]).exits(0);
    let compare =
        |words: [&str; 2]| place.run(["compare", "results/tiny"].into_iter().chain(words)).exits(2);
    compare(["--by", "penalti"]).complains(["did you mean `penalty`?"]);
    compare(["--metric", "test_msee"]).complains(["did you mean `test_mse`?"]);
    compare(["--metric", "status"]).complains(["no run has such a column"]);
    compare(["--at", "l0=none"]).complains(["as in l0=25"]);
    place.run(["compare"]).exits(2);
}
