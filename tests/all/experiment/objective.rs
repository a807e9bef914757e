//! The setting `train.objective`: ids, columns, what it is refused with, and what runs on it come to.

use framework::fit::{check_fit, check_run, open_data};
use framework::plugin::{ARCHITECTURES, sorted};
use framework::spec::TrainObjective;
use framework::train::{Ended, Progress, train};

use crate::support::models::{data, runs};
use crate::support::program::{Place, columns, numbers, texts};

/// A short experiment on digits, which lie within [0, 1], with more at its end.
fn text(decoder: &str, objective: &str, more: &str) -> String {
    format!(
        "name = \"aims\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 20\n\
         decoder = \"{decoder}\"\n[penalty]\nkind = \"l1\"\nlambda = 0.1\n[train]\n{objective}\nepochs = 2\n{more}\n"
    )
}

/// Wrong if runs of before there were objectives were done again, or if two objectives shared an id.
#[test]
fn only_another_objective_than_the_squared_error_enters_the_id() {
    let run = |objective: &str| runs(&text("sigmoid", objective, "")).1.remove(0);
    let (absent, squared) = (run(""), run("objective = \"squared\""));
    assert_eq!((&absent.id, absent.settings()), (&squared.id, squared.settings()));
    assert!(absent.settings()["train"].get("objective").is_none());
    let absolute = run("objective = \"absolute\"");
    let cross_entropy = run("objective = \"cross-entropy\"");
    assert!(absent.id != absolute.id && absolute.id != cross_entropy.id);
    assert_eq!(cross_entropy.settings()["train"]["objective"], "cross-entropy");
}

/// Wrong if an objective were taken that has no meaning for the decoder, or were found out after training
/// began, or at no line.
#[test]
fn cross_entropy_is_refused_at_its_line_without_a_sigmoid_decoder() {
    let line = "objective = \"cross-entropy\"";
    let place = Place::with(&text("linear", line, ""));
    let parts =
        ["x.toml:12:13", "`cross-entropy` needs an architecture with `decoder = \"sigmoid\"`"];
    let said = place.run(["x.toml"]).exits(2).complains(parts);
    assert!(!place.has_results(), "{said}");
    let axis = "[grid]\n\"train.objective\" = [\"squared\", \"cross-entropy\"]";
    Place::with(&text("linear", "", axis)).run(["x.toml"]).exits(2).complains(["x.toml:15:"]);
    let parts = ["x.toml:12:13", "`crossentropy` is not one of", "did you mean `cross-entropy`?"];
    let misspelt = text("sigmoid", "objective = \"crossentropy\"", "");
    Place::with(&misspelt).run(["x.toml"]).exits(2).complains(parts);
}

/// Wrong if targets outside [0, 1] were trained on, as the model sees them, or if data were looked through for
/// other objectives.
#[test]
fn cross_entropy_is_refused_on_data_outside_0_and_1_as_the_model_sees_it() {
    for (dataset, parts) in [
        (
            "kind = \"digits\"\nnormalize = \"center\"",
            [
                "x.toml:13:13",
                "the training sample 0 holds -0.",
                "scaled as `dataset.normalize` says",
            ],
        ),
        (
            "kind = \"sparse-dictionary\"\ninputs = 6\nfeatures = 8\nactive = 2\ntrain = 20\ntest = 9",
            [
                "x.toml:17:13",
                "`cross-entropy` needs data within [0, 1]",
                "the training sample 0 holds ",
            ],
        ),
    ] {
        let with = |objective: &str| {
            let text = text("sigmoid", &format!("objective = \"{objective}\""), "");
            text.replace("kind = \"digits\"", dataset)
        };
        let place = Place::with(&with("cross-entropy"));
        let said = place.run(["x.toml"]).exits(2).complains(parts);
        assert!(!place.has_results(), "{said}");
        Place::with(&with("absolute")).run(["check", "x.toml"]).exits(0);
    }
    // The last value of the test part alone is outside.
    let place = Place::new();
    place.write("images", crate::support::program::idx(&[3, 1, 2], &[0, 255, 7, 8, 9, 255]));
    for (normalize, code) in [("none", 0), ("unit-norm", 2)] {
        let idx = format!(
            "kind = \"idx\"\nimages = \"images\"\ntrain = 2\ntest = 1\nnormalize = \"{normalize}\""
        );
        let text = text("sigmoid", "objective = \"cross-entropy\"", "");
        place.write("x.toml", text.replace("kind = \"digits\"", &idx));
        let said = place.run(["check", "x.toml"]).exits(code);
        if code == 2 {
            said.complains(["holds 1.", "at input 1"]);
        }
    }
}

