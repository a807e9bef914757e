//! Engines that start workers elsewhere: the commands of docs/cluster.md run as they stand, with stand-ins
//! for programs that are missing here, and Kubernetes would take the manifest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boon::{Compiler, Schemas};
use serde_json::Value as Json;

use crate::support::program::{Place, Said, TINY, assert_same, write_script};
use crate::support::skipped::skipped;

const PAGE: &str = "docs/cluster.md";
const MANIFEST: &str = "docs/kubernetes-job.yaml";
const SCHEMA: &str = "tests/golden/kubernetes-job.schema.json";

/// Stand-in for ssh: runs the command on this machine, whatever host it names. A login sets `SHELL`; GNU
/// parallel does nothing without it.
const SSH: &str = r#"while [ "${1#-}" != "$1" ]; do shift; done
shift
[ "$1" != -- ] || shift
export SHELL=/bin/sh
exec sh -c "$*""#;

/// Stand-in for GNU parallel: the options that the page uses.
const PARALLEL: &str = r#"[ "$1 $2 $3" = "--nonall --tag --sshlogin" ] || exit 2
hosts=$4
shift 4
for host in $(echo "$hosts" | tr , ' '); do ssh "$host" "$@" & done
wait"#;

/// Stand-in for HyperQueue: the options that the page uses.
const HQ: &str = r#"[ "$1 $2 $4 $6 $7 $8" = "submit --array --cpus --pin taskset --" ] || exit 2
first=${3%-*} last=${3#*-}
shift 8
for task in $(seq "$first" "$last"); do "$@" & done
wait"#;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The manifest: JSON with lines of comment.
fn manifest() -> Json {
    let lines = text(MANIFEST);
    let lines: Vec<&str> =
        lines.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    serde_json::from_str(&lines.join("\n")).unwrap()
}

/// The commands below each heading of the page.
fn blocks() -> Vec<(String, String)> {
    let page = text(PAGE);
    let (mut blocks, mut heading) = (Vec::new(), String::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix('#') {
            heading = said.trim_start_matches(['#', ' ']).to_owned();
        }
        if line == "```sh" {
            let commands: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((heading.clone(), commands.join("\n")));
        }
    }
    blocks
}

/// Whether GNU parallel is installed. Another program has the same name.
fn has_parallel() -> bool {
    let output = Command::new("parallel").arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with("GNU parallel"))
}

/// A folder with `saegrid` and with stand-ins for other programs.
fn programs(place: &Place, others: &[(&str, String)]) -> PathBuf {
    let folder = place.path("programs");
    fs::create_dir(&folder).unwrap();
    symlink(env!("CARGO_BIN_EXE_saegrid"), folder.join("saegrid")).unwrap();
    for (name, does) in others {
        write_script(&folder.join(name), does);
    }
    folder
}

/// Wrong if a command that a reader copies from the page failed, or gave other results than one `run`.
#[test]
fn the_commands_of_the_page_work_as_they_stand() {
    let experiment = format!("seeds = [0, 1, 2, 3, 4, 5]\n{TINY}").replace("tiny", "kl_sweep");
    let oracle = Place::with(&experiment);
    oracle.run(["x.toml"]).exits(0);
    let blocks = blocks();
    for program in ["parallel", "hq", "kubectl"] {
        let uses = |(_, commands): &(String, String)| commands.contains(program);
        assert!(blocks[1..].iter().any(uses), "no commands with {program}: {blocks:?}");
    }
    let has_parallel = has_parallel();
    if !has_parallel {
        skipped("GNU parallel is not installed; a program in its place is run");
    }
    for (heading, commands) in &blocks[1..] {
        let place = Place::new();
        fs::create_dir(place.path("experiments")).unwrap();
        place.write("experiments/kl_sweep.toml", &experiment);
        let mut others = vec![("ssh", SSH.to_owned()), ("hq", HQ.to_owned())];
        if !has_parallel {
            others.push(("parallel", PARALLEL.to_owned()));
        }
        // The shared volume of the pods is a folder here.
        let shared = |text: &str| text.replace("/shared", place.path("").to_str().unwrap());
        let job = &manifest()["spec"];
        let words = job["template"]["spec"]["containers"][0]["command"].as_array().unwrap().clone();
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let pods = job["parallelism"].as_u64().unwrap();
        let pods =
            format!("for pod in $(seq {pods}); do {} & done\nwait", shared(&words.join(" ")));
        let is_told = format!("[ \"$*\" = 'apply --filename {MANIFEST}' ] || exit 2\n");
        others.push(("kubectl", is_told + &pods));

        let mut path = vec![programs(&place, &others)];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &shared(commands)]).current_dir(place.path(""));
        // The machine of a worker may lack the variables that are set here.
        shell.env_remove("SHELL").stdin(Stdio::null());
        shell.env("PATH", std::env::join_paths(path).unwrap());
        let said = Said::from(shell.output().unwrap()).exits(0);
        assert!(said.out.contains("6 of 6 runs to do"), "{heading}: {said}");
        place.run(["status", "results/kl_sweep"]).exits(0);
        for table in ["kl_sweep/runs", "kl_sweep/history", "kl_sweep/latents"] {
            assert_same(&place.table(table), &oracle.table(table));
        }
    }
}

