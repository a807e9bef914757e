//! Stratified batches where there are no classes.

use framework::fit::check_run;
use framework::plugin::{Data, SampleShape, Split};

use crate::support::models::{data, runs};
use crate::support::program::TINY;

struct Unlabeled;

impl Data for Unlabeled {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(64)
    }

    fn rows(&self, _: Split) -> usize {
        10
    }

    fn gather(&self, _: Split, _: &[usize], _: &mut [f32]) -> Result<(), String> {
        Ok(())
    }
}

/// Wrong if such a run started, if it were refused at another place than its line, or if data with labels were
/// refused too.
#[test]
fn stratified_batches_without_labels_are_refused_at_their_line() {
    let text = TINY.replace("[train]\n", "[train]\nbatches = \"stratified\"\n");
    let line = text.lines().position(|line| line.starts_with("batches")).unwrap() + 1;
    let (experiment, runs) = runs(&text);
    let problems = check_run(&experiment, &runs[0], &Unlabeled).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let right = format!(
        "test:{line}:11: train: batches: `stratified` batches need labels, and the dataset has none"
    );
    assert_eq!(shown, [right]);
    assert!(check_run(&experiment, &runs[0], &*data(&runs[0])).is_ok());
}
