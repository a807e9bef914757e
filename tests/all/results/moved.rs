//! Where data and projects lie: a whole project may move, and a path may be spelled in another way.

use std::fs;
use std::process::Command;

use tables::Table;

use crate::support::program::{HELD, Place, Said, assert_same, idx, texts};
use crate::support::under_way::Running;

/// An IDX file of 40 pictures of 2 x 3 pixels.
fn pictures() -> Vec<u8> {
    idx(&[40, 2, 3], &(0..240_usize).map(|at| (at * at % 251) as u8).collect::<Vec<u8>>())
}

const EXPERIMENT: &str = "include = [\"../base.toml\"]\nname = \"x\"\nseeds = [0, 1]\n[dataset]\n\
     kind = \"idx\"\nfolder = \"../data\"\nimages = \"pictures\"\ntest = 10\n[train]\nepochs = 1\n";

/// A project whose data, base and experiment lie in folders of their own, with two done runs.
fn project() -> Place {
    let place = Place::new();
    for folder in ["p/data", "p/experiments"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("p/data/pictures", pictures());
    place.write("p/base.toml", "[architecture]\nkind = \"dense\"\nlatents = 4\n");
    place.write("p/experiments/x.toml", EXPERIMENT);
    place.run(["p/experiments/x.toml", "--output-dir", "p/results"]).exits(0);
    place
}

/// A table of results.
fn table(place: &Place, path: &str) -> Table {
    Table::from_parquet(&fs::read(place.path(path)).unwrap()).unwrap()
}

/// Ids of the runs that have ended.
fn ended(place: &Place, folder: &str) -> Vec<String> {
    let names = fs::read_dir(place.path(folder).join("runs")).unwrap();
    let mut ids: Vec<String> =
        names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    ids.sort();
    ids
}

/// Wrong if a command looked in the old place. In earlier versions, `features` did not find the data, and
/// `worker` recorded new runs as failed.
#[test]
fn a_project_that_was_moved_finds_its_data_in_its_new_place() {
    let place = project();
    fs::rename(place.path("p"), place.path("q")).unwrap();
    let ids = ended(&place, "q/results/x");
    place.run(["features", "q/results/x", &ids[0]]).exits(0);
    place.run(["report", "q/results/x"]).exits(0);
    fs::remove_dir_all(place.path("q/results/x/runs").join(&ids[1])).unwrap();
    place.run(["worker", "q/results/x"]).exits(0);
    assert_eq!(ended(&place, "q/results/x"), ids);
    assert_eq!(texts(&table(&place, "q/results/x/runs.parquet"), "status"), ["done"; 2]);
    // Only the results moved: the project is where it was.
    fs::rename(place.path("q/results/x"), place.path("away")).unwrap();
    place.run(["features", "away", &ids[0]]).exits(2).complains(["p/experiments/../data"]);
    fs::rename(place.path("q"), place.path("p")).unwrap();
    place.run(["features", "away", &ids[0]]).exits(0);
}

/// Wrong if a run were blamed for a missing disk. In earlier versions, `worker` recorded it as failed.
#[test]
fn a_worker_without_its_data_fails_no_run() {
    let place = project();
    let ids = ended(&place, "p/results/x");
    fs::remove_dir_all(place.path("p/results/x/runs").join(&ids[0])).unwrap();
    fs::rename(place.path("p/data"), place.path("p/gone")).unwrap();
    let said = place.run(["worker", "p/results/x", "-j", "1"]).exits(2);
    said.complains(["pictures` cannot be opened"]);
    assert_eq!(ended(&place, "p/results/x"), ids[1..]);
    fs::rename(place.path("p/gone"), place.path("p/data")).unwrap();
    place.run(["worker", "p/results/x", "-j", "1"]).exits(0);
    assert_eq!(ended(&place, "p/results/x"), ids);
}

/// Wrong if a run trained again because the path to its data is spelled otherwise, if its results differed
/// from its own, or if other data passed for the same.
#[test]
fn a_run_whose_data_path_alone_is_spelled_otherwise_is_adopted() {
    let place = project();
    let run = |folder: &str, seeds: &str| {
        let text = EXPERIMENT.replace("\"../data\"", &format!("{folder:?}"));
        place.write("p/experiments/x.toml", text.replace("[0, 1]", seeds));
        place.run(["p/experiments/x.toml", "--output-dir", "p/results"]).exits(0)
    };
    let listed = |words: &str| {
        let said =
            place.run(["list", "p/experiments/x.toml", "--output-dir", "p/results"]).exits(0);
        assert_eq!(said.err.contains(words), !words.is_empty(), "{said}");
    };
    let trained = ended(&place, "p/results/x");
    let text = EXPERIMENT.replace("\"../data\"", "\"../data/\"");
    place.write("p/experiments/x.toml", text);
    listed("data: 2; `run` adopts");
    let said = run("../data/", "[0, 1]").complains(["another spelling", "data: 2 (as ", "adopted"]);
    assert!(said.err.contains("nothing to do"), "{said}");
    let all = ended(&place, "p/results/x");
    assert_eq!(all.len(), 4, "each has its own id");
    let adopted: Vec<&String> = all.iter().filter(|id| !trained.contains(id)).collect();
    for id in adopted {
        let table = table(&place, &format!("p/results/x/runs/{id}/run.parquet"));
        assert_eq!(texts(&table, "run_id"), [id.as_str()]);
        assert_eq!(texts(&table, "dataset_folder"), ["../data/"]);
        assert!(texts(&table, "reason")[0].starts_with("adopted from run "));
        place.run(["features", "p/results/x", id]).exits(0);
    }
    // As if it had been trained so.
    let own = Place::new();
    fs::create_dir_all(own.path("p/data")).unwrap();
    fs::create_dir_all(own.path("p/experiments")).unwrap();
    for name in ["p/data/pictures", "p/base.toml", "p/experiments/x.toml"] {
        fs::copy(place.path(name), own.path(name)).unwrap();
    }
    own.run(["p/experiments/x.toml", "--output-dir", "p/results"]).exits(0);
    for id in ended(&own, "p/results/x") {
        for name in ["run", "history", "latents"] {
            let path = format!("p/results/x/runs/{id}/{name}.parquet");
            assert_same(&table(&place, &path), &table(&own, &path));
        }
    }
    // A model's file, which holds its settings too, is the very same.
    for id in ended(&own, "p/results/x") {
        let model = format!("p/results/x/runs/{id}/model.safetensors");
        assert!(fs::read(place.path(&model)).unwrap() == fs::read(own.path(&model)).unwrap());
    }
    // Other seeds, and other data, are trained.
    let said = run("../data/.", "[0, 2]").complains(["data: 1 (as "]);
    assert!(said.err.contains("1 of 2 runs to do"), "{said}");
    fs::create_dir_all(place.path("p/other")).unwrap();
    let mut other = pictures();
    other[20] ^= 1;
    place.write("p/other/pictures", other);
    let said = run("../other", "[0]");
    assert!(!said.err.contains("adopted"), "{said}");
}

/// Wrong if a limit on the size of files, which covers files in memory too, ended a command that opens larger
/// data.
#[test]
fn data_may_be_larger_than_a_file_may_grow() {
    let place = project();
    place.write("p/data/pictures", idx(&[2000, 20, 50], &vec![1; 2_000_000]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 64; exec \"$0\" check p/experiments/x.toml"]);
    shell.arg(place.program()).current_dir(place.path(""));
    Said::from(shell.output().unwrap()).exits(0);
}

/// Wrong if another distance of evaluation points changed nothing without a word.
#[test]
fn another_distance_of_evaluation_points_is_told_of_done_runs() {
    let place = project();
    let run = || place.run(["p/experiments/x.toml", "--output-dir", "p/results"]).exits(0);
    let warning = "with another `evaluate.every`: 2;";
    assert!(!run().err.contains("evaluate.every"));
    place.write("p/experiments/x.toml", format!("{EXPERIMENT}[evaluate]\nevery = 1\n"));
    assert!(!run().err.contains("evaluate.every"), "that is what it was");
    place.write("p/experiments/x.toml", format!("{EXPERIMENT}[evaluate]\nevery = 2\n"));
    for _ in 0..2 {
        run().complains([warning]);
    }
}

/// Wrong if a probe of sorted data gave an accuracy of 0 without a word.
#[test]
fn a_probe_of_classes_that_it_cannot_learn_is_warned_of() {
    let place = project();
    let labels: Vec<u8> = (0..40).map(|row| row / 10).collect();
    place.write("p/data/labels", idx(&[40], &labels));
    let sorted = EXPERIMENT.replace("test = 10", "labels = \"labels\"\ntest = 10");
    place.write("p/experiments/x.toml", format!("{sorted}[evaluate]\nkinds = [\"probe\"]\n"));
    let said = place.run(["check", "p/experiments/x.toml"]).exits(0);
    said.complains([
        "warning: evaluation `probe`: kind: the training part has no sample of class `3`",
    ]);
}

/// Wrong if a run claimed data that replaced its own while it trained, or trained on a mixture of both.
/// Earlier versions mapped plain files and took their digest at the end.
#[test]
fn data_that_changes_while_runs_train_is_not_what_they_are_made_from() {
    let text = format!(
        "name = \"x\"\nseeds = [0, 1]\n[dataset]\nkind = \"idx\"\nimages = \"pictures\"\ntest = 10\n\
         [architecture]\nkind = \"dense\"\nlatents = 4\n[train]\nsteps = 40\nbatch = 10\n{HELD}"
    );
    let (place, undisturbed) = (Place::with(&text), Place::with(&text));
    for place in [&place, &undisturbed] {
        place.write("pictures", pictures());
    }
    undisturbed.run(["x.toml"]).exits(0);
    place.hold();
    let running = Running::start(&place, place.command(["x.toml", "-j", "1"]));
    running.wait_for("progress", 1);
    // Written in place, so that a mapping would show it; cut short, which would end a process that reads it.
    place.write("pictures", idx(&[40, 2, 3], &[9; 240]));
    place.write("pictures", "");
    place.let_go();
    running.end().exits(0);
    assert_same(&place.table("x/runs"), &undisturbed.table("x/runs"));
    place.write("pictures", idx(&[40, 2, 3], &[9; 240]));
    let status = place.run(["list", "x.toml"]).exits(0);
    assert!(status.out.contains("2 runs: 2 stale"), "{status}");
    place.write("pictures", pictures());
    let status = place.run(["list", "x.toml"]).exits(0);
    assert!(!status.out.contains("stale"), "{status}");
}