/// Wrong if the folder were not made, or something were submitted.
#[test]
fn an_engine_of_none_makes_the_folder_and_says_what_to_start() {
    let place = Place::with(TINY);
    let said = place.run(["submit", "x.toml", "--engine", "none"]).exits(0);
    let folder = place.path("results/tiny").canonicalize().unwrap();
    let command = format!("saegrid worker {}", folder.display());
    assert!(said.out.contains("1 of 1 runs to do") && said.out.contains(&command), "{said}");
    assert!(!folder.join("slurm").exists());
    place.run(["worker", "results/tiny"]).exits(0);
    let said = place.run(["submit", "x.toml", "--engine", "none"]).exits(0);
    assert!(said.out.contains("all 1 runs have ended"), "{said}");
    for option in [&["--workers", "2"][..], &["--slurm", "time=1"], &["--print-script"]] {
        let words = [&["submit", "x.toml", "--engine", "none"], option].concat();
        place.run(words).exits(2).complains(["nothing is submitted"]);
    }
}

/// Wrong if the manifest had keys that Kubernetes does not know or refuses, or if the schema accepted such
/// keys.
#[test]
fn the_manifest_is_that_of_a_job() {
    let schema: Json = serde_json::from_str(&text(SCHEMA)).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("job.json", schema).unwrap();
    let schema = compiler.compile("job.json", &mut schemas).unwrap();
    let manifest = manifest();
    schemas.validate(&manifest, schema).unwrap_or_else(|error| panic!("{error:#}"));
    for (place, value) in [
        ("/spec/backofLimit", serde_json::json!(1)),
        ("/spec/completions", serde_json::json!("8")),
        ("/spec/completionMode", serde_json::json!("NonIndexed")),
        ("/spec/template/spec/restartPolicy", serde_json::json!("OnFailure")),
        ("/spec/template/spec/containers/0/volumeMount", serde_json::json!([])),
    ] {
        let mut wrong = manifest.clone();
        let (object, key) = place.rsplit_once('/').unwrap();
        wrong.pointer_mut(object).unwrap()[key] = value;
        assert!(schemas.validate(&wrong, schema).is_err(), "{place} is taken");
    }
    known_to_kubectl(&manifest);
}

/// Wrong if a worker in a pod could become root, or write anywhere but to the shared volume.
#[test]
fn the_manifest_gives_a_worker_no_rights_that_it_does_not_need() {
    let manifest = manifest();
    let at = |path: &str| manifest.pointer(&format!("/spec/template/spec{path}")).cloned();
    assert_eq!(at("/securityContext/runAsNonRoot"), Some(true.into()));
    assert!(at("/securityContext/runAsUser").unwrap().as_u64().unwrap() > 0);
    assert_eq!(at("/securityContext/seccompProfile/type"), Some("RuntimeDefault".into()));
    let of_container = |key: &str| at(&format!("/containers/0/securityContext/{key}"));
    assert_eq!(of_container("allowPrivilegeEscalation"), Some(false.into()));
    assert_eq!(of_container("readOnlyRootFilesystem"), Some(true.into()));
    assert_eq!(of_container("capabilities"), Some(serde_json::json!({ "drop": ["ALL"] })));
}

/// kubectl reads the manifest into its own types, which drop unknown keys, and nothing is dropped.
fn known_to_kubectl(manifest: &Json) {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["set", "image", "--local", "--output=json", "worker=registry/image:1"]);
    kubectl.arg("--filename").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(MANIFEST));
    let Ok(output) = kubectl.env("KUBECONFIG", "/dev/null").output() else {
        skipped("there is no kubectl, into whose types the manifest is read");
        return;
    };
    let read: Json = serde_json::from_str(&Said::from(output).exits(0).out).unwrap();
    let mut wanted = manifest.clone();
    *wanted.pointer_mut("/spec/template/spec/containers/0/image").unwrap() =
        "registry/image:1".into();
    assert!(has(&read, &wanted), "{read:#} lacks something of {wanted:#}");
}

/// Whether all that `part` says stands in `whole`.
fn has(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| has(whole, part)))
        }
        (Json::Array(whole), Json::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        (whole, part) => whole == part,
    }
}
