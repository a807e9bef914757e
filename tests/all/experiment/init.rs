//! The section `[init]`: runs that start from a stored model.

use std::fs;
use std::path::Path;

use framework::model::Parameters;
use framework::spec::RunSpec;
use framework::train::StoredModel;
use serde_json::{Value as Json, json};

use crate::support::models::{model, runs};
use crate::support::program::{Place, columns, numbers, texts};

/// A short experiment on digits, with more at its end.
fn text(name: &str, architecture: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n{architecture}\n\
         [train]\nsteps = 1\noptimizer = {{ kind = \"sgd\", lr = 1e-9 }}\n{more}\n"
    )
}

/// Bytes of a safetensors file: names, shapes, and numbers.
fn stored(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let info = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*name).to_owned(), info);
    }
    let header = Json::from(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn only_run(more: &str) -> RunSpec {
    runs(&text("x", "latents = 4", more)).1.remove(0)
}

/// Wrong if runs of before there was the section were done again, or two starts shared an id.
#[test]
fn only_a_stored_model_enters_the_id() {
    let absent = only_run("");
    for empty in ["[init]", "[init]\npart = \"all\""] {
        let run = only_run(empty);
        assert_eq!((&absent.id, absent.settings()), (&run.id, run.settings()), "{empty}");
    }
    let from = only_run("[init]\nfrom = \"a\"");
    let other = only_run("[init]\nfrom = \"b\"");
    let encoder = only_run("[init]\nfrom = \"a\"\npart = \"encoder\"");
    assert_eq!(from.id, only_run("[init]\npart = \"all\"\nfrom = \"a\"").id);
    let ids = [&absent.id, &from.id, &other.id, &encoder.id];
    assert!((0..4).all(|a| (0..a).all(|b| ids[a] != ids[b])), "{ids:?}");
    assert_eq!(encoder.settings()["init"], json!({ "from": "a", "part": "encoder" }));
}

/// Wrong if a layer that was taken from a stored model were pretrained over it, or a layer of another shape were taken.
#[test]
fn layers_that_are_taken_are_not_pretrained() {
    let run = |name: &str, hidden: &str, more: &str| {
        format!(
            "name = \"{name}\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"deep\"\n\
             latents = 4\nhidden = {hidden}\npretrain_epochs = 1\n[train]\nsteps = 1\n\
             optimizer = {{ kind = \"sgd\", lr = 1e-3 }}\n{more}\n"
        )
    };
    let place = Place::with(&run("x", "[9]", ""));
    place.run(["x.toml"]).exits(0);
    let id = texts(&place.table("x/runs"), "run_id").remove(0);
    // Of its three layers, the first one is the first one of the stored model, whose second one has another shape.
    let from = format!("[init]\nfrom = \"results/x/runs/{id}\"\npart = \"encoder\"");
    place.write("y.toml", run("y", "[9, 6]", &from));
    let said = place.run(["y.toml"]).exits(2);
    said.complains(["enc.2.w", "[9, 6]"]);
    place.write("y.toml", run("y", "[9]", &from));
    place.run(["y.toml", "--events", "events.json"]).exits(0);
    let events = fs::read_to_string(place.path("events.json")).unwrap();
    assert!(!events.contains("\"pretraining\":true"), "{events}");
}

/// Parameters of a run on samples of three numbers, with what its stored model holds.
fn started(architecture: &str, file: &Path, part: &str) -> (Vec<String>, [Parameters<f32>; 2]) {
    let init = format!("[init]\nfrom = '{}'\npart = \"{part}\"", file.display());
    let run = runs(&text("x", architecture, &init)).1.remove(0);
    let (architecture, penalty) = (&run.architecture.value.plugin, &run.penalty.value.plugin);
    let before = model(&**architecture, &**penalty, 3, 7).parameters().into_owned();
    let mut after = before.clone();
    let from = run.init.value.from.as_ref().unwrap();
    let taken = StoredModel::open(from).unwrap().start(&mut after, from.part).unwrap();
    (taken, [before, after])
}

/// Wrong if other parameters than those asked for were taken, if the others did not start as without it, or if a
/// constraint did not hold afterwards.
#[test]
fn what_is_asked_for_is_taken_and_the_rest_starts_as_usual() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let numbers = |count: usize| (0..count).map(|at| at as f32 + 0.5).collect::<Vec<f32>>();
    let (w_enc, b_enc, w_dec) = (numbers(6), vec![3.0, -4.0], numbers(6));
    let tensors = [
        ("w_enc", &[3, 2][..], w_enc.clone()),
        ("b_enc", &[2], b_enc.clone()),
        ("w_dec", &[2, 3], w_dec.clone()),
        ("other", &[1], vec![f32::NAN]),
    ];
    fs::write(&file, stored(&tensors)).unwrap();
    let dense = |more: &str| format!("latents = 2\n{more}");
    for (more, part, names) in [
        ("", "all", &["w_enc", "b_enc", "w_dec"][..]),
        ("", "encoder", &["w_enc", "b_enc"]),
        ("tied = true", "all", &["w_enc", "b_enc"]),
        ("tied = true", "encoder", &["w_enc", "b_enc"]),
    ] {
        let (taken, [before, after]) = started(&dense(more), &file, part);
        assert_eq!(taken, names, "{more} {part}");
        for (before, after) in before.entries.iter().zip(&after.entries) {
            let name = &*before.declaration.name;
            let right = match (names.contains(&name), name) {
                (true, "w_enc") => &w_enc,
                (true, "b_enc") => &b_enc,
                (true, _) => &w_dec,
                (false, _) => &before.values,
            };
            assert_eq!(&after.values, right, "{more} {part}: {name}");
        }
    }
    let (_, [_, after]) = started(&dense("unit_norm = true"), &file, "all");
    for row in after.get("w_dec").unwrap().values.chunks(3) {
        let norm = row.iter().map(|value| value * value).sum::<f32>();
        assert!((norm - 1.0).abs() < 1e-6, "{row:?}");
    }
}

