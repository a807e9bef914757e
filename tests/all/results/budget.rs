//! The evaluation `budget`, from a run to the report: codes that are never 0 beside codes that are.

use serde_json::{Value as Json, json};

use crate::support::program::{Place, changes, columns, numbers, texts};

/// Two codes that are never 0 and two that are, two seeds each.
fn experiment(kinds: &str) -> String {
    format!(
        "name = \"x\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         latents = 32\nactivation = \"sigmoid\"\n[train]\nepochs = 4\n[evaluate]\nkinds = [{kinds}]\n[grid]\n\
         penalty = [\n{{ kind = \"kl\", rho = 0.1, beta = 0.03 }},\n{{ kind = \"kl\", rho = 0.1, beta = 0.1 }},\n\
         {{ kind = \"k-sparse\", k = 4 }},\n{{ kind = \"k-sparse\", k = 8 }},\n]\n"
    )
}

const WITHOUT: &str = "\"reconstruction\", \"sparsity\"";
const WITH: &str = "\"reconstruction\", \"sparsity\", \"budget\"";

/// Wrong if runs that are done were trained again, if more latents than a code has changed anything, or if PCA
/// depended on the model.
#[test]
fn finished_runs_are_measured_on_their_stored_models() {
    let place = Place::with(&experiment(WITHOUT));
    place.run(["x.toml"]).exits(0);
    let models = |place: &Place| {
        let all = changes(&place.path("results/x/runs")).into_iter();
        all.filter(|(path, _)| path.ends_with("model.safetensors")).collect::<Vec<_>>()
    };
    let before = models(&place);
    let said = place.run(["compare", "results/x"]).exits(0);
    assert!(said.out.contains("the evaluation `budget`, in `evaluate.kinds`"), "{said}");

    place.write("x.toml", experiment(WITH));
    place.run(["x.toml"]).exits(0);
    assert_eq!(models(&place), before);
    let table = place.table("x/runs");
    let of = |column: &str| -> Vec<f64> {
        numbers(&table, column).into_iter().map(Option::unwrap).collect()
    };
    let at = [1, 2, 5, 10, 20].map(|m| of(&format!("test_mse_at_{m}")));
    assert!(!columns(&table).contains(&"test_mse_at_50".to_owned()), "there are 32 latents");
    let k = numbers(&table, "penalty_k");
    for row in 0..8 {
        match k[row] {
            Some(4.0) => assert!(at[1][row] > at[2][row] && at[2][row] == at[4][row]),
            Some(_) => assert!(at[2][row] > at[3][row] && at[3][row] == at[4][row]),
            None => assert!((1..5).all(|m| at[m - 1][row] > at[m][row]), "{at:?}"),
        }
        // All that is left out of a k-sparse code is 0 already: the mean residual alone differs, and helps.
        let share = at[4][row] / of("test_mse")[row];
        assert!(k[row].is_none() || (0.5..1.001).contains(&share), "{share}");
    }
    for m in [1, 2, 5, 10, 20] {
        let pca = of(&format!("pca_mse_at_{m}"));
        assert!(pca.iter().all(|value| *value == pca[0] && *value > 0.0), "{pca:?}");
    }
}

