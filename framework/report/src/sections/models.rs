//! Models: the dictionary, or the inputs that latents prefer, kernels and reconstructions of one model of each
//! setting; the codes of one model of each method, and what is decoded from codes.

use std::collections::HashSet;
use std::sync::Arc;

use analysis::{Comparison, Group, Setting};
use framework::evaluate::InputBall;
use framework::model::Step;
use framework::plugin::{Data, L0Rule, SampleShape, Split};
use framework::train::{Model, Noise};
use store::read_model;

use super::atoms::{ACROSS, ATOMS, LatentTiles, PREFERRED, TileContent};
use super::codes::scatter;
use super::decoded::{decoded_grid, walks};
use super::kernels::kernels;
use super::standing::{Standing, left_out, standing};
use super::{ExperimentView, picture_name};
use crate::figures::axis::PlotAxis;
use crate::figures::picture::{Colors, Tile};
use crate::subject::{FolderGrid, name, numbers};
use crate::{Block, Drawing, Figure, PageSection, Picture, Plot, Series};

/// Number of samples shown with their reconstructions.
const SAMPLES: usize = 16;

/// Maximum number of codes in a scatter plot.
const CODES: usize = 500;
/// Maximum number of values in all codes of a scatter plot together.
const NUMBERS: usize = 4_000_000;

/// Maximum number of values in the tiles of all dictionaries together: a value takes about a byte of the page.
const VALUES: usize = 2_500_000;

/// Content of the sections, collected over the models.
#[derive(Default)]
struct Shown {
    /// Number of models whose dictionaries share the page.
    sheets: usize,
    /// Names of the files of pictures.
    names: HashSet<String>,
    /// Number of models whose latents the page has no room for.
    hidden: usize,
    atoms: Vec<Picture>,
    preferred: Vec<Picture>,
    kernels: Vec<Picture>,
    reconstructions: Vec<Picture>,
    codes: Vec<Figure>,
    decoded: Vec<Picture>,
    recovered: Vec<Series>,
}

/// Returns the sections about models.
pub fn sections(subject: &ExperimentView<'_>) -> Vec<PageSection> {
    let mut grids = subject.grids("models are not shown");
    let all = standing(subject);
    let mut shown = Shown { sheets: all.len(), ..Shown::default() };
    for one in &all {
        let grid = &mut grids[subject.place(one.row)];
        if let Err(what) = look(subject, one, grid, &mut shown) {
            subject.warn::<()>(format!(
                "the model of {} is not shown: {what}",
                subject.runs.text(one.row, "run_id")
            ));
        }
    }
    let Shown {
        hidden, atoms, preferred, kernels, reconstructions, codes, decoded, recovered, ..
    } = shown;
    let section = |id, title: &str, blocks| PageSection { id, title: title.to_owned(), blocks };
    let left_out = left_out(subject, &all);
    let pictures = |of: Vec<Picture>| {
        let words = left_out.clone().filter(|_| !of.is_empty()).map(Block::Words);
        let pictures = (!of.is_empty()).then_some(Block::Pictures(of));
        pictures.into_iter().chain(words).collect::<Vec<Block>>()
    };
    let (mut dictionaries, mut preferred) = (pictures(atoms), pictures(preferred));
    if hidden > 0 {
        let section = if preferred.is_empty() { &mut dictionaries } else { &mut preferred };
        section.push(Block::Words(format!(
            "The latents of {hidden} more models would make the page too large to open; `saegrid features RESULTS \
             SETTING --pictures FOLDER` draws them."
        )));
    }
    if !preferred.is_empty() {
        preferred.insert(0, Block::Words(PREFERRED.into()));
    }
    let codes = if codes.is_empty() { Vec::new() } else { vec![Block::Figures(codes)] };
    let decoded = if decoded.is_empty() { Vec::new() } else { vec![Block::Pictures(decoded)] };
    vec![
        section("recovery", "Recovered features", recovery(recovered)),
        section("dictionary", "Dictionaries", dictionaries),
        section("preferred", "Inputs that latents prefer", preferred),
        section("kernels", "Kernels", pictures(kernels)),
        section("reconstructions", "Reconstructions", pictures(reconstructions)),
        section("codes", "Codes", codes),
        section("decoded", "Samples from codes", decoded),
    ]
}

