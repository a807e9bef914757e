//! Real data, where it is present: 10,000 images of MNIST, which the repository does not have.
//! `SAEGRID_MNIST` names their folder; the default is `../shared/data/mnist` beside the workspace.

use std::path::{Path, PathBuf};

use crate::support::program::{Place, numbers, texts};
use crate::support::skipped::skipped;

const IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const LABELS: &str = "t10k-labels-idx1-ubyte.gz";

fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    let folder = std::env::var_os("SAEGRID_MNIST").map_or(beside, PathBuf::from);
    (folder.join(IMAGES).exists() && folder.join(LABELS).exists()).then_some(folder)
}

#[test]
fn a_k_sparse_autoencoder_learns_mnist() {
    let Some(folder) = folder() else {
        let files = format!("{IMAGES} and {LABELS}");
        skipped(&format!("there is no MNIST; SAEGRID_MNIST may name the folder of {files}"));
        return;
    };
    let place = Place::with(
        "name = \"mnist\"\n[dataset]\nkind = \"idx\"\ntrain = 2000\ntest = 500\n\
         [architecture]\nkind = \"dense\"\nlatents = 64\nactivation = \"identity\"\n\
         [penalty]\nkind = \"k-sparse\"\nk = 10\n[train]\nepochs = 4\nbatch = 20\n",
    );
    let set = |key: &str, file: &str| format!("dataset.{key}={:?}", folder.join(file));
    let (images, labels) = (set("images", IMAGES), set("labels", LABELS));
    place.run(["x.toml", "--set", &images, "--set", &labels]).exits(0);
    let runs = place.table("mnist/runs");
    assert_eq!(texts(&runs, "status"), ["done"]);
    let one = |column: &str| numbers(&runs, column)[0].unwrap();
    assert_eq!(one("test_l0"), 10.0, "identity codes are never exactly 0");
    assert_eq!(one("l0_threshold"), 0.0);
    let (mse, explained) = (one("test_mse"), one("test_explained_variance"));
    assert!(mse > 0.005 && mse < 0.05, "{mse}");
    assert!(explained > 0.3 && explained < 1.0, "{explained}");
    assert!(one("train_loss") < 784.0 * 0.2);
    assert!((0.0..0.9).contains(&one("test_dead_fraction")));
}
