//! Verdicts that one can trust: no method wins that was not asked for, on other data, by another number than
//! the named one, or where nobody knows which values are good.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::support::program::{Place, Said, idx, numbers, texts};

/// The common part of every experiment here, and then its own.
const COMMON: &str = "name = \"x\"
seeds = [0, 1, 2, 3]
[architecture]
kind = \"dense\"
latents = 32
";

const DIGITS: &str = "[dataset]\nkind = \"digits\"\n";

const TWO_METHODS: &str = "[grid]
penalty = [
    { kind = \"l1\", lambda = 0.1 },
    { kind = \"l1\", lambda = 3.0 },
    { kind = \"k-sparse\", k = 4 },
    { kind = \"k-sparse\", k = 12 },
]
";

fn experiment(parts: &[&str]) -> String {
    format!("{COMMON}{}", parts.concat())
}

/// The place of an experiment after its run.
fn ran(parts: &[&str]) -> Place {
    let place = Place::with(&experiment(parts));
    place.run(["x.toml"]).exits(0);
    place
}

fn compare<'a>(place: &Place, words: impl IntoIterator<Item = &'a str>) -> Said {
    place.run(["compare", "results/x"].into_iter().chain(words)).exits(0)
}

fn list<'j>(found: &'j Json, name: &str) -> Vec<&'j Json> {
    found[name].as_array().unwrap().iter().collect()
}

fn set(found: &Json, list_of: &str, key: &str) -> BTreeSet<String> {
    list(found, list_of)
        .iter()
        .map(|one| one[key].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Edits the epochs from 1 to 20 and the penalty from k-sparse to l1, in one file.
fn edited() -> Place {
    let before = [DIGITS, "[train]\nepochs = 1\n", "[penalty]\nkind = \"k-sparse\"\nk = 12\n"];
    let place = ran(&before);
    let penalty = "[grid]\n\"penalty.lambda\" = [0.05, 0.3, 1.0]\n[penalty]\nkind = \"l1\"\n";
    place.write("x.toml", experiment(&[DIGITS, "[train]\nepochs = 20\n", penalty]));
    place.run(["x.toml"]).exits(0);
    place
}

/// Wrong if runs that the file no longer contains won or lost against current ones, or were left out without
/// a word.
#[test]
fn runs_of_an_earlier_file_are_left_out_unless_they_are_asked_for() {
    let place = edited();
    let shown = compare(&place, []);
    assert!(!shown.out.contains("is better"), "{shown}");
    assert!(
        shown.out.contains("Left out: 4 not in the experiment file any more; --all takes them in"),
        "{shown}"
    );
    let found = compare(&place, ["--json"]).json();
    assert_eq!(set(&found, "methods", "method"), ["l1".to_owned()].into());
    assert_eq!(found["left_out"]["not in the experiment file any more"], json!(4));

    let all = compare(&place, ["--all", "--at", "12", "--json"]).json();
    assert_eq!(set(&all, "methods", "method"), ["k-sparse".to_owned(), "l1".to_owned()].into());
    assert_eq!(
        all["notes"][0]["differs"]["train_epochs"],
        json!({ "k-sparse": ["1"], "l1": ["20"] })
    );
    let shown = compare(&place, ["--all", "--at", "12"]);
    assert!(
        shown.out.contains("what is compared differs in train_epochs (k-sparse 1, l1 20)"),
        "{shown}"
    );

    for (words, count) in [(&[][..], 12), (&["--all"][..], 16)] {
        let words = ["report", "results/x", "--output", "page.html"].iter().chain(words);
        place.run(words).exits(0);
        let page = place.read("page.html");
        assert!(page.contains(&format!("<p>{count} runs: {count} done.")), "{count}");
        let is_said = page.contains("4 not in the experiment file any more");
        assert_eq!(is_said, count == 12);
        assert_eq!(page.contains("(k-sparse 1, l1 20)"), count == 16);
    }
    let said = place.run(["stability", "results/x"]).exits(0);
    assert!(!said.out.contains("k-sparse"), "{said}");
    said.complains(["left out: 4 not in the experiment file any more"]);
}

/// Wrong if runs on one data set beat runs on another, or if a test mixed them.
#[test]
fn two_data_sets_have_a_comparison_each() {
    let data = "\"dataset\" = [{ kind = \"digits\" }, { kind = \"sparse-dictionary\", inputs = 64, \
                features = 80, active = 4, train = 400, test = 100 }]\n";
    let place = ran(&["[train]\nepochs = 3\n", TWO_METHODS, data]);
    let found = compare(&place, ["--json"]).json();
    assert_eq!(found["within"], json!(["dataset=digits", "dataset=sparse-dictionary"]));
    assert_eq!(list(&found, "methods").len(), 4, "two methods on two data sets");
    let table = place.table("x/runs");
    let (ids, kinds) = (texts(&table, "run_id"), texts(&table, "dataset"));
    for method in list(&found, "methods") {
        let settings = list(method, "settings");
        assert!(settings.iter().any(|setting| setting["on_front"] == true), "{method}");
        for id in settings.iter().flat_map(|setting| list(setting, "run_ids")) {
            let kind = &kinds[ids.iter().position(|known| id == known).unwrap()];
            assert_eq!(method["within"], format!("dataset={kind}"));
        }
    }
    let shown = compare(&place, []);
    for part in
        ["test_mse does not mean the same", "## dataset=digits", "## dataset=sparse-dictionary"]
    {
        assert!(shown.out.contains(part), "{part}\n{shown}");
    }
    place.run(["report", "results/x"]).exits(0);
    let page = place.read("results/x/report.html");
    for name in ["front-test-mse-dataset-digits", "front-test-mse-dataset-sparse-dictionary"] {
        assert!(page.contains(&format!("<figure id=\"{name}\"")), "{name}");
    }
    // As one folder: runs of either are paired like seeds.
    let over = compare(&place, ["--over", "dataset", "--json"]).json();
    assert_eq!((&over["within"], &over["over"]), (&json!([""]), &json!(["dataset"])));
    let settings = list(&over, "methods").into_iter().flat_map(|method| list(method, "settings"));
    assert!(settings.into_iter().all(|setting| setting["value"]["seeds"] == 8), "{over}");
    let both = ["compare", "results/x", "--by", "dataset", "--over", "dataset.kind"];
    place.run(both).exits(2).complains(["both names methods"]);
}

/// Wrong if the best runs were always those of the data set with the smallest errors.
#[test]
fn the_best_runs_are_told_for_each_data_set() {
    let data = "[grid]\n\"dataset\" = [{ kind = \"digits\" }, { kind = \"sparse-dictionary\", inputs = 64, \
                features = 80, active = 4, train = 400, test = 100 }]\n";
    let evaluate = "[evaluate]\nkinds = [\"reconstruction\"]\n";
    let place = Place::with(&experiment(&["[train]\nepochs = 1\n", data, evaluate]));
    let said = place.run(["x.toml"]).exits(0);
    assert!(
        said.out.contains("8 of 8 runs that are done, by data set and test_mse, which is not"),
        "{said}"
    );
}

/// A data file of 60 images of 4 pixels, each different from those of another seed.
fn images(seed: usize) -> Vec<u8> {
    idx(
        &[60, 2, 2],
        &(0..240).map(|at| ((at + 3) * (seed * 74 + 37) % 251) as u8).collect::<Vec<_>>(),
    )
}

/// Wrong if two folders were compared whose data has one name and differs, or two test parts of one file; and
/// wrong if the same data under two names, or with another training part, counted as two.
#[test]
fn data_is_what_the_files_hold() {
    let text = |name: &str, path: &str, rows: &str, penalty: &str| {
        format!(
            "name = \"{name}\"\nseeds = [0, 1]\n[architecture]\nkind = \"dense\"\nlatents = 6\n[train]\n\
             epochs = 1\n[dataset]\nkind = \"idx\"\nimages = \"{path}\"\n{rows}\n[penalty]\n{penalty}\n"
        )
    };
    let (l1, top) = ("kind = \"l1\"\nlambda = 0.01", "kind = \"k-sparse\"\nk = 2");
    let rows = "train = 40\ntest = 10";
    let place = Place::new();
    for folder in ["a", "b"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    for (name, seed) in [("a/data", 1), ("b/data", 2), ("b/copy", 1)] {
        place.write(name, images(seed));
    }
    for (file, text) in [
        ("a/one.toml", text("one", "data", rows, l1)),
        ("b/other.toml", text("other", "data", rows, top)),
        ("b/same.toml", text("same", "copy", rows, top)),
        ("a/part.toml", text("part", "data", "train = 40\ntest = 20", top)),
        ("a/less.toml", text("less", "data", "train = 30\ntest = 10", top)),
    ] {
        place.write(file, text);
        place.run([file]).exits(0);
    }
    let parts = |other: &str| {
        let other = format!("results/{other}");
        let found =
            place.run(["compare", "results/one", &other, "--at", "2", "--json"]).exits(0).json();
        for pair in list(&found, "pairs") {
            assert_eq!(found["within"], json!([""]), "{pair}");
        }
        list(&found, "within").len()
    };
    assert_eq!(["other", "same", "part", "less"].map(parts), [2, 1, 2, 1]);
}

/// KL of sigmoid codes, which are never 0, beside methods whose codes are. The last of KL is so strong that
/// no code is above 0.5.
fn kl_and_others() -> Place {
    ran(&[
        "activation = \"sigmoid\"\n",
        DIGITS,
        "[train]\nepochs = 20\n",
        "[grid]\npenalty = [{ kind = \"kl\", rho = 0.1, beta = 0.01 }, { kind = \"kl\", rho = 0.1, beta = 0.1 }, \
         { kind = \"kl\", rho = 0.01, beta = 10.0 }, { kind = \"l1\", lambda = 0.1 }, { kind = \"l1\", lambda = 0.03 }, \
         { kind = \"k-sparse\", k = 4 }, { kind = \"k-sparse\", k = 12 }]\n",
    ])
}

/// The mean of a column over the runs of a setting.
fn mean(place: &Place, setting: &Json, column: &str) -> f64 {
    let table = place.table("x/runs");
    let (ids, values) = (texts(&table, "run_id"), numbers(&table, column));
    let of = |id: &Json| values[ids.iter().position(|known| id == known).unwrap()].unwrap();
    let values: Vec<f64> = list(setting, "run_ids").into_iter().map(of).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Wrong if the compared number were not the named one, or if codes that are all off won or stood on a front.
#[test]
fn a_metric_is_what_it_is_called_and_codes_that_are_all_off_win_nothing() {
    let place = kl_and_others();
    for (words, label) in [
        (&["--metric", "test_mse"][..], "test_mse"),
        (&["--metric", "test_mse_thresholded"][..], "test_mse_thresholded"),
        (&[][..], "test_mse_thresholded"),
    ] {
        let words: Vec<&str> = words.iter().chain(&["--at", "8", "--json"]).copied().collect();
        let found = compare(&place, words).json();
        assert_eq!(found["metric"], label);
        let mut silent = 0;
        for method in list(&found, "methods") {
            let column = method["metric"].as_str().unwrap();
            assert!(column == label || method["l0_threshold"] == 0.0, "{method}");
            for setting in list(method, "settings") {
                let (value, mean) =
                    (setting["value"]["mean"].as_f64().unwrap(), mean(&place, setting, label));
                assert!((value - mean).abs() < 1e-12, "{value} is not {label}, {mean}");
                if setting["l0"]["mean"] == 0.0 {
                    assert_eq!(setting["on_front"], false, "{setting}");
                    silent += 4;
                }
            }
        }
        assert!(silent > 0, "no code is all off: {found}");
        assert_eq!(found["notes"][0]["runs_with_all_codes_off"], json!(silent));
        // L0 of KL counts what is above 0.5 alone: only an error without the rest is comparable.
        let across = list(&found, "pairs")
            .into_iter()
            .filter(|pair| pair["methods"].as_array().unwrap().contains(&json!("k-sparse")));
        assert_eq!(across.count() > 0, label == "test_mse_thresholded", "{found}");
    }
    let shown = compare(&place, ["--metric", "test_mse", "--at", "8"]);
    for part in [
        "Differences in MSE (test_mse) between the same seeds",
        "counts latents in another way are not compared by test_mse; test_mse_thresholded compares",
        "runs are on no front, as all codes are off: L0 0 wins nothing",
    ] {
        assert!(shown.out.contains(part), "{part}\n{shown}");
    }
    let shown = compare(&place, ["--at", "8"]);
    assert!(shown.out.contains("(test_mse_thresholded) between the same seeds"), "{shown}");
    assert!(shown.out.contains("| MSE, inactive at 0 "), "the heading of the settings: {shown}");

    place.run(["report", "results/x", "--at", "8"]).exits(0);
    let page = place.read("results/x/report.html");
    let verdicts = page.split("<section id=\"methods\">").nth(1).unwrap();
    let verdicts = verdicts.split("</section>").next().unwrap();
    assert!(
        !verdicts.contains("has the lowest mean squared error per pixel (<code>test_mse</code>),")
    );
    let words = "mean squared error per pixel, inactive latents set to 0";
    let has = format!("has the lowest {words} (<code>test_mse_thresholded</code>),");
    assert!(verdicts.contains(&has), "{verdicts}");
    assert!(page.contains(&format!(">{words}<tspan")), "the axis of KL");
}

/// Wrong if a front began at 0, where there is no logarithm: KL would then read the same at every L0.
#[test]
fn no_front_begins_at_0() {
    let place = kl_and_others();
    let found = compare(&place, ["--at", "0.01,0.1", "--json"]).json();
    let read: Vec<&Json> =
        list(&found, "at").into_iter().filter(|reading| reading["method"] == "kl").collect();
    assert_eq!(read.len(), 2);
    assert!(read.iter().all(|reading| reading["value"].is_null()), "{read:?}");
}

/// Wrong if a slower program or a bias far from 1 counted as better, or if a method won by a number of which
/// nobody knows which values are good.
#[test]
fn which_values_are_good_is_declared_or_said() {
    let place = ran(&[DIGITS, "[train]\nepochs = 5\n", TWO_METHODS]);
    let by = |metric: &str, more: &[&str]| {
        let words = ["--metric", metric, "--at", "8", "--json"];
        compare(&place, words.into_iter().chain(more.iter().copied())).json()
    };
    for (metric, sign) in [("samples_per_second", 1.0), ("seconds", -1.0), ("test_hoyer", 1.0)] {
        for pair in list(&by(metric, &[]), "pairs") {
            if let Some(better) = pair["better"].as_str() {
                let is_first = sign * pair["difference"]["mean"].as_f64().unwrap() > 0.0;
                assert_eq!(pair["methods"][usize::from(!is_first)], better, "{metric}: {pair}");
            }
        }
        // Of two settings whose L0 differs by one, the denser one is on the front only if it is better.
        for method in list(&by(metric, &[]), "methods") {
            let settings = list(method, "settings");
            let value = |at: usize| sign * settings[at]["value"]["mean"].as_f64().unwrap();
            let is_on_front = settings[1]["on_front"].as_bool().unwrap();
            assert_eq!(is_on_front, value(1) > value(0), "{metric}: {method}");
        }
    }
    let bias = by("test_reconstruction_bias", &[]);
    assert_eq!(bias["metric"], "|test_reconstruction_bias - 1|");
    for setting in list(&bias, "methods").into_iter().flat_map(|method| list(method, "settings")) {
        let value = setting["value"]["mean"].as_f64().unwrap();
        assert!((0.0..1.0).contains(&value), "{setting}");
    }
    let unknown = by("test_mean_activation", &[]);
    assert_eq!(
        (&unknown["pairs"], &unknown["notes"][0]["best_is_known"]),
        (&json!([]), &json!(false))
    );
    let shown = compare(&place, ["--metric", "test_mean_activation"]);
    assert!(shown.out.contains("say --best lowest, --best highest or --best VALUE"), "{shown}");
    let winners = |best: &str| {
        let found = by("test_mean_activation", &["--best", best]);
        list(&found, "pairs").into_iter().map(|pair| pair["better"].clone()).collect::<Vec<_>>()
    };
    assert!(!winners("lowest").is_empty() && winners("lowest") != winners("highest"));
    place
        .run(["compare", "results/x", "--metric", "test_mse", "--best", "most"])
        .exits(2)
        .complains(["expected `lowest`, `highest` or a number"]);
    let words = ["report", "results/x", "--metric", "test_mean_activation"];
    place.run(words).exits(0);
    let page = place.read("results/x/report.html");
    assert!(page.contains("No method is called better.") && !page.contains("has the best"));

    // Results of a program that did not store it follow the registered evaluation.
    let stored: Json = serde_json::from_str(&texts(&place.table("x/runs"), "metrics")[0]).unwrap();
    assert_eq!(stored["test_mse"], json!(["lowest", "data"]));
    assert_eq!(stored["test_reconstruction_bias"], json!([1.0, "data"]));
    assert_eq!(stored["samples_per_second"], json!(["highest", "machine"]));
    assert_eq!(stored["test_l0"], json!([null, "data"]));
}

/// Wrong if the declaration of a name that is made at run time were lost: no evaluation lists that name.
#[test]
fn what_a_metric_declares_is_kept_where_its_name_is_made_at_run_time() {
    let evaluate = "[evaluate]\nkinds = [\"reconstruction\", \"sparsity\", { kind = \"peak\", named = \
                    \"test_own\" }]\n";
    let place = Place::with(&experiment(&[DIGITS, "[train]\nepochs = 1\n", TWO_METHODS, evaluate]));
    place.run_outside(["x.toml"]).exits(0);
    let notes = |metric: &str| {
        let found =
            place.run_outside(["compare", "results/x", "--json", "--metric", metric]).exits(0);
        found.json()["notes"][0]["best_is_known"].clone()
    };
    assert_eq!((notes("test_own"), notes("test_peak")), (json!(true), json!(false)));
}

/// Wrong if a folder that is named twice counted twice.
#[test]
fn what_is_a_set_is_one() {
    let place = ran(&[DIGITS, "[train]\nepochs = 2\n", TWO_METHODS]);
    let said = |words: &str| place.run(words.split(' ')).exits(0).out;
    let once = said("compare results/x --at 8,10");
    let here = place.path("results/x");
    for words in [
        "compare results/x --at 8,10,8.0",
        "compare results/x --at l0=8 --at 10,10.0",
        "compare results/x --at 8,10 --by penalty,penalty.kind",
        "compare results/x results/x --at 8,10",
        "compare results/x ./results/../results/x --at 8,10",
        &format!("compare results/x {} --at 8,10", here.display()),
    ] {
        assert_eq!(said(words), once, "{words}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&here, place.path("results/again")).unwrap();
        assert_eq!(said("compare results/again results/x --at 8,10"), once);
    }
}