/// Chooses the run that stands for a method: the best seed of the setting on its front that is nearest to
/// the middle L0 of the comparison, or the best setting if the comparison is not at L0. If there is no front,
/// chooses among all settings.
pub(super) fn chosen<'g>(
    comparison: &Comparison,
    group: &'g Group,
) -> Option<(&'g Setting, usize)> {
    let cost = |value: f64| comparison.better.map_or(0.0, |better| better.cost(value));
    let at = &comparison.at;
    let has_front = group.settings.iter().any(|one| one.is_on_front);
    let front: Vec<&Setting> =
        group.settings.iter().filter(|one| one.is_on_front || !has_front).collect();
    let middle =
        at.get(at.len() / 2).copied().or_else(|| Some(front.get(front.len() / 2)?.place.mean))?;
    let distance = |one: &Setting| (one.place.mean.max(1e-9) / middle.max(1e-9)).ln().abs();
    let off = |one: &Setting| match comparison.budgets {
        None => distance(one),
        Some(_) => cost(one.value.mean),
    };
    let setting = front.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)))?;
    Some((setting, best_seed(comparison, setting)?))
}

/// Returns the run of a setting with the best value; the first of equal ones.
pub(super) fn best_seed(comparison: &Comparison, setting: &Setting) -> Option<usize> {
    let cost = |value: f64| comparison.better.map_or(0.0, |better| better.cost(value));
    let outcomes = setting.rows.iter().zip(&setting.outcomes);
    let best = outcomes.min_by(|a, b| cost(a.1.value).total_cmp(&cost(b.1.value)))?;
    Some(*best.0)
}

/// Returns the name of a method with its setting.
pub(super) fn full_name(group: &Group, setting: &Setting) -> String {
    let words = name(group, setting);
    if words == group.title() { words } else { format!("{} {words}", group.title()) }
}

impl Shown {
    /// Returns the name, not taken yet, of the file of a picture.
    fn free_name(&mut self, parts: &[&str]) -> String {
        let name = picture_name(parts);
        let more = (2..).map(|nth| format!("{name}-{nth}"));
        let name = std::iter::once(name.clone()).chain(more).find(|one| !self.names.contains(one));
        let name = name.unwrap_or_default();
        self.names.insert(name.clone());
        name
    }

    /// Returns the number of tiles of latents, of so many inputs, that a model has room for.
    fn room(&self, inputs: usize, is_of_method: bool) -> usize {
        let room = VALUES / self.sheets.max(1) / inputs.max(1) / ACROSS * ACROSS;
        room.clamp(if is_of_method { ACROSS } else { 0 }, ATOMS)
    }
}

