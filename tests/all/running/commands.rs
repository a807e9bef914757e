//! The commands, besides running a grid to its end.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use framework::plugin::kinds;
use serde_json::{Value as Json, json};

use crate::support::program::{Place, TINY, numbers, texts, with};

#[test]
fn lists_name_every_run_with_its_place_in_the_grid_and_its_status() {
    let place =
        Place::with(&format!("seeds = [0, 7]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n"));
    let said = place.run(["list", "x.toml"]).exits(0);
    assert!(said.out.contains("penalty.lambda") && said.out.contains("4 runs"), "{said}");
    assert_eq!(said.out.matches(" new ").count(), 4, "{said}");
    assert!(!place.has_results(), "listing writes nothing");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(listed["experiment"], json!("tiny"));
    let points: Vec<_> = listed["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            assert_eq!(run["status"], json!("new"));
            assert_eq!(run["settings"]["seed"], run["seed"]);
            (
                run["point"]["penalty.lambda"].as_str().unwrap().to_owned(),
                run["seed"].as_u64().unwrap(),
            )
        })
        .collect();
    let want = [("0.1", 0), ("0.1", 7), ("0.3", 0), ("0.3", 7)];
    assert_eq!(points, want.map(|(lambda, seed)| (lambda.to_owned(), seed)));

    place.run(["x.toml", "--set", "seeds=[7]"]).exits(0);
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let statuses: Vec<&Json> = (0..4).map(|at| &listed["runs"][at]["status"]).collect();
    assert_eq!(statuses, ["new", "done", "new", "done"]);
    let ids: Vec<&str> = (0..4).map(|at| listed["runs"][at]["run_id"].as_str().unwrap()).collect();
    assert_eq!(texts(&place.table("tiny/runs"), "run_id"), [ids[1], ids[3]]);
    place.run(["list", "x.toml", "--output-dir", "elsewhere"]).exits(0);
    assert!(!place.path("elsewhere").exists());
}

/// Wrong if a list misled about the needs of runs, or allocated the memory that it reports.
#[test]
fn lists_say_what_runs_need_before_and_what_they_took_after() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    let said = place.run(["list", "x.toml"]).exits(0);
    assert!(
        said.out.contains("2128") && said.out.contains("MB") && said.out.contains("~0"),
        "{said}"
    );
    assert!(said.out.contains("2 runs: 2 to do, about 0."), "{said}");
    let said = place.run(["x.toml", "--dry-run", "-j", "1"]).exits(0);
    assert!(said.out.contains(" with 1 at once\n"), "{said}");
    let before = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(before["runs"][1]["parameters"], json!(2 * 64 * 16 + 16 + 64));
    assert_eq!(
        (&before["runs"][1]["seconds"], &before["total"]["to_do"]),
        (&Json::Null, &json!(2))
    );
    assert!(before["runs"][1]["estimated_seconds"].as_f64().unwrap() > 0.0);

    place.run(["x.toml", "-j", "1"]).exits(0);
    let (after, table) =
        (place.run(["list", "x.toml", "--json"]).exits(0).json(), place.table("tiny/runs"));
    assert_eq!(after["total"]["counts"], json!({ "done": 2 }));
    assert_eq!(after["runs"][1]["seconds"].as_f64(), numbers(&table, "seconds")[1]);
    let said = place.run(["list", "x.toml"]).exits(0);
    assert!(said.out.contains("2 runs: 2 done\n") && !said.out.contains('~'), "{said}");
    let more = place.run(["list", "x.toml", "--set", "seeds=[0, 1, 2]", "--json"]).json();
    let mean = numbers(&table, "seconds").into_iter().flatten().sum::<f64>() / 2.0;
    let estimated = more["runs"][2]["estimated_seconds"].as_f64().unwrap();
    assert!((estimated / mean - 1.0).abs() < 1e-9, "as long as its like: {estimated} {mean}");

    let huge = ["list", "x.toml", "--json", "--set", "architecture.latents=16777216"];
    let huge = place.run(huge).exits(0).json();
    assert_eq!(huge["runs"][0]["parameters"], json!((2 * 64 + 1) * 16_777_216_u64 + 64));
    assert!(huge["runs"][0]["estimated_memory_bytes"].as_u64().unwrap() > 30_000_000_000);
}

