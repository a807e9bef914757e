//! The section `[slurm]`: what is taken, what is refused with its place, and which of several settings wins.

use super::*;

fn read(text: &str) -> Result<Slurm, Vec<String>> {
    let source = Source {
        name: "x.toml".into(),
        base: PathBuf::new(),
        text: text.into(),
        is_private: false,
    };
    let node = node::parse(&Arc::new(source)).unwrap();
    Slurm::read(&node).map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn words(words: &[&str]) -> Result<Slurm, Vec<Diagnostic>> {
    Slurm::of_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

/// Wrong if a line of the script could hide from whoever reads it, or what shells use were refused.
#[test]
fn lines_of_the_shell_are_what_they_look_like() {
    for evil in ["a\\rb", "a\\u202Eb", "a\\u200Bb", "a\\u0085b", "a\\u001Bb", "a\\u00A0b"] {
        for key in ["setup", "more"] {
            let text = format!("{key} = [\"--x\", \"--{evil}\"]");
            let message = read(&text).unwrap_err()[0].to_string();
            assert!(message.contains("characters that are not shown"), "{text}: {message}");
        }
    }
    let setup = read("setup = [\"if a; then\\n\\tb\\nfi\", \"echo \\\"ü 数\\\"\"]").unwrap().setup;
    assert_eq!(setup, ["if a; then\n\tb\nfi", "echo \"ü 数\""]);
}

#[test]
fn options_are_kept_as_sbatch_takes_them() {
    let slurm = read(
        "time = \"1-12:00\"\nmem = \"8G\"\ncpus-per-task = 4\nexclusive = true\nhold = false\n\
         account = 1234\nworkers = 7\nsetup = \"module load gcc\"\nmore = [\"--site=x\"]\n",
    )
    .unwrap();
    let options: Vec<_> = slurm.options().collect();
    let expected = [
        ("account", Some("1234")),
        ("cpus-per-task", Some("4")),
        ("exclusive", None),
        ("mem", Some("8G")),
        ("time", Some("1-12:00")),
    ];
    assert_eq!(options, expected);
    assert_eq!(slurm.time_limit(), Some(Duration::from_secs(36 * 3600)));
    assert_eq!((slurm.processors(), slurm.workers.map(usize::from)), (4, Some(7)));
    assert_eq!((slurm.setup.len(), slurm.more.len()), (1, 1));
}

/// Wrong if a mistake were found one at a time, or only by the cluster.
#[test]
fn all_mistakes_are_said_at_once_where_they_are() {
    let wrong = read(
        "time = \"8 hours\"\nmem = \"1.5G\"\ncpus-per-task = 0\narray = \"1-9\"\nwalltime = 3\n",
    );
    let wrong = wrong.unwrap_err();
    let places = ["1:8", "2:7", "3:17", "4:1", "5:1"];
    assert_eq!(wrong.len(), places.len(), "{wrong:?}");
    for (problem, place) in wrong.iter().zip(places) {
        assert!(problem.starts_with(&format!("x.toml:{place}: ")), "{problem}");
    }
}

#[test]
fn words_of_the_command_line_are_read_as_the_file_is() {
    let slurm = words(&["time=90", "--partition=gpu", "exclusive", "workers=3"]).unwrap();
    let options: Vec<_> = slurm.options().collect();
    let expected = [("exclusive", None), ("partition", Some("gpu")), ("time", Some("90"))];
    assert_eq!((options, slurm.workers.map(usize::from)), (expected.to_vec(), Some(3)));
    let wrong = words(&["partitoin=gpu", "time=soon", "workers=0"]).unwrap_err();
    let shown: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(wrong.len(), 3, "{shown:?}");
    assert!(shown[1].starts_with("--slurm time=soon:1:6: slurm: time: expected "), "{shown:?}");
    assert_eq!(wrong[0].help, ["did you mean `partition`?"]);
}

/// Wrong if the user's own file had the last word, or two ways of asking for memory met.
#[test]
fn what_is_said_later_wins() {
    let own =
        read("account = \"lab\"\nmem-per-cpu = \"2G\"\nexclusive = true\nsetup = \"a\"").unwrap();
    let experiment = read("mem = \"8G\"\ntime = 60\nsetup = \"b\"\nworkers = 2").unwrap();
    let line = words(&["time=30", "exclusive=false"]).unwrap();
    let all = own.and(&experiment).and(&line);
    let options: Vec<_> = all.options().collect();
    let expected = [("account", Some("lab")), ("mem", Some("8G")), ("time", Some("30"))];
    assert_eq!(options, expected);
    assert_eq!(all.setup, ["a", "b"]);
}

#[test]
fn what_is_meant_is_named_and_what_saegrid_sets_is_explained() {
    let help = |text: &str| words(&[text]).unwrap_err()[0].help.clone();
    for (word, meant) in
        [("cpus=4", "cpus-per-task"), ("queue=x", "partition"), ("memory=1G", "mem")]
    {
        assert_eq!(help(word), [format!("did you mean `{meant}`?")]);
    }
    assert_eq!(help("container-image=x").len(), 2);
    let refused = |text: &str| words(&[text]).unwrap_err()[0].message.clone();
    assert!(refused("output=x").contains("slurm/log"), "{}", refused("output=x"));
    assert!(refused("more=--array=1-3").contains("other than `array`"));
    assert!(refused("more=container").contains("begin with `--`"));
}

/// Wrong if an editor marked what is right: every option with a value of its form is in the schema.
#[test]
fn the_schema_has_every_setting_and_none_that_is_not_to_be_set() {
    let schema = schema();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), OWN.len() + OPTIONS.len());
    for (name, _) in NOT_TO_BE_SET {
        assert!(!properties.contains_key(*name), "{name}");
    }
}