/// A folder with a trained model, and the path of its run.
fn trained() -> (Place, String) {
    let place = Place::new();
    let base = text("base", "latents = 12", "").replace("steps = 1", "epochs = 3");
    place.write("base.toml", base.replace("lr = 1e-9", "lr = 1e-2"));
    place.run(["base.toml"]).exits(0);
    let id = place.run_ids("base").remove(0);
    (place, format!("results/base/runs/{id}"))
}

/// Wrong if runs did not start where the stored model ended, in either engine, if the manifest did not say what was
/// taken and from what, or if a run were not stale once the file is another.
#[test]
fn runs_start_where_a_stored_run_ended_and_are_stale_when_its_model_changes() {
    let (place, run) = trained();
    let axis = format!(
        "[grid]\n\"init.from\" = [\"{run}\", \"{run}/model.safetensors\"]\n\
         \"train.engine\" = [\"fused\", \"reference\"]"
    );
    place.write("x.toml", text("on", "latents = 12", &axis));
    place.run(["x.toml"]).exits(0);
    let (base, table) = (place.table("base/runs"), place.table("on/runs"));
    let right = numbers(&base, "test_mse")[0].unwrap();
    let found = numbers(&table, "test_mse");
    assert_eq!(found.len(), 4);
    for found in found {
        assert!((found.unwrap() / right - 1.0).abs() < 1e-4, "{found:?}, not {right}");
    }
    assert!(texts(&table, "init_from").contains(&run), "{:?}", columns(&table));
    assert!(!columns(&base).iter().any(|name| name.starts_with("init")));
    let manifest = format!("results/on/runs/{}/manifest.json", place.run_ids("on")[0]);
    let manifest = place.json(manifest);
    assert_eq!(manifest["taken"], json!(["w_enc", "b_enc", "w_dec", "b_dec"]));
    let bytes = fs::read(place.path(format!("{run}/model.safetensors"))).unwrap();
    let digest = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(manifest["data"]["init.from"]["digest"], digest);

    let stale = || place.run(["list", "x.toml"]).exits(0).out.matches("stale").count();
    assert_eq!(stale(), 0);
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    place.write(&format!("{run}/model.safetensors"), changed);
    let said = place.run(["x.toml"]).exits(0);
    assert!(
        said.err.contains("stale runs: 4 (the file of `init.from` has changed since)"),
        "{said}"
    );
    assert!(stale() >= 4);
    place.run(["x.toml", "--rerun", "stale"]).exits(0);
    assert_eq!(stale(), 0);
}