/// Wrong if what data holds decided about steps on other samples, as `bench-step` takes them.
#[test]
fn values_are_looked_at_where_data_is_opened_alone() {
    let text = text("sigmoid", "objective = \"cross-entropy\"", "");
    let (experiment, runs) = runs(&text.replace("kind = \"digits\"", "kind = \"waves\""));
    assert!(check_run(&experiment, &runs[0], &*data(&runs[0])).is_ok());
    assert!(check_fit(&experiment, &runs, &mut open_data(&runs).unwrap()).is_err());
}

/// Wrong if an architecture said that its decoder ends in a sigmoid and gave nothing before it, or the other
/// way round: cross-entropy would be refused or would panic.
#[test]
fn architectures_that_end_in_a_sigmoid_give_what_is_before_it() {
    use framework::dims::{Batch, Latent};
    use framework::model::{Definition, Weights, tensor, values};
    use framework::plugin::{Architecture, Autoencoder};

    use crate::support::models::{architecture, parameters, penalty, shape_of};
    let none = penalty("kind = \"none\"");
    let mut texts: Vec<String> = sorted(&ARCHITECTURES)
        .iter()
        .map(|row| format!("kind = \"{}\"\n{}", row.name, row.example))
        .collect();
    for kind in ["variational", "convolutional"] {
        texts.push(format!("kind = \"{kind}\"\nlatents = 3\ndecoder = \"sigmoid\""));
    }
    for tied in [false, true] {
        texts.push(format!("kind = \"dense\"\nlatents = 3\ndecoder = \"sigmoid\"\ntied = {tied}"));
    }
    for text in texts {
        let built = architecture(&text);
        let architecture: &dyn Architecture = &*built.plugin;
        // Images of 3 x 3 pixels, since some architectures need images.
        let parameters = parameters(Definition::new(architecture, &*none.plugin), 9);
        let weights = Weights::new(shape_of(9), &parameters);
        let latents = architecture.latents();
        let codes = (0..2 * latents).map(|at| (at as f64).sin()).collect();
        let code = tensor(codes, (Batch(2), Latent(latents)));
        let before =
            Autoencoder::<f64>::decode_before_sigmoid(architecture, code.retaped(), &weights);
        assert_eq!(before.is_some(), architecture.ends_in_sigmoid(), "{text}");
        if let Some(before) = before {
            let x_hat = Autoencoder::<f64>::decode(architecture, code.retaped(), &weights);
            assert_eq!(values(&before.sigmoid()), values(&x_hat), "{text}");
        }
    }
}

/// Wrong if training did not bring down what it is to bring down, if the columns were of another objective, or if
/// one engine ended elsewhere than the other.
#[test]
fn runs_bring_their_objective_down_in_both_engines() {
    for objective in TrainObjective::ALL {
        let found = ["fused", "reference"].map(|engine| {
            let settings = format!("objective = \"{}\"\nengine = \"{engine}\"", objective.name());
            let text = text("sigmoid", &settings, "").replace("epochs = 2", "epochs = 6");
            let (experiment, runs) = runs(&text);
            let mut first = None;
            let watch = &mut |at: &Progress| {
                first.get_or_insert(at.loss);
            };
            let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, watch);
            let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
            let metrics = trained.measured.metrics.iter();
            let of = |name: &str| metrics.clone().find(|one| one.name == name)?.value;
            let (train, test) = (trained.loss.reconstruction, of("test_objective"));
            assert!(train < 0.8 * first.unwrap(), "{objective:?} {engine}: {train}");
            match objective {
                TrainObjective::Squared => assert_eq!(test, None),
                _ => assert!((test.unwrap() / train - 1.0).abs() < 0.3, "{test:?}, {train}"),
            }
            [train, test.unwrap_or(train), of("test_mse").unwrap()]
        });
        for (fused, reference) in found[0].iter().zip(&found[1]) {
            assert!((fused / reference - 1.0).abs() < 1e-3, "{objective:?}: {found:?}");
        }
    }
}