/// Adds what one model shows to the sections.
fn look(
    subject: &ExperimentView<'_>,
    one: &Standing<'_>,
    FolderGrid { runs, opened }: &mut FolderGrid,
    shown: &mut Shown,
) -> Result<(), String> {
    let Standing { group, setting, row, is_of_method } = *one;
    let id = subject.runs.text(row, "run_id");
    let Some(run) = runs.iter().find(|run| run.id.0 == id) else {
        return Err("the experiment file does not contain it any more".to_owned());
    };
    let data = opened.get(&run.dataset).map_err(|problem| problem.to_string())?;
    if !is_of_method && !matches!(data.shape(), SampleShape::Image { .. }) {
        return Ok(()); // There is nothing to draw.
    }
    // A file that cannot be read has already caused a warning.
    let Some(manifest) = subject.manifest(row) else { return Ok(()) };
    let Some(bytes) = subject.file(row, &manifest, "model.safetensors") else { return Ok(()) };
    let run = manifest.as_trained(run)?;
    let model = read_model(&run, data.shape(), &bytes)?;
    let l0 = subject.runs.number(row, "test_l0").unwrap_or_default();
    let words = full_name(group, setting);
    let seed = subject.runs.seed(row);
    let of = format!("{words}, seed {seed}, L0 {l0:.1}");
    let title = format!("{words}: run {}, seed {seed}", run.id);
    let latents = subject.table(row, "latents.parquet").unwrap_or_default();
    let mut atoms = model.dictionary();
    if let Some(atoms) = &mut atoms {
        model.normalizer.undo_direction(atoms);
    }
    let named = |name: String, picture: Picture| Picture { name, title: title.clone(), ..picture };
    if let SampleShape::Image { channels, height, width } = data.shape() {
        let (inputs, sides) = (data.shape().inputs(), (channels, height, width));
        let most = shown.room(inputs, is_of_method);
        if most == 0 {
            shown.hidden += 1;
        } else {
            let ball = match atoms {
                Some(_) => None,
                None => Some(InputBall::of(&*data, &model.normalizer)?),
            };
            let row = |atoms: &[f32], at: usize| atoms[at * inputs..][..inputs].to_vec();
            let values = |latents: &[usize]| match (&atoms, &ball) {
                (Some(atoms), _) => latents.iter().flat_map(|at| row(atoms, *at)).collect(),
                (None, Some(ball)) => ball.preferred(&model, latents),
                (None, None) => Vec::new(),
            };
            let is_atoms = atoms.is_some();
            let tiles = LatentTiles {
                content: if is_atoms { TileContent::Atoms } else { TileContent::PreferredInputs },
                values: &values,
                latents: model.latents(),
                firing: numbers(&latents, "firing_rate"),
                groups: numbers(&latents, "group"),
                sides,
                most,
            };
            let name = shown.free_name(&[if is_atoms { "atoms" } else { "preferred" }, &words]);
            let pictures = if is_atoms { &mut shown.atoms } else { &mut shown.preferred };
            pictures.push(named(name, tiles.picture(&of)));
        }
        if let Some(picture) = kernels(&model, sides, &of) {
            let name = shown.free_name(&["kernels", &words]);
            shown.kernels.push(named(name, picture));
        }
    }
    if let (true, Some(atoms), Some(truth)) = (is_of_method, &atoms, data.truth()) {
        shown.recovered.push(recovered(&words, atoms, &truth.features, data.shape().inputs()));
    }
    let passed = pass(&model, &data, if is_of_method { CODES } else { SAMPLES })?;
    if let SampleShape::Image { channels, height, width } = data.shape() {
        let sides = (channels, height, width);
        let tiles = SampleTiles::new(&passed, data.range(), sides);
        let caption = format!("Test samples above, their reconstructions by {of} below.");
        let mut picture = tiles.picture(caption, &[&passed.x, &passed.x_hat]);
        if group.l0_rule != L0Rule::Nonzero {
            picture.caption.push_str(" All of the code takes part, also what L0 does not count.");
        }
        let name = shown.free_name(&["reconstructions", &words]);
        shown.reconstructions.push(named(name, picture));
        if let Some(noise) = Noise::of(&run, &*data, &model.normalizer)? {
            let (noisy, x_hat) = corrupted(&model, &data, &noise, &passed)?;
            let caption = format!(
                "Test samples with the noise of training (`{}`) above, their reconstructions by {of} in the \
                 middle, the clean samples below.",
                run.corruption.value.kind
            );
            let picture = tiles.picture(caption, &[&noisy, &x_hat, &passed.x]);
            let name = shown.free_name(&["reconstructions-noise", &words]);
            shown.reconstructions.push(named(name, picture));
        }
        if is_of_method {
            let labels = data.labels(Split::Test);
            let found = [
                ("plane", decoded_grid(&model, &passed, &tiles, &of)),
                ("walks", walks(&model, &passed, &tiles, labels, &of)),
            ];
            for (kind, picture) in found {
                let Some(picture) = picture else { continue };
                let name = shown.free_name(&[kind, &words]);
                shown.decoded.push(named(name, picture));
            }
        }
    }
    if is_of_method {
        shown.codes.extend(scatter(group, &of, &passed, &*data));
    }
    Ok(())
}

/// Test samples with their reconstructions and codes by a model.
pub(super) struct ModelSample {
    /// Rows of the test part.
    pub rows: Vec<usize>,
    pub inputs: usize,
    /// [samples, inputs]
    pub x: Vec<f32>,
    pub x_hat: Vec<f32>,
    pub codes: Vec<Vec<f32>>,
}

/// Returns at most `count` rows of `all`, from everywhere: some data is sorted by class. Those of the tiles come
/// first, and are the same whatever `count` is, so that pictures of models can be compared.
fn sample_rows(count: usize, all: usize) -> Vec<usize> {
    let mut rows = evenly(SAMPLES.min(all), all);
    rows.extend(evenly(count, all));
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(*row));
    rows.truncate(count);
    rows
}

/// Returns so many of the first `all` numbers, evenly chosen.
fn evenly(count: usize, all: usize) -> Vec<usize> {
    (0..count).map(|at| at * all / count).collect()
}