/// Wrong if a user were not told which parameters start as usual.
#[test]
fn what_is_not_taken_is_said() {
    let (place, run) = trained();
    let init = format!("[init]\nfrom = \"{run}\"\npart = \"encoder\"");
    place.write("x.toml", text("on", "latents = 12", &init));
    let parts = ["init: from: `w_enc`, `b_enc` are taken; `w_dec`, `b_dec` start as without it"];
    place.run(["x.toml"]).exits(0).complains(parts);
    let manifest = format!("results/on/runs/{}/manifest.json", place.run_ids("on")[0]);
    assert_eq!(place.json(manifest)["taken"], json!(["w_enc", "b_enc"]));
}

/// Wrong if a mistake were found after training began, or at no line.
#[test]
fn mistakes_are_refused_at_their_line() {
    let place = Place::new();
    let zeros = |shape: &'static [usize]| {
        let count = shape.iter().product();
        stored(&[("w_enc", shape, vec![0.0; count])])
    };
    place.write("good", zeros(&[64, 4]));
    place.write("wide", zeros(&[64, 8]));
    place.write("others", stored(&[("encoder.weight", &[1], vec![0.0])]));
    let mut broken = vec![0.0; 256];
    broken[200] = f32::INFINITY;
    place.write("infinite", stored(&[("w_enc", &[64, 4], broken)]));
    place.write("double", {
        let bytes = zeros(&[64, 4]);
        let (header, data) = bytes[8..].split_at(bytes.len() - 8 - 1024);
        let header = std::str::from_utf8(header).unwrap().replace("F32", "I32");
        [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
    });
    place.write("text", "this is not a model");
    place.write("huge", [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat());
    let whole = zeros(&[64, 4]);
    place.write("cut", &whole[..whole.len() - 1]);
    place.write("empty", "");
    fs::create_dir(place.path("folder")).unwrap();
    for (from, part) in [
        ("missing", "No such file"),
        ("folder", "No such file"),
        ("empty", "it is shorter than 8 bytes"),
        ("text", "by its own account"),
        ("huge", "by its own account"),
        ("cut", "its tensors are not as long as its header says"),
        ("wide", "`w_enc` is [64, 4] in this run and [64, 8] in `"),
        ("double", "is of I32; expected F32"),
        ("infinite", "holds inf at number 200"),
        ("others", "holds none of `w_enc`, `b_enc`, `w_dec`, `b_dec`, which the run has"),
        ("", "expected the path of a stored model"),
    ] {
        place.write("x.toml", text("x", "latents = 4", &format!("[init]\nfrom = \"{from}\"")));
        let said = place.run(["x.toml"]).exits(2).complains(["x.toml:11:8", part]);
        assert!(!place.has_results(), "{said}");
    }
    for (section, parts) in [
        ("[init]\npart = \"encoder\"", ["x.toml:11:8", "it says nothing without `from`"]),
        ("[init]\nfrom = \"good\"\npart = \"decoder\"", ["x.toml:12:8", "is not one of"]),
        ("[init]\nform = \"good\"", ["x.toml:11:1", "did you mean `from`?"]),
    ] {
        place.write("x.toml", text("x", "latents = 4", section));
        place.run(["check", "x.toml"]).exits(2).complains(parts);
    }
    place.write("x.toml", text("x", "latents = 4", "[init]\nfrom = \"good\""));
    place.run(["check", "x.toml"]).exits(0);
}

/// Wrong if a link below the folder of an experiment were followed: somebody else may have made it. A link of the
/// user's own is a path like any other.
#[test]
#[cfg(unix)]
fn links_below_the_folder_of_an_experiment_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (place, run) = trained();
    let with = |from: &str| {
        place.write("x.toml", text("on", "latents = 12", &format!("[init]\nfrom = \"{from}\"")));
        place.run(["check", "x.toml"])
    };
    symlink(place.path(&run), place.path("best")).unwrap();
    with("best").exits(0);
    let file = place.path(format!("{run}/model.safetensors"));
    fs::rename(&file, place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), &file).unwrap();
    for from in [run.clone(), format!("{run}/model.safetensors"), "best".to_owned()] {
        with(&from).exits(2).complains(["x.toml:11:8", "links are not followed"]);
    }
    with("elsewhere").exits(0);
}