/// The memory that a list reports is within 30 % of what a run needs, unless it is its worker's first.
#[test]
#[cfg(target_os = "linux")]
fn the_estimate_of_memory_is_near_what_is_measured() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}").replace("epochs = 1", "steps = 3"));
    for sets in [
        ["architecture.latents=16", "train.batch=128"],
        ["architecture.latents=16384", "train.batch=64"],
        ["architecture.latents=4096", "train.batch=1024"],
    ] {
        let sets = sets.into_iter().flat_map(|set| ["--set", set]);
        let listed = place.run(["list", "x.toml", "--json"].into_iter().chain(sets.clone())).json();
        place.run(["x.toml", "-j", "1"].into_iter().chain(sets)).exits(0);
        let id = listed["runs"][1]["run_id"].as_str().unwrap();
        let table = place.table("tiny/runs");
        let row = texts(&table, "run_id").iter().position(|known| known == id).unwrap();
        let measured = numbers(&table, "peak_memory_bytes")[row].unwrap();
        let estimated = listed["runs"][1]["estimated_memory_bytes"].as_f64().unwrap();
        let ratio = estimated / measured;
        assert!((0.7..1.3).contains(&ratio), "{estimated} bytes, measured {measured}: {ratio}");
    }
}

#[test]
fn check_reads_files_and_writes_nothing() {
    let place = Place::with(&with("[grid]\n\"penalty.lambda\" = { log = [0.1, 10], points = 3 }"));
    place.write("bad.toml", TINY.replace("lambda", "lamda"));
    place.write("worse.toml", "name = ");
    assert_eq!(place.run(["check", "x.toml"]).exits(0).out, "x.toml: ok, 3 runs\n");
    let said = place.run(["check", "bad.toml", "x.toml", "worse.toml"]).exits(2);
    assert_eq!(said.out, "x.toml: ok, 3 runs\n", "{said}");
    said.complains(["bad.toml:12:1", "worse.toml:1:"]);
    assert!(!place.has_results());
}

#[test]
fn status_is_told_from_the_folder_alone() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    fs::remove_file(place.path("x.toml")).unwrap();
    let said = place.run(["status", "results/tiny"]).exits(0);
    assert_eq!(said.out, "tiny: 2 runs: 2 done\n");
    let status = place.run(["status", "results/tiny", "--json"]).exits(0).json();
    assert_eq!(status["counts"], json!({ "done": 2 }));
    assert_eq!(status["runs"].as_array().unwrap().len(), 2);
    assert_eq!(status["runs"][0]["seed"], json!(0));

    let ids = texts(&place.table("tiny/runs"), "run_id");
    fs::remove_dir_all(place.path("results/tiny/runs").join(&ids[1])).unwrap();
    let said = place.run(["status", "results/tiny"]).exits(5);
    assert_eq!(said.out, "tiny: 2 runs: 1 done, 1 new\n");
}

#[test]
fn plugins_are_listed_and_explained() {
    let place = Place::new();
    let all = place.run_outside(["plugins"]).exits(0).out;
    for (kind, rows) in kinds() {
        for row in rows {
            assert!(all.contains(&format!(" {} ", row.name)), "no {kind} {} in\n{all}", row.name);
        }
    }
    let all = place.run(["plugins"]).exits(0).out;
    for name in ["dense", "digits", "reconstruction", "none"] {
        assert!(all.contains(&format!(" {name} ")), "no {name} in\n{all}");
    }
    let penalties = place.run(["plugins", "penalty"]).exits(0).out;
    assert!(penalties.contains("k-sparse") && !penalties.contains("sparse-dictionary"));
    let kl = place.run(["plugins", "penalty", "kl"]).exits(0).out;
    for part in [
        "rho ln(rho / rho_hatⱼ)",
        "Source: Ng",
        "Target rate",
        "needed",
        "number > 0, < 1",
        "kind = \"kl\"",
        "rho = 0.05",
    ] {
        assert!(kl.contains(part), "no {part} in\n{kl}");
    }
    for penalty in ["l1", "k-sparse", "group-lasso"] {
        let said = place.run(["plugins", "penalty", penalty]).exits(0);
        assert!(said.out.contains("\nSource: "), "no source in\n{said}");
    }
    assert!(
        place.run(["plugins", "penalty", "none"]).exits(0).out.contains("It takes no settings.")
    );

    let json = place.run(["plugins", "--json"]).exits(0).json();
    let kinds: Vec<&String> = json.as_object().unwrap().keys().collect();
    let known = ["architecture", "auxiliary", "corruption", "dataset", "evaluation", "penalty"];
    assert_eq!(kinds, known);
    let one = place.run(["plugins", "penalty", "k-sparse", "--json"]).exits(0).json();
    assert_eq!(one["penalty"].as_array().unwrap().len(), 1);
    assert_eq!(one["penalty"][0]["name"], json!("k-sparse"));
    assert!(!one["penalty"][0]["schema"]["properties"]["k"].is_null());
    let outside = place.run_outside(["plugins", "penalty", "soft-threshold"]).exits(0);
    assert!(outside.out.contains("lambda"), "{outside}");
}