/// Wrong if tables of squared runs had new columns, if a verdict put losses of two objectives side by side, or if
/// errors in the units of the data were not compared.
#[test]
fn losses_of_two_objectives_are_not_compared_and_errors_are() {
    let axis = "[grid]\n\"train.objective\" = [\"squared\", \"absolute\", \"cross-entropy\"]\n\
                \"penalty.lambda\" = [0.1, 0.3]\n";
    let place = Place::with(&format!("seeds = [0, 1]\n{}", text("sigmoid", "", axis)));
    place.run(["x.toml"]).exits(0);
    let table = place.table("aims/runs");
    let words = texts(&table, "train_objective");
    assert_eq!(words.iter().filter(|word| word.is_empty()).count(), 4, "{words:?}");
    for (word, value) in words.iter().zip(numbers(&table, "test_objective")) {
        assert_eq!(value.is_some(), !word.is_empty(), "{word}");
    }
    let history = place.table("aims/history");
    assert!(columns(&history).contains(&"test_objective".to_owned()));

    let compare = |metric: &str| {
        let words = ["compare", "results/aims", "--by", "train_objective", "--metric", metric];
        place.run(words.into_iter().chain(["--json"])).exits(0).json()
    };
    let scopes = |metric: &str| compare(metric)["within"].as_array().unwrap().len();
    for metric in ["train_loss", "train_loss_reconstruction", "test_objective"] {
        let compared = compare(metric);
        assert!(compared["pairs"].as_array().is_none_or(Vec::is_empty), "{metric}: {compared}");
    }
    assert_eq!(scopes("train_loss_reconstruction"), 3);
    assert_eq!(scopes("test_objective"), 2);
    let compared = compare("test_mse");
    let names: Vec<&str> = compared["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["method"].as_str().unwrap())
        .collect();
    for name in ["squared", "absolute", "cross-entropy"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!compared["pairs"].as_array().unwrap().is_empty(), "{compared}");

    let plain = Place::with(&text("sigmoid", "", ""));
    plain.run(["x.toml"]).exits(0);
    for table in ["aims/runs", "aims/history"] {
        let names = columns(&plain.table(table));
        assert!(!names.iter().any(|name| name.ends_with("objective")), "{names:?}");
    }
}

/// Wrong if a search, rungs or narrow products did not train on the objective.
#[test]
fn searches_rungs_and_both_precisions_take_objectives() {
    let objective = "objective = \"cross-entropy\"";
    let target = text("sigmoid", objective, "[target]\nl0 = 6").replace("epochs = 2", "epochs = 8");
    let place = Place::with(&target);
    place.run(["x.toml"]).exits(0);
    let table = place.table("aims/runs");
    assert!((numbers(&table, "test_l0")[0].unwrap() / 6.0 - 1.0).abs() <= 0.05);
    assert!(numbers(&table, "test_objective")[0].is_some());

    let rungs = "precision = \"bf16\"\n[run]\nhalving = { metric = \"test_mse\" }\n[grid]\n\
                 \"train.optimizer.lr\" = [1e-5, 1e-4, 1e-3]";
    let place = Place::with(&text("sigmoid", "objective = \"absolute\"", rungs));
    place.run(["x.toml"]).exits(0);
    let table = place.table("aims/runs");
    assert_eq!(texts(&table, "status").iter().filter(|status| *status == "done").count(), 1);
    assert!(numbers(&table, "test_objective").iter().all(Option::is_some));
}