/// Wrong if codes that are never 0 were compared with others by what is left of them above a threshold.
#[test]
fn the_number_of_latents_takes_the_place_of_l0() {
    let place = Place::with(&experiment(WITH));
    let said = place.run(["x.toml"]).exits(0);
    for part in ["| MSE with 10 latents ", "(test_mse_at_10)", "| best with "] {
        assert!(said.out.contains(part), "{part}: {said}");
    }
    let json = |words: &[&str]| -> Json {
        let words = ["compare", "results/x", "--json"].into_iter().chain(words.iter().copied());
        place.run(words).exits(0).json()
    };
    let places = |found: &Json, list: &str, key: &str| -> Vec<f64> {
        let all = found[list].as_array().unwrap().iter();
        all.filter_map(|one| one[key].as_f64()).collect()
    };
    let found = json(&[]);
    assert_eq!(found["metric"], "test_mse_at_10");
    assert_eq!(places(&found, "pairs", "latents"), [1.0, 2.0, 5.0, 10.0, 20.0]);
    assert_eq!(found["pairs"][4]["metric"], "test_mse_at_20");
    let table = place.table("x/runs");
    let (penalty, seed) = (texts(&table, "penalty"), numbers(&table, "seed"));
    let at_5 = numbers(&table, "test_mse_at_5");
    // The best setting of each seed, mean over seeds.
    let best = |method: &str| -> f64 {
        let of = |wanted: f64| {
            let rows = (0..8).filter(|row| penalty[*row] == method && seed[*row] == Some(wanted));
            rows.map(|row| at_5[row].unwrap()).fold(f64::INFINITY, f64::min)
        };
        (of(0.0) + of(1.0)) / 2.0
    };
    for reading in found["at"].as_array().unwrap() {
        if reading["latents"] == json!(5.0) {
            let value = reading["value"]["mean"].as_f64().unwrap();
            assert!((value - best(reading["method"].as_str().unwrap())).abs() < 1e-12);
        }
    }
    let shown = place.run(["compare", "results/x"]).exits(0);
    for part in ["| PCA ", "| 1 latent ", "| 20 latents", "Codes of kl are never 0"] {
        assert!(shown.out.contains(part), "{part}: {shown}");
    }
    // One number that is asked for, and L0 if that is asked for.
    let one = json(&["--metric", "test_mse_at_5"]);
    assert_eq!(
        (&one["metric"], places(&one, "pairs", "latents")),
        (&json!("test_mse_at_5"), vec![5.0])
    );
    for words in [&["--metric", "test_mse_thresholded"][..], &["--at", "l0=4"]] {
        let found = json(words);
        assert_eq!(found["metric"], "test_mse_thresholded");
        assert!(places(&found, "at", "latents").is_empty(), "{found}");
        assert_eq!(places(&found, "at", "l0").is_empty(), words[0] == "--metric", "{found}");
    }
    assert_eq!(places(&json(&["--at", "2,10"]), "pairs", "latents"), [2.0, 10.0]);
}

/// Wrong if the report did not draw the curves, or lost the fronts and the learning curves for them.
#[test]
fn the_report_draws_the_curves() {
    let place = Place::with(&experiment(WITH));
    place.run(["x.toml"]).exits(0);
    place.run(["report", "results/x", "--figures", "figures"]).exits(0);
    let page = place.read("results/x/report.html");
    let section = page.split("<section id=\"budgets\">").nth(1).unwrap();
    let section = section.split("</section>").next().unwrap();
    let marks = |name: &str| {
        let figure = section.split(&format!("<figure id=\"{name}\"")).nth(1).unwrap();
        let figure = figure.split("</figure>").next().unwrap();
        assert!(figure.contains("The line without marks is PCA"), "{figure}");
        (figure.matches("class=\"mark\"").count(), figure.matches("class=\"line\"").count())
    };
    // Two methods or settings of a method at five numbers of latents, and PCA's line.
    for name in ["budget-test-mse-at-m", "budget-test-mse-at-m-kl", "budget-test-mse-at-m-k-sparse"]
    {
        assert_eq!(marks(name), (10, 3), "{name}");
    }
    assert_eq!(section.matches("<tr>").count(), 1 + 4 + 1, "the table has every setting and PCA");
    for name in ["front-test-mse", "front-test-mse-thresholded-above-0-5", "curve-kl-test-mse"] {
        assert!(page.contains(&format!("<figure id=\"{name}\"")), "{name}");
    }
    assert!(page.contains("With 10 latents "), "the verdict");
}

/// Wrong if a name that the user gives were not in all that belongs to the curve.
#[test]
fn a_name_is_in_the_columns_and_in_the_curve() {
    let kinds = format!("{WITHOUT}, {{ kind = \"budget\", name = \"few\", at = [3, 6] }}");
    let place = Place::with(&experiment(&kinds));
    place.run(["x.toml"]).exits(0);
    let columns = columns(&place.table("x/runs"));
    for name in ["test_few_mse_at_3", "pca_few_mse_at_6"] {
        assert!(columns.contains(&name.to_owned()), "{columns:?}");
    }
    let found = place.run(["compare", "results/x"]).exits(0);
    for part in ["| test_few_mse_at_6 ", "| PCA ", "Differences in test_few_mse_at_M between"] {
        assert!(found.out.contains(part), "{part}: {found}");
    }
}