#[test]
fn overrides_hold_for_every_run() {
    let grid = "[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n\"train.batch\" = [64, 128]";
    let place = Place::with(&with(grid));
    let runs = |sets: &[&str]| -> Vec<Json> {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let words = ["list", "x.toml", "--json"].into_iter().chain(sets);
        place.run(words).exits(0).json()["runs"].as_array().unwrap().clone()
    };
    let of = |runs: &[Json], pointer: &str| -> Vec<Json> {
        runs.iter().map(|run| run["settings"].pointer(pointer).unwrap().clone()).collect()
    };
    assert_eq!(runs(&[]).len(), 4);
    let set = runs(&["train.optimizer.lr=1e-2", "architecture.activation=tanh"]);
    assert_eq!(of(&set, "/train/optimizer/lr"), vec![json!(0.01); 4]);
    assert_eq!(of(&set, "/architecture/activation"), vec![json!("tanh"); 4]);

    // The override replaces an axis.
    let pinned = runs(&["penalty.lambda=0.5"]);
    assert_eq!(of(&pinned, "/penalty/lambda"), vec![json!(0.5); 2]);
    assert_eq!(of(&pinned, "/train/batch"), [json!(64), json!(128)]);
    assert!(pinned[0]["point"].get("penalty.lambda").is_none());
    // The last override counts; an axis and the seeds can be overridden too.
    assert_eq!(runs(&["penalty.lambda=0.5", "penalty.lambda=0.6", "train.batch=64"]).len(), 1);
    assert_eq!(runs(&["grid.penalty.lambda=[1, 2, 3]"]).len(), 6);
    assert_eq!(runs(&["seeds=[1, 2]"]).len(), 8);
    assert_eq!(runs(&["grid={}"]).len(), 1);

    place.run(["x.toml", "--set", "grid={}", "--set", "name=other"]).exits(0);
    assert_eq!(place.run_ids("other").len(), 1);
    assert!(!place.path("results/tiny").exists());
    place.run(["status", "results/other"]).exits(0);
}

/// An override of a setting reaches into the values of an axis of whole sections.
#[test]
fn an_override_holds_for_every_value_of_an_axis_of_sections() {
    let axis = "[grid]\npenalty = [{ kind = \"l1\", lambda = 0.1 }, { kind = \"group-lasso\", lambda = 0.1, group_size = 4 }]";
    let place = Place::with(&with(axis));
    let said = place.run(["list", "x.toml", "--json", "--set", "penalty.lambda=0.5"]).exits(0);
    for run in said.json()["runs"].as_array().unwrap() {
        assert_eq!(run["settings"]["penalty"]["lambda"], json!(0.5), "{said}");
    }
    let said = place.run(["list", "x.toml", "--set", "penalty.group_size=2"]).exits(2);
    said.complains(["penalty `l1` has no setting `group_size`", "--set penalty.group_size=2:1:1"]);

    let zip = "[[grid.zip]]\n\"penalty.lambda\" = [0.1, 0.2]\n\"train.batch\" = [32, 64]";
    let place = Place::with(&with(zip));
    for (sets, runs) in
        [(&["penalty.lambda=0.5"][..], 2), (&["penalty.lambda=0.5", "train.batch=16"], 1)]
    {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let said = place.run(["list", "x.toml", "--json"].into_iter().chain(sets)).exits(0);
        let listed = said.json()["runs"].as_array().unwrap().clone();
        assert_eq!(listed.len(), runs, "{said}");
        assert_eq!(listed[0]["settings"]["penalty"]["lambda"], json!(0.5), "{said}");
    }

    let optimizers = "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\" }]";
    let place = Place::with(&with(optimizers));
    let said = place.run(["list", "x.toml", "--json", "--set", "train.optimizer.lr=0.5"]).exits(0);
    for run in said.json()["runs"].as_array().unwrap() {
        assert_eq!(run["settings"]["train"]["optimizer"]["lr"], json!(0.5), "{said}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--dry-run"]).exits(0);
    assert!(said.out.contains("1 runs") && said.out.contains(" new "), "{said}");
    let listed = place.run(["x.toml", "-n", "--json"]).exits(0).json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    place.run(["x.toml", "-n", "--output-dir", "out"]).exits(0);
    let entries: Vec<_> =
        fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(entries, ["x.toml"]);
}

