//! Words that are not another name of one plugin. Most are for methods, data and measurements that this version
//! does not have, with what comes nearest: whoever adds one takes its words out of here.

use framework::linkme::distributed_slice;
use framework::plugin::{ALIASES, Alias, Meant};

/// Registers words for what is missing.
macro_rules! missing {
    ($($static:ident: $words:expr, $about:expr;)+) => {$(
        #[distributed_slice(ALIASES)]
        #[linkme(crate = framework::linkme)]
        static $static: Alias =
            Alias { words: &$words, meant: Meant::Missing, about: $about, lines: "" };
    )+};
}

missing! {
    // Architectures.
    TRANSCODER: ["transcoder", "crosscoder"],
        "every architecture reconstructs its own input";
    // Penalties.
    // Datasets.
    FILES: ["npy", "npz", "numpy", "csv", "parquet", "safetensors", "raw", "arrow", "huggingface",
        "activations"],
        "the nearest is the dataset `idx`, files of bytes; a dataset of your own is one file of Rust, as \
         saegrid's README says below \"Adding a penalty\"";
    IMAGES: ["images", "image-folder", "png", "jpeg", "cifar", "cifar-10", "cifar-100"],
        "the nearest is the dataset `idx`, which holds images of bytes, grey or coloured";
    SYNTH_SAE_BENCH: ["synth-sae-bench"],
        "the nearest is the dataset `sparse-dictionary`";
    // Evaluations.
    ANOMALY: ["anomaly", "anomaly-detection", "outlier"],
        "the nearest is the evaluation `reconstruction`, whose errors are means over the test samples";
    DENOISING: ["inpainting"],
        "the nearest is `test_mse_corrupted`, which `reconstruction` measures where there is a [corruption]";
    NEIGHBOURS: ["retrieval", "clustering", "k-means", "pretraining"],
        "the nearest is the evaluation `probe`, which says what codes know of the labels";
    PCA: ["pca"],
        "the nearest is the evaluation `budget`, which has PCA's errors beside those of codes";
}

/// A denoising autoencoder is no plugin of its own.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static DENOISING_AUTOENCODER: Alias = Alias {
    words: &["dae", "denoising", "denoising-autoencoder", "noise"],
    meant: Meant::Section("corruption"),
    about: "a denoising autoencoder is any architecture with a [corruption], such as `gaussian` or `masking`; \
            `test_mse_corrupted` is then measured too",
    lines: "[corruption]\nkind = \"gaussian\"\nsigma = 0.3",
};

/// Names of losses.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static OBJECTIVES: Alias = Alias {
    words: &["mae", "bce", "binary-cross-entropy", "sse"],
    meant: Meant::Section("train"),
    about: "what is minimized is the `objective` under [train]: \"squared\" (the default), \"absolute\" or \"cross-entropy\"",
    lines: "",
};