/// Runs a model on some test samples, at most `most`.
fn pass(model: &Model<'_>, data: &Arc<dyn Data>, most: usize) -> Result<ModelSample, String> {
    let (all, inputs) = (data.rows(Split::Test), data.shape().inputs());
    let latents = model.latents();
    let count = all.min(most).min((NUMBERS / latents.max(1)).max(SAMPLES));
    let rows = sample_rows(count, all);
    let count = rows.len();
    let mut x = vec![0.0; count * inputs];
    data.gather(Split::Test, &rows, &mut x)?;
    let mut seen = x.clone();
    if !model.normalizer.is_none() {
        model.normalizer.apply(&mut seen);
    }
    let (codes, mut x_hat) = if model.definition.penalty.sees_batches() {
        pass_batches(model, data, &rows, |_, _| {})?
    } else {
        let labels: Option<Vec<u32>> =
            data.labels(Split::Test).map(|labels| rows.iter().map(|row| labels[*row]).collect());
        let step = Step { labels: labels.as_deref(), ..Step::EVALUATE };
        let forward = model.forward(&seen, step);
        let codes = forward.code.view().to_dense();
        (codes.chunks(latents.max(1)).map(<[f32]>::to_vec).collect(), forward.x_hat)
    };
    model.normalizer.undo(&mut x_hat);
    Ok(ModelSample { rows, inputs, x, x_hat, codes })
}

/// Returns the codes and the reconstructions of some test rows in the model's units, each passed in the batch of the
/// test part that it is in. `change` is shown each sample as the model sees it, and its row.
fn pass_batches(
    model: &Model<'_>,
    data: &Arc<dyn Data>,
    rows: &[usize],
    change: impl Fn(&mut [f32], usize),
) -> Result<(Vec<Vec<f32>>, Vec<f32>), String> {
    let (all, inputs, latents) =
        (data.rows(Split::Test), data.shape().inputs(), model.latents().max(1));
    let batch = model.definition.evaluation_batch(all).max(1);
    let (mut codes, mut x_hat) = (Vec::new(), Vec::new());
    for of_batch in rows.chunk_by(|one, other| one / batch == other / batch) {
        let first = of_batch[0] / batch * batch;
        let whole: Vec<usize> = (first..all.min(first + batch)).collect();
        let mut x = vec![0.0; whole.len() * inputs];
        data.gather(Split::Test, &whole, &mut x)?;
        model.normalizer.apply(&mut x);
        x.chunks_mut(inputs).zip(&whole).for_each(|(sample, row)| change(sample, *row));
        let forward = model.forward(&x, Step::EVALUATE);
        let code = forward.code.view().to_dense();
        for at in of_batch.iter().map(|row| row - first) {
            codes.push(code[at * latents..(at + 1) * latents].to_vec());
            x_hat.extend_from_slice(&forward.x_hat[at * inputs..(at + 1) * inputs]);
        }
    }
    Ok((codes, x_hat))
}

/// Returns the test samples with the noise that `test_mse_corrupted` is of, and what the model makes of them, in the
/// units of the data.
fn corrupted(
    model: &Model<'_>,
    data: &Arc<dyn Data>,
    noise: &Noise<'_>,
    passed: &ModelSample,
) -> Result<(Vec<f32>, Vec<f32>), String> {
    let mut noisy = passed.x.clone();
    model.normalizer.apply(&mut noisy);
    for (sample, row) in noisy.chunks_mut(passed.inputs).zip(&passed.rows) {
        noise.put_on_test(sample, *row);
    }
    let mut x_hat = if model.definition.penalty.sees_batches() {
        pass_batches(model, data, &passed.rows, |sample, row| noise.put_on_test(sample, row))?.1
    } else {
        model.forward(&noisy, Step::EVALUATE).x_hat
    };
    model.normalizer.undo(&mut noisy);
    model.normalizer.undo(&mut x_hat);
    Ok((noisy, x_hat))
}

/// Some test samples as tiles.
pub(super) struct SampleTiles {
    /// Places of the samples among those that were passed.
    places: Vec<usize>,
    inputs: usize,
    colors: Colors,
    /// Channels, height and width.
    sides: (usize, usize, usize),
}