#[test]
fn results_go_to_standard_output_and_the_rest_to_standard_error() {
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--json", "--events", "events.json"]).exits(0);
    assert_eq!(said.json()["runs"][0]["status"], json!("done"));
    assert_eq!(said.json()["experiment"], json!("tiny"));
    assert!(said.err.contains("tiny: 1 of 1 runs to do") && said.err.contains("[1/1] "), "{said}");
    let events = place.read("events.json");
    let events: Vec<Json> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], json!("started"));
    assert_eq!(events.last().unwrap()["event"], json!("finished"));
    assert_eq!(events.last().unwrap()["status"], json!("done"));
    let silent = place.run(["x.toml", "--rerun", "all", "--progress", "none"]).exits(0);
    assert!(!silent.err.contains("[1/1]"), "{silent}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let place = Place::with(&format!(
        "seeds = [{}]\n{TINY}",
        (0..3000).map(|seed| seed.to_string()).collect::<Vec<_>>().join(", ")
    ));
    for words in [&["list", "x.toml"][..], &["list", "x.toml", "--json"], &["plugins", "--json"]] {
        let mut child =
            place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let said = child.wait_with_output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{words:?}");
        assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

/// Nobody reads the progress; the runs continue.
#[test]
fn a_run_outlives_the_reader_of_its_progress() {
    let place = Place::with(&format!("seeds = [0, 1, 2]\n{TINY}"));
    let mut child =
        place.command(["x.toml"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(texts(&place.table("tiny/runs"), "status"), ["done"; 3]);
}

/// Two commands on one folder share the work.
#[test]
fn two_commands_at_once_run_every_run_once() {
    let place = Place::with(&format!("seeds = [0, 1, 2, 3, 4, 5]\n{TINY}"));
    let start = || {
        let mut command = place.command(["x.toml", "-j", "1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (mut one, mut other) = (start(), start());
    for child in [&mut one, &mut other] {
        let code = child.wait().unwrap().code();
        assert!(code == Some(0) || code == Some(5), "{code:?}");
    }
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(numbers(&place.table("tiny/runs"), "attempt"), [Some(1.0); 6]);
}

/// Wrong if a newcomer's first file did not run, or replaced their work.
#[test]
fn a_new_experiment_runs_and_overwrites_nothing() {
    let place = Place::new();
    let said = place.run(["new", "my"]).exits(0);
    assert!(said.out.contains("saegrid my.toml"), "{said}");
    assert_eq!(place.run(["check", "my.toml"]).exits(0).out, "my.toml: ok, 6 runs\n");
    place.run(["my.toml"]).exits(0);
    assert_eq!(texts(&place.table("my/runs"), "status"), ["done"; 6]);

    place.write("my.toml", "mine");
    place.run(["new", "my"]).exits(2).complains(["`my.toml` is there already"]);
    place.run(["new", "my.toml"]).exits(2).complains(["`my.toml` is there already"]);
    assert_eq!(place.read("my.toml"), "mine");
    place.run(["new", "a b"]).exits(2).complains(["is no name for a folder"]);
    assert!(!place.path("a b.toml").exists());
    place.run(["new", "nowhere/my"]).exits(74).complains(["cannot write"]);

    let printed = place.run(["new"]).exits(0).out;
    assert_eq!(place.run(["new", "-"]).exits(0).out, printed);
    // The commented-out lines are right too.
    let penalty = "\"penalty.lambda\" = { log = [0.03, 0.3], points = 3 }\n";
    assert!(printed.contains(penalty));
    let other = printed.replace(penalty, "").replace("# penalty =", "penalty =");
    place.write("x.toml", other.replace("# \"arch", "\"arch"));
    assert_eq!(place.run(["check", "x.toml"]).exits(0).out, "x.toml: ok, 8 runs\n");
}

/// Wrong if a misspelt command passed for an experiment file without a word, or a file for a command.
#[test]
fn a_misspelt_command_is_told_which_one_was_meant() {
    let place = Place::with(TINY);
    for (words, meant) in
        [(&["comapre", "results/tiny"][..], "compare"), (&["statsu", "x", "--json"], "status")]
    {
        let said = place.run(words).exits(2);
        let meant = format!("did you mean `saegrid {meant}`?");
        let none = format!("there is no command `{}`", words[0]);
        said.complains([none.as_str(), &meant]);
    }
    std::fs::rename(place.path("x.toml"), place.path("reports")).unwrap();
    place.run(["reports", "--dry-run"]).exits(0);
    let said = place.run(["my_experiment"]).exits(2);
    assert!(!said.err.contains("did you mean"), "{said}");
}

/// Wrong if a time or a name on the command line needed quotes within quotes.
#[test]
fn texts_that_begin_with_a_digit_need_no_quotes() {
    let place = Place::with(TINY);
    place.run(["x.toml", "--dry-run", "--set", "run.timeout=2h", "--set", "name=2nd"]).exits(0);
}

/// Wrong if a limit beyond the range of clocks ended its worker.
#[test]
fn a_limit_of_time_beyond_all_clocks_is_none() {
    let place = Place::with(TINY);
    let sets = ["--set", "run.timeout=1.8e19", "--set", "run.checkpoint=1.8e19"];
    place.run(["x.toml"].iter().chain(&sets)).exits(0);
}
