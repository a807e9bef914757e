//! Words that people use for sections of an experiment file.

use linkme::distributed_slice;

use crate::plugin::{ALIASES, Alias, Meant};

/// Registers words for sections.
macro_rules! sections {
    ($($static:ident: $words:expr, $section:expr, $about:expr;)+) => {$(
        #[distributed_slice(ALIASES)]
        static $static: Alias =
            Alias { words: &$words, meant: Meant::Section($section), about: $about, lines: "" };
    )+};
}

sections! {
    DATA: ["data", "input"], "dataset", "the data is what [dataset] names";
    MODEL: ["model", "network"], "architecture", "the model is what [architecture] describes";
    REGULARIZATION: ["regularization", "regularizer", "loss"], "penalty",
        "what makes codes sparse stands in [penalty], further terms of the loss in [[auxiliary]], and what is \
         minimized beside them is `objective` under [train]";
    TRAINING: ["training", "trainer", "optimizer", "optim", "scheduler"], "train",
        "how a model is trained stands in [train], with `optimizer = { kind = \"adam\", lr = 1e-3 }` and `schedule`";
    METRICS: ["metrics", "eval"], "evaluate", "what is measured stands in the list `kinds` of [evaluate]";
    PRETRAINED: ["pretrained", "warm-start", "initialization"], "init",
        "what parameters start from stands in [init]: a stored model is named by `from`";
}
