//! What the unit tests of several plugins need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use framework::diagnostics::Source;
use framework::plugin::{Data, Dataset, Plugin, Split, Unfit};
use framework::spec::{Settings, parse};

/// Settings as the text of a TOML file in the folder `base` gives them.
pub fn settings_in(base: &Path, text: &str) -> Settings {
    let source = Source { name: "test.toml".into(), base: base.to_owned(), text: text.into() };
    Settings::new("test", parse(&Arc::new(source)).unwrap())
}

/// Settings of a text that names no file.
pub fn settings(text: &str) -> Settings {
    settings_in(&PathBuf::new(), text)
}

/// The data of settings that build.
pub fn open(plugin: &Plugin<dyn Dataset>, text: &str) -> Result<Box<dyn Data>, Unfit> {
    open_in(plugin, &PathBuf::new(), text)
}

/// The data of settings that build, whose files are in `base`.
pub fn open_in(
    plugin: &Plugin<dyn Dataset>,
    base: &Path,
    text: &str,
) -> Result<Box<dyn Data>, Unfit> {
    let settings = settings_in(base, text);
    (plugin.build)(&settings).unwrap().open(&settings)
}

/// Samples of a part, [rows, inputs].
pub fn rows(data: &dyn Data, split: Split, rows: &[usize]) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows.len() * data.shape().inputs()];
    data.gather(split, rows, &mut out).unwrap();
    out
}
