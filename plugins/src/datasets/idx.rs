//! IDX files: what MNIST, Fashion-MNIST and their kin come in, gzipped or plain. Unsigned bytes,
//! divided by 255; three dimensions are grey images, four are images × channels × rows × columns,
//! two are vectors. The bytes stay bytes, and all workers of a machine have them in memory once: what
//! happens to the files later changes nothing for the runs that have begun.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, DATASETS, Data, Dataset, Decides, Meant, Plugin, SampleShape, Split, Unfit,
};
use framework::shared::{Bytes, Shared};
use framework::spec::{Settings, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::idx::{Array, read};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Idx {
    /// The folder that the file names below start from; without it, the experiment file's.
    folder: Option<String>,
    /// The file of the samples: unsigned bytes, gzipped or plain.
    images: String,
    /// The file of their classes, one unsigned byte a sample.
    labels: Option<String>,
    /// The first so many rows of `images` train. Without `test_images`: all that do not test;
    /// with it: all.
    train: Option<NonZeroUsize>,
    /// The last so many rows test, of `test_images` where it is given, else of `images`. Without
    /// `test_images`: all that do not train; with it: all.
    test: Option<NonZeroUsize>,
    /// The file of the test samples, where they have one of their own.
    test_images: Option<String>,
    /// The file of the test samples' classes.
    test_labels: Option<String>,
}

#[distributed_slice(DATASETS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Dataset> = Plugin {
    name: "idx",
    about: "images or vectors of bytes in IDX files, as MNIST and Fashion-MNIST come",
    example: "images = \"train-images-idx3-ubyte.gz\"\ntrain = 8000\ntest = 2000",
    build: |settings| Ok(Box::new(settings.read::<Idx>()?)),
    schema: schema_of::<Idx>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["mnist", "fashion-mnist", "kmnist", "emnist", "ubyte"],
    meant: Meant::Plugin { kind: "dataset", name: "idx" },
    about: "MNIST and its kin are read from their IDX files, gzipped or not, which are put beside the experiment first: the dataset `idx`",
    lines: "[dataset]\n\
            kind = \"idx\"\n\
            folder = \"mnist\"\n\
            images = \"train-images-idx3-ubyte.gz\"\n\
            labels = \"train-labels-idx1-ubyte.gz\"\n\
            test_images = \"t10k-images-idx3-ubyte.gz\"\n\
            test_labels = \"t10k-labels-idx1-ubyte.gz\"",
};

/// Samples and their classes.
struct IdxPart {
    /// [rows, inputs].
    bytes: Bytes,
    /// [rows].
    labels: Option<Vec<u32>>,
}

impl IdxPart {
    /// Some of the rows.
    fn part(&self, rows: Range<usize>, inputs: usize) -> Self {
        Self {
            bytes: self.bytes.part(rows.start * inputs..rows.end * inputs),
            labels: self.labels.as_ref().map(|labels| labels[rows].to_vec()),
        }
    }

    fn rows(&self, inputs: usize) -> usize {
        self.bytes.len() / inputs
    }
}

struct IdxData {
    shape: SampleShape,
    train: IdxPart,
    test: IdxPart,
    class_names: Vec<String>,
}