impl SampleTiles {
    /// Takes the first samples that were passed; `range` is that of the data.
    fn new(passed: &ModelSample, range: Option<(f32, f32)>, sides: (usize, usize, usize)) -> Self {
        let count = passed.rows.len().min(SAMPLES);
        let places = (0..count).collect();
        let (low, high) = range.unwrap_or_else(|| {
            let ends = (f32::INFINITY, f32::NEG_INFINITY);
            passed.x.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)))
        });
        Self { places, inputs: passed.inputs, colors: Colors::Between(low, high), sides }
    }

    /// Draws a row of tiles for each version of the samples.
    fn picture(&self, caption: String, versions: &[&[f32]]) -> Picture {
        let row = |of: &&[f32]| {
            let tile = |at: &usize| self.tile(&of[at * self.inputs..][..self.inputs]);
            self.places.iter().map(tile).collect()
        };
        self.picture_of(caption, versions.iter().map(row).collect())
    }

    /// Makes a tile of the numbers of a sample, in the colours of the others.
    pub fn tile(&self, sample: &[f32]) -> Tile {
        Tile::new(sample.to_vec(), self.colors)
    }

    /// Makes a picture of tiles of samples.
    pub fn picture_of(&self, caption: String, rows: Vec<Vec<Tile>>) -> Picture {
        let (channels, height, width) = self.sides;
        let (name, title) = (String::new(), String::new());
        Picture { name, title, caption, channels, height, width, rows, block: None }
    }
}

/// Returns the best cosine of each true feature with any decoder row, greatest first.
fn recovered(name: &str, atoms: &[f32], features: &[f32], inputs: usize) -> Series {
    let unit = |row: &[f32]| {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter().map(|x| if norm > 0.0 { x / norm } else { 0.0 }).collect::<Vec<f32>>()
    };
    let atoms: Vec<Vec<f32>> = atoms.chunks(inputs).map(unit).collect();
    let best = |feature: &[f32]| {
        let feature = unit(feature);
        let cosine = |atom: &Vec<f32>| atom.iter().zip(&feature).map(|(a, b)| a * b).sum::<f32>();
        f64::from(atoms.iter().map(cosine).fold(-1.0, f32::max))
    };
    let mut cosines: Vec<f64> = features.chunks(inputs).map(best).collect();
    cosines.sort_by(|a, b| b.total_cmp(a));
    Series::line(
        name,
        cosines.into_iter().enumerate().map(|(at, cosine)| (at as f64 + 1.0, cosine)),
    )
}

/// Draws how well each method recovers the true features.
fn recovery(series: Vec<Series>) -> Vec<Block> {
    if series.is_empty() {
        return Vec::new();
    }
    vec![Block::Figures(vec![Figure {
        name: "recovery".into(),
        caption: "How well each true feature of the data was found: its best cosine with a decoder row, 1 for the \
                  same direction. Features in the order of their cosine, for each method on its own."
            .into(),
        drawing: Drawing::Plot(Plot {
            x: PlotAxis::linear("true features, best found first"),
            y: PlotAxis::linear("best cosine with a decoder row"),
            series,
        }),
    }])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if many or large pictures made a page that is slow to open, or if a method were left without any.
    #[test]
    fn dictionaries_share_the_room_of_a_page() {
        let room = |sheets, inputs, is_of_method| {
            Shown { sheets, ..Shown::default() }.room(inputs, is_of_method)
        };
        assert_eq!(room(12, 784, false), ATOMS);
        assert_eq!(room(96, 784, false), 24);
        assert_eq!((room(96, 12_288, false), room(96, 12_288, true)), (0, ACROSS));
        for sheets in [1, 12, 48, 96] {
            for inputs in [64, 784, 3072] {
                assert!(sheets * inputs * room(sheets, inputs, false) <= VALUES);
            }
        }
    }

    /// Wrong if two pictures had one file.
    #[test]
    fn every_picture_has_its_own_name() {
        let mut shown = Shown::default();
        let names = ["k=1", "k 1", "k=1.0"].map(|words| shown.free_name(&["atoms", words]));
        assert_eq!(names, ["atoms-k-1", "atoms-k-1-2", "atoms-k-1.0"]);
    }

    /// Wrong if models of one page showed reconstructions of different samples, or a sample twice.
    #[test]
    fn the_samples_of_tiles_are_the_same_for_every_model() {
        for all in [1, 10, 16, 17, 360, 2000] {
            let tiles = sample_rows(SAMPLES.min(all), all);
            let rows = sample_rows(CODES.min(all), all);
            assert_eq!(rows[..tiles.len()], tiles, "of {all}");
            assert_eq!(tiles.len(), SAMPLES.min(all));
            let distinct: HashSet<&usize> = rows.iter().collect();
            assert!(distinct.len() == rows.len() && rows.iter().all(|row| *row < all));
        }
        assert!(sample_rows(0, 0).is_empty());
    }
}
