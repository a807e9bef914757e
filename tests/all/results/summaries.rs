//! Summaries of settings: what the end of a run, `status`, `compare` and the report say of each setting, in words.

use framework::plugin::EVALUATIONS;
use std::path::Path;

use crate::support::program::{Place, numbers, texts};

/// KL, whose codes are never 0, and L1 in one grid; `grid` adds to the experiment.
fn two(more: &str) -> String {
    format!(
        "name = \"x\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         latents = 8\nactivation = \"sigmoid\"\n[train]\nsteps = 20\n{more}\n"
    )
}

/// Cells of a table's first row whose second cell is `setting`, by heading.
fn cell(text: &str, setting: &str, heading: &str) -> String {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = text.lines().filter(|line| line.starts_with('|'));
    let headings = cells(lines.next().expect("there is a table"));
    let at = headings.iter().position(|own| own == heading);
    let at = at.unwrap_or_else(|| panic!("no `{heading}` in {headings:?}"));
    let row = lines.map(cells).find(|row| row[1] == setting);
    row.unwrap_or_else(|| panic!("no `{setting}` in {text}"))[at].clone()
}

/// Wrong if a summary lacked the number that the theory of KL is about, showed another number than the tables have,
/// or called latents dead that only stay below a threshold.
#[test]
fn each_setting_is_summed_up_in_words() {
    let grid = "[grid]\npenalty = [{ kind = \"kl\", rho = 0.1, beta = 0.1 }, { kind = \"kl\", rho = 0.3, beta = 1.0 }]";
    let place = Place::with(&two(grid));
    let ended = place.run(["x.toml"]).exits(0).out;
    let compared = place.run(["compare", "results/x"]).exits(0).out;
    let status = place.run(["status", "results/x"]).exits(0).out;
    let runs = place.table("x/runs");
    for (rho, setting) in [(0.1, "rho=0.1 beta=0.1"), (0.3, "rho=0.3 beta=1")] {
        let mean = |column: &str| {
            let own = numbers(&runs, "penalty_rho").into_iter().zip(numbers(&runs, column));
            let own: Vec<f64> =
                own.filter(|(own, _)| *own == Some(rho)).filter_map(|(_, value)| value).collect();
            assert_eq!(own.len(), 2);
            own.iter().sum::<f64>() / 2.0
        };
        for (heading, column) in [
            ("mean activation", "test_mean_activation"),
            ("MSE", "test_mse"),
            ("explained variance", "test_explained_variance"),
        ] {
            let right = mean(column);
            for text in [&ended, &compared, &status] {
                let said: f64 = cell(text, setting, heading).parse().unwrap();
                assert!((said - right).abs() <= 0.005 * right.abs(), "{heading}: {said}, {right}");
            }
        }
        let share = 100.0 * mean("test_dead_fraction");
        let said = cell(&ended, setting, "never above 0.5");
        let said: f64 = said.strip_suffix(" %").unwrap().parse().unwrap();
        assert!((said - share).abs() <= 0.5, "{said}, {share}");
        let l0 = cell(&ended, setting, "L0 (above 0.5)");
        let l0: f64 = l0.split(' ').next().unwrap().parse().unwrap();
        assert!((l0 - mean("test_l0")).abs() <= 0.5, "{l0}");
    }
    place.run(["report", "results/x"]).exits(0);
    let page = place.read("results/x/report.html");
    let heading = "never above 0.5<small>test_dead_fraction</small>";
    assert_eq!(page.matches(heading).count(), 2, "of the settings and of the runs");
    for text in [&ended, &compared, &status] {
        assert!(!text.contains("| dead "), "no latent of a sigmoid is dead: {text}");
        for words in ["mean squared error per pixel (test_mse)", "codes of kl are never exactly 0"]
        {
            assert!(text.contains(words), "{text}");
        }
    }
}

/// Wrong if latents that are always 0 were not called dead, or if a table of both kinds of codes called any so.
#[test]
fn only_latents_that_are_always_0_are_dead() {
    let heading = |penalties: &str| {
        let place = Place::with(&two(&format!("[grid]\npenalty = [{penalties}]")));
        place.run(["x.toml"]).exits(0);
        place.run(["compare", "results/x"]).exits(0).out
    };
    let sparse = "{ kind = \"k-sparse\", k = 2 }";
    let dense = "{ kind = \"kl\", rho = 0.1, beta = 0.1 }";
    let text = heading(sparse);
    assert!(text.contains("| dead ") && text.contains("0 on every test sample"), "{text}");
    let text = heading(&format!("{sparse}, {dense}"));
    assert!(text.contains("| never active ") && !text.contains("| dead "), "{text}");
}