impl Dataset for Idx {
    fn open(&self, settings: &Settings, shared: &Shared) -> Result<Box<dyn Data>, Unfit> {
        self.check_labels()?;
        let open_part = |images_key, images: &str, labels_key, labels: Option<&str>| {
            self.open_part(settings, shared, (images_key, images), (labels_key, labels))
        };
        let (shape, all) = open_part("images", &self.images, "labels", self.labels.as_deref())?;
        let inputs = shape.inputs();
        let rows = all.rows(inputs);
        let mut classes = classes(&all);
        let (train, test) = match &self.test_images {
            Some(images) => {
                let labels = self.test_labels.as_deref();
                let (other, all_test) = open_part("test_images", images, "test_labels", labels)?;
                if other != shape {
                    let message = format!(
                        "its samples are {}, those of `images` are {}",
                        describe(&other),
                        describe(&shape)
                    );
                    return Err(Unfit::new("test_images", message));
                }
                classes = classes.max(self::classes(&all_test));
                let test_rows = all_test.rows(inputs);
                let n_train = at_most("train", self.train, "`images`", rows)?;
                let n_test = at_most("test", self.test, "`test_images`", test_rows)?;
                let test = all_test.part(test_rows - n_test..test_rows, inputs);
                (all.part(0..n_train, inputs), test)
            }
            None => {
                let (n_train, n_test) = self.cut(rows)?;
                (all.part(0..n_train, inputs), all.part(rows - n_test..rows, inputs))
            }
        };
        let class_names = (0..classes).map(|class| class.to_string()).collect();
        Ok(Box::new(IdxData { shape, train, test, class_names }))
    }

    fn input(&self) -> &'static str {
        "pixel"
    }

    fn decides(&self, key: &str, is_given: &dyn Fn(&str) -> bool) -> Decides {
        match key {
            "folder" => Decides::Place,
            "labels" | "test_labels" => Decides::Labels,
            // Else what does not train tests.
            "train" if is_given("test") || is_given("test_images") => Decides::Training,
            _ => Decides::Test,
        }
    }

    fn places(&self) -> &'static [&'static str] {
        &["folder", "images", "labels", "test_images", "test_labels"]
    }

    fn files(&self, settings: &Settings) -> Vec<(&'static str, PathBuf)> {
        [
            ("images", Some(&self.images)),
            ("labels", self.labels.as_ref()),
            ("test_images", self.test_images.as_ref()),
            ("test_labels", self.test_labels.as_ref()),
        ]
        .into_iter()
        .filter_map(|(key, written)| Some((key, self.path(settings, key, written?))))
        .collect()
    }
}

impl Idx {
    /// Both parts have labels, or neither has.
    fn check_labels(&self) -> Result<(), Unfit> {
        match (&self.test_images, &self.labels, &self.test_labels) {
            (None, _, Some(_)) => Err(Unfit::new(
                "test_labels",
                "there is no `test_images`; the labels of both parts of one file are `labels`",
            )),
            (Some(_), Some(_), None) => Err(Unfit::new(
                "labels",
                "the test samples have no labels; give `test_labels` too, or neither",
            )),
            (Some(_), None, Some(_)) => Err(Unfit::new(
                "test_labels",
                "the training samples have no labels; give `labels` too, or neither",
            )),
            _ => Ok(()),
        }
    }

