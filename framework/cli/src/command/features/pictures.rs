//! Pictures of latents, as PNG files: tiles with their numbers, and rows of samples.

use analysis::Features;
use framework::diagnostics::Diagnostic;
use framework::plugin::{Data, SampleShape, Split};
use report::Picture;
use report::figures::picture::{Colors, Tile, rows_of};
use store::exit::Failure;

/// Largest number of rows in a picture of examples, which is about 35,000 pixels.
const ROWS: usize = 1000;

/// Smallest size of a tile in pixels; smaller tiles are enlarged.
const LEAST: usize = 32;

/// Number of pixels across a picture, at least.
const IN_FULL: usize = 480;

/// Returns the pictures of these latents as files: names and bytes. Those in `in_full` have a picture each.
pub fn pictures(
    features: &Features,
    shown: &[usize],
    in_full: &[usize],
    data: &dyn Data,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let refused =
        |what: &str| Failure::Problems(vec![Diagnostic::nowhere(format!("`--pictures`: {what}"))]);
    let (shape, inputs) = (data.shape(), data.shape().inputs());
    let SampleShape::Image { channels: channels @ (1 | 3), height, width } = shape else {
        return Err(refused("the samples are no pictures, grey or of three colours"));
    };
    let tile = |at: &usize| match (features.row(*at), features.preferred.get(at)) {
        (None, Some(input)) => Tile::of_preferred(*at, input.clone()),
        (row, _) => Tile::of_latent(*at, row.unwrap_or_default().to_vec()),
    };
    let samples: Vec<usize> = shown
        .iter()
        .take(ROWS)
        .flat_map(|at| features.latents[*at].top.iter().map(|example| example.sample))
        .collect();
    let mut values = vec![0.0; samples.len() * inputs];
    data.gather(Split::Test, &samples, &mut values).map_err(Failure::Io)?;
    let (low, high) = data.range().unwrap_or_else(|| {
        let ends = (f32::INFINITY, f32::NEG_INFINITY);
        values.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)))
    });
    let mut values = values.chunks_exact(inputs);
    let row = |at: &usize| {
        let examples = values.by_ref().take(features.latents[*at].top.len());
        let examples =
            examples.map(|values| Tile::new(values.to_vec(), Colors::Between(low, high)));
        std::iter::once(tile(at)).chain(examples).collect::<Vec<Tile>>()
    };
    let examples = shown.iter().take(ROWS).map(row).collect();
    // The picture is about square.
    let across = (shown.len() as f64).sqrt().ceil() as usize;
    let features = rows_of(shown.iter().map(tile).collect(), across);
    let scale = LEAST.div_ceil(height.max(width).max(1));
    let png = |rows, wide| {
        let (name, title, caption) = Default::default();
        let picture = Picture { name, title, caption, channels, height, width, rows, block: None };
        picture.png(scale.max(picture.scale_for(wide))).map_err(Failure::Io)
    };
    let mut files = vec![
        ("features.png".to_owned(), png(features, IN_FULL)?),
        ("examples.png".to_owned(), png(examples, IN_FULL)?),
    ];
    for at in in_full {
        files.push((format!("latent-{at}.png"), png(vec![vec![tile(at)]], IN_FULL)?));
    }
    Ok(files)
}