/// Wrong if an experiment could not say which of its results its tables are about, if `--show` did nothing, or if a
/// column without numbers were shown.
#[test]
fn tables_show_what_the_experiment_is_about() {
    let evaluate = "[evaluate]\nshow = [\"test_jacobian\", \"test_nothing\"]";
    let place = Place::with(&two(evaluate));
    let ended = place.run(["x.toml"]).exits(0).out;
    let id = place.run_ids("x");
    assert!(ended.contains("Jacobian"), "{ended}");
    assert!(ended.contains("names `test_nothing`, which no run has"), "{ended}");
    let compared = place.run(["compare", "results/x", "--show", "test_hoyer"]).exits(0).out;
    assert!(compared.contains("Jacobian") && compared.contains("Hoyer"), "{compared}");
    place.run(["compare", "results/x", "--show", "test_hoier"]).exits(2).complains(["test_hoyer"]);
    // What tables show is no part of a run.
    place.write("x.toml", two("[evaluate]\nshow = []"));
    let ended = place.run(["x.toml"]).exits(0).out;
    assert!(!ended.contains("Jacobian"), "{ended}");
    assert_eq!(place.run_ids("x"), id);
    place.write("x.toml", two("[evaluate]\nshow = [\"test mse\"]"));
    place.run(["x.toml"]).exits(2).complains(["x.toml:12:", "test_jacobian", "test mse"]);
}

/// Wrong if a metric of an evaluation had no words: tables and pictures would show its bare name.
#[test]
fn every_metric_has_words() {
    for row in EVALUATIONS {
        let built = row.example(Path::new("")).unwrap();
        for (name, _) in built.plugin.metrics() {
            let title = built.plugin.title(name, "pixel");
            assert!(title.is_some_and(|title| title.short != *name), "{}: {name}", row.name);
        }
    }
}

/// Wrong if a page of several folders lacked the runs, models or settings of one, read a run in the folder of
/// another, or replaced the page of one of them.
#[test]
fn one_page_shows_several_experiments() {
    let text = |name: &str, penalty: &str| {
        let grid = format!("[grid]\npenalty = [{penalty}]");
        two(&grid).replace("name = \"x\"", &format!("name = \"{name}\""))
    };
    let place =
        Place::with(&text("one", "{ kind = \"k-sparse\", k = 2 }, { kind = \"k-sparse\", k = 4 }"));
    place.write(
        "y.toml",
        text("two", "{ kind = \"k-sparse\", k = 3 }, { kind = \"k-sparse\", k = 4 }, { kind = \"kl\", rho = 0.1, beta = 0.1 }"),
    );
    place.run(["x.toml"]).exits(0);
    place.run(["y.toml"]).exits(0);
    place.run(["report", "results/one"]).exits(0);
    let alone = place.read("results/one/report.html");
    let said = place.run(["report", "results/one", "results/two"]).exits(0);
    assert_eq!((said.out.trim(), said.err.as_str()), ("results/one/report-with-two.html", ""));
    assert_eq!(place.read("results/one/report.html"), alone);
    let page = place.read("results/one/report-with-two.html");
    for table in ["one/runs", "two/runs"] {
        for id in texts(&place.table(table), "run_id") {
            assert_eq!(page.matches(&format!("<td>{id}</td>")).count(), 1, "{id}");
        }
    }
    for words in ["<h1>one, two</h1>", "name = &quot;one&quot;", "name = &quot;two&quot;", "k=3"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("2 runs are part of several experiments and listed once."));
    // A model of each method, from the folder of its run, and the seeds of both folders.
    let section = |id: &str| page.split(&format!("<section id=\"{id}\">")).nth(1).unwrap();
    let section = |id: &str| section(id).split("</section>").next().unwrap();
    assert!(section("dictionary").matches("data:image/png").count() >= 2);
    for setting in ["k=2", "k=3", "k=4", "kl"] {
        assert!(section("stability").contains(setting), "{setting}");
    }
    // The same folder twice is one.
    let said = place.run(["report", "results/one", "results/one"]).exits(0);
    assert_eq!(said.out.trim(), "results/one/report.html");
}