    /// Where a file is.
    fn path(&self, settings: &Settings, key: &str, name: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => settings.path("folder", folder).join(name),
            None => settings.path(key, name),
        }
    }

    /// Reads a file of samples and, where there is one, the file of their labels; both come with
    /// the settings that name them.
    fn open_part(
        &self,
        settings: &Settings,
        shared: &Shared,
        (images_key, images): (&'static str, &str),
        (labels_key, labels): (&'static str, Option<&str>),
    ) -> Result<(SampleShape, IdxPart), Unfit> {
        let path = self.path(settings, images_key, images);
        let Array { sizes, bytes } =
            read(&path, 2..=4, shared).map_err(|problem| Unfit::new(images_key, problem))?;
        let shape = match sizes[1..] {
            [height, width] => SampleShape::Image { channels: 1, height, width },
            [channels, height, width] => SampleShape::Image { channels, height, width },
            _ => SampleShape::Vector(sizes[1]),
        };
        let labels = match labels {
            Some(labels) => {
                let labels_path = self.path(settings, labels_key, labels);
                let labels = read(&labels_path, 1..=1, shared)
                    .map_err(|problem| Unfit::new(labels_key, problem))?;
                if labels.bytes.len() != sizes[0] {
                    let message = format!(
                        "`{}` holds {} labels, expected one for each of the {} samples of `{}`",
                        labels_path.display(),
                        labels.bytes.len(),
                        sizes[0],
                        path.display()
                    );
                    return Err(Unfit::new(labels_key, message));
                }
                Some(labels.bytes.iter().map(|label| u32::from(*label)).collect())
            }
            None => None,
        };
        Ok((shape, IdxPart { bytes, labels }))
    }

    /// How many of the rows of one file train, and how many test.
    fn cut(&self, rows: usize) -> Result<(usize, usize), Unfit> {
        let rest = |key, n: NonZeroUsize| {
            at_most(key, Some(n), "`images`", rows)?;
            let none = format!("all {rows} rows of `images` are taken; none is left for the rest");
            if n.get() == rows { Err(Unfit::new(key, none)) } else { Ok(rows - n.get()) }
        };
        match (self.train, self.test) {
            (Some(train), Some(test)) => {
                at_most("train", Some(train), "`images`", rows)?;
                at_most("test", Some(test), "`images`", rows)?;
                if train.get() > rows - test.get() {
                    let message = format!(
                        "the first {train} rows train and the last {test} test, which overlap: \
                         `images` has {rows}"
                    );
                    return Err(Unfit::new("test", message));
                }
                Ok((train.get(), test.get()))
            }
            (Some(train), None) => Ok((train.get(), rest("train", train)?)),
            (None, Some(test)) => Ok((rest("test", test)?, test.get())),
            (None, None) => {
                let message = format!(
                    "it has {rows} rows, and nothing says which of them test: give `train` and \
                     `test`, numbers of rows, or `test_images`"
                );
                Err(Unfit::new("images", message))
            }
        }
    }
}

/// A number of rows, all of them unless given.
fn at_most(
    key: &'static str,
    wanted: Option<NonZeroUsize>,
    file: &str,
    rows: usize,
) -> Result<usize, Unfit> {
    let wanted = wanted.map_or(rows, NonZeroUsize::get);
    let message = || format!("expected at most the {rows} rows of {file}, got {wanted}");
    if wanted <= rows { Ok(wanted) } else { Err(Unfit::new(key, message())) }
}

/// How many classes the labels of a whole file count up to; 0 without labels.
fn classes(part: &IdxPart) -> u32 {
    part.labels.iter().flatten().max().map_or(0, |last| last + 1)
}

fn describe(shape: &SampleShape) -> String {
    match shape {
        SampleShape::Vector(inputs) => format!("vectors of {inputs}"),
        SampleShape::Image { channels, height, width } => {
            format!("images of {channels} x {height} x {width}")
        }
    }
}

impl IdxData {
    fn part(&self, split: Split) -> &IdxPart {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Data for IdxData {
    fn shape(&self) -> SampleShape {
        self.shape
    }

    fn rows(&self, split: Split) -> usize {
        self.part(split).rows(self.shape.inputs())
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        let (part, inputs) = (self.part(split), self.shape.inputs());
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(inputs)) {
            let bytes = &part.bytes[row * inputs..][..inputs];
            out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = f32::from(*byte) / 255.0);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        (self.train.bytes.len() + self.test.bytes.len()) as u64
    }

    fn range(&self) -> Option<(f32, f32)> {
        Some((0.0, 1.0))
    }

    fn labels(&self, split: Split) -> Option<&[u32]> {
        self.part(split).labels.as_deref()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::support::idx::tests::{encode, gzip};
    use crate::support::testing::{open_in, rows};

    /// A folder with six images of 1 x 2 pixels, whose values count up, and files that go with them.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let pixels: Vec<u8> = (0..12).collect();
        write("six", &encode(&[6, 1, 2], &pixels));
        write("six.gz", &gzip(&encode(&[6, 1, 2], &pixels)));
        write("labels", &encode(&[6], &[0, 1, 4, 0, 1, 2]));
        write("two", &encode(&[2, 1, 2], &[255; 4]));
        write("two-labels.gz", &gzip(&encode(&[2], &[5, 0])));
        write("colour", &encode(&[2, 3, 1, 2], &pixels));
        write("vectors", &encode(&[3, 4], &pixels));
        write("short", &encode(&[6, 1, 2], &pixels)[..20]);
        folder
    }

    fn opened(text: &str) -> Result<Box<dyn Data>, Unfit> {
        open_in(&PLUGIN, folder().path(), text)
    }

    fn refused(text: &str) -> (&'static str, String) {
        let unfit = opened(text).err().unwrap();
        (unfit.key, unfit.message)
    }

    #[test]
    fn the_first_rows_train_and_the_last_rows_test_gzipped_or_plain() {
        for file in ["six", "six.gz"] {
            let text = format!("images = \"{file}\"\nlabels = \"labels\"\ntrain = 3\ntest = 2");
            let data = opened(&text).unwrap();
            assert_eq!(data.shape(), SampleShape::Image { channels: 1, height: 1, width: 2 });
            assert_eq!((data.rows(Split::Train), data.rows(Split::Test)), (3, 2));
            let train = [2, 0].map(|row| [row as f32 * 2.0, row as f32 * 2.0 + 1.0]);
            assert_eq!(rows(&*data, Split::Train, &[2, 0]), train.concat().scaled());
            assert_eq!(rows(&*data, Split::Test, &[0, 1]), [8.0, 9.0, 10.0, 11.0].scaled());
            assert_eq!(data.labels(Split::Train).unwrap(), [0, 1, 4]);
            assert_eq!(data.labels(Split::Test).unwrap(), [1, 2]);
            assert_eq!(data.class_names(), ["0", "1", "2", "3", "4"]);
        }
    }

    trait Scaled {
        fn scaled(&self) -> Vec<f32>;
    }

    impl<T: AsRef<[f32]>> Scaled for T {
        fn scaled(&self) -> Vec<f32> {
            self.as_ref().iter().map(|value| value / 255.0).collect()
        }
    }

    #[test]
    fn where_one_part_of_a_file_is_given_the_rest_is_the_other() {
        let sizes = |text: &str| {
            let data = opened(&format!("images = \"six\"\n{text}")).unwrap();
            assert!(data.labels(Split::Train).is_none() && data.class_names().is_empty());
            (data.rows(Split::Train), data.rows(Split::Test))
        };
        assert_eq!(sizes("train = 5"), (5, 1));
        assert_eq!(sizes("test = 2"), (4, 2));
        assert_eq!(sizes("train = 4\ntest = 2"), (4, 2));
    }

    #[test]
    fn separate_files_are_taken_whole_or_cut() {
        let files = "images = \"six\"\ntest_images = \"two\"\nlabels = \"labels\"\n\
                     test_labels = \"two-labels.gz\"\n";
        let data = opened(files).unwrap();
        assert_eq!((data.rows(Split::Train), data.rows(Split::Test)), (6, 2));
        assert_eq!(rows(&*data, Split::Test, &[1]), [1.0, 1.0]);
        assert_eq!(data.class_names().len(), 6, "5 is a label of the test file only");
        let data = opened(&format!("{files}train = 2\ntest = 1")).unwrap();
        assert_eq!((data.rows(Split::Train), data.rows(Split::Test)), (2, 1));
        assert_eq!(data.labels(Split::Train).unwrap(), [0, 1]);
        assert_eq!(data.labels(Split::Test).unwrap(), [0]);
    }

    #[test]
    fn four_dimensions_are_colour_images_and_two_are_vectors() {
        let shape = |file| opened(&format!("images = \"{file}\"\ntrain = 1")).unwrap().shape();
        assert_eq!(shape("colour"), SampleShape::Image { channels: 3, height: 1, width: 2 });
        assert_eq!(shape("vectors"), SampleShape::Vector(4));
    }

    #[test]
    fn parts_that_do_not_fit_the_file_are_refused_at_their_setting() {
        let refused = |text: &str| refused(&format!("images = \"six\"\n{text}"));
        let (key, message) = refused("train = 4\ntest = 3");
        assert!(key == "test" && message.contains("overlap: `images` has 6"), "{message}");
        let (key, message) = refused("train = 7\ntest = 1");
        assert!(key == "train" && message.contains("the 6 rows of `images`, got 7"), "{message}");
        let (key, message) = refused("test = 6");
        assert!(key == "test" && message.contains("none is left"), "{message}");
        let (key, message) = refused("");
        assert!(key == "images" && message.contains("give `train` and `test`"), "{message}");
        let (key, message) = refused("test_images = \"two\"\ntest = 3");
        assert!(key == "test" && message.contains("the 2 rows of `test_images`"), "{message}");
    }

    #[test]
    fn files_that_do_not_fit_each_other_are_refused_at_their_setting() {
        let (key, message) = refused("images = \"two\"\nlabels = \"labels\"\ntrain = 1");
        assert!(key == "labels" && message.contains("6 labels, expected one for each of the 2"));
        let (key, message) = refused("images = \"six\"\ntest_images = \"vectors\"");
        assert!(key == "test_images" && message.contains("vectors of 4, those of `images` are"));
        let (key, message) = refused("images = \"six\"\nlabels = \"two\"\ntrain = 1");
        assert!(key == "labels" && message.contains("has 3 dimensions, expected 1"), "{message}");
        assert_eq!(refused("images = \"labels\"\ntrain = 1").0, "images");
    }

    /// Wrong if errors on other test samples passed for errors on the same ones.
    #[test]
    fn the_number_of_training_rows_decides_what_tests_where_nothing_else_does() {
        let built = PLUGIN.example(std::path::Path::new("")).unwrap();
        let decides = |key, given: &[&str]| built.plugin.decides(key, &|key| given.contains(&key));
        assert_eq!(decides("train", &["train"]), Decides::Test);
        assert_eq!(decides("train", &["train", "test"]), Decides::Training);
        assert_eq!(decides("train", &["train", "test_images"]), Decides::Training);
        assert_eq!(decides("test", &["train", "test"]), Decides::Test);
        assert_eq!(decides("images", &["test_images"]), Decides::Test);
        assert_eq!(decides("test_labels", &[]), Decides::Labels);
    }

    #[test]
    fn labels_are_for_both_parts_or_for_neither() {
        let separate = "images = \"six\"\ntest_images = \"two\"\n";
        assert_eq!(refused(&format!("{separate}labels = \"labels\"")).0, "labels");
        assert_eq!(refused(&format!("{separate}test_labels = \"two-labels.gz\"")).0, "test_labels");
        let one = "images = \"six\"\ntrain = 4\ntest_labels = \"labels\"";
        assert_eq!(refused(one).0, "test_labels");
    }

    #[test]
    fn a_broken_file_is_refused_at_the_setting_that_names_it() {
        let (key, message) = refused("images = \"short\"\ntrain = 1");
        assert!(key == "images" && message.contains("short` is cut short"), "{message}");
        let (key, message) = refused("images = \"six\"\ntest_images = \"gone\"");
        assert!(key == "test_images" && message.contains("gone` cannot be opened"), "{message}");
        let (key, message) = refused("images = \"six\"\nlabels = \"short\"\ntrain = 1");
        assert!(key == "labels" && message.contains("expected 1"), "{message}");
    }

    #[test]
    fn parts_of_no_rows_are_refused_as_they_are_read() {
        let settings = crate::support::testing::settings("images = \"six\"\ntrain = 0");
        let problems = (PLUGIN.build)(&settings).err().unwrap();
        assert!(problems[0].message.contains("a whole number of at least 1, got 0"));
    }
}
