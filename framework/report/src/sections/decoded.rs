//! Samples that are decoded from codes that no sample has: from a grid over the plane of two latents, and on the way
//! from the code of one test sample to that of another.

use analysis::words;
use framework::train::Model;

use super::models::{ModelSample, SampleTiles};
use crate::Picture;

/// Number of tiles of a grid side by side, and above each other.
const GRID: usize = 12;
/// Share of the codes that a grid leaves out at each end of a latent's range.
const TAIL: f64 = 0.01;

/// Number of codes of a walk, both ends included.
const STOPS: usize = 10;
/// Number of walks.
const WALKS: usize = 3;

/// Draws samples decoded from a grid over the plane of two latents; `None` if there is another number of latents, or
/// a latent is the same for all samples.
pub fn decoded_grid(
    model: &Model<'_>,
    passed: &ModelSample,
    tiles: &SampleTiles,
    of: &str,
) -> Option<Picture> {
    if model.latents() != 2 {
        return None;
    }
    let ends = [middle(&passed.codes, 0)?, middle(&passed.codes, 1)?];
    let codes = grid(ends);
    let [[left, right], [low, high]] = ends;
    let caption = format!(
        "Samples that {of} decodes from a grid over the plane of its two latents: latent 0 from {} at the left to {} at \
         the right, latent 1 from {} at the bottom to {} at the top, the middle {:.0} % of the codes of test samples.",
        words::brief(left.into()),
        words::brief(right.into()),
        words::brief(low.into()),
        words::brief(high.into()),
        100.0 * (1.0 - 2.0 * TAIL),
    );
    let decoded = decoded(model, codes);
    let all: Vec<_> =
        decoded.chunks_exact(passed.inputs).map(|sample| tiles.tile(sample)).collect();
    Some(tiles.picture_of(caption, all.chunks(GRID).map(<[_]>::to_vec).collect()))
}

/// Draws walks between test samples, of architectures whose codes are drawn around a place: only these have learnt
/// what lies between the codes of samples. Returns `None` for others.
pub fn walks(
    model: &Model<'_>,
    passed: &ModelSample,
    tiles: &SampleTiles,
    labels: Option<&[u32]>,
    of: &str,
) -> Option<Picture> {
    model.definition.architecture.layers().filter(|form| form.noise.is_some())?;
    let class = |row: &usize| labels.and_then(|labels| labels.get(*row).copied());
    let classes: Vec<Option<u32>> = passed.rows.iter().map(class).collect();
    let (pairs, has_classes) = pairs(&classes);
    let sample = |at: usize| tiles.tile(&passed.x[at * passed.inputs..][..passed.inputs]);
    let row = |(from, to): &(usize, usize)| {
        let codes = walk(&passed.codes[*from], &passed.codes[*to]);
        let decoded = decoded(model, codes);
        let way = decoded.chunks_exact(passed.inputs).map(|sample| tiles.tile(sample));
        std::iter::once(sample(*from)).chain(way).chain([sample(*to)]).collect::<Vec<_>>()
    };
    let rows: Vec<_> = pairs.iter().map(row).collect();
    let classes = if has_classes { " of different classes" } else { "" };
    let caption = format!(
        "Walks between two test samples{classes}, which stand at the ends of each row: between them, what {of} decodes \
         from {STOPS} codes on the straight line from the code of the one to that of the other."
    );
    (!rows.is_empty()).then(|| tiles.picture_of(caption, rows))
}

/// Returns what a model decodes from codes, in the units of the data.
fn decoded(model: &Model<'_>, codes: Vec<f32>) -> Vec<f32> {
    let mut decoded = model.decode(codes);
    model.normalizer.undo(&mut decoded);
    decoded
}

/// Returns the ends of the middle of a latent's values; `None` if they are one.
fn middle(codes: &[Vec<f32>], latent: usize) -> Option<[f32; 2]> {
    let mut values: Vec<f32> = codes.iter().filter_map(|code| code.get(latent).copied()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    let tail = (TAIL * last as f64).ceil() as usize;
    let ends = [values[tail.min(last)], values[last - tail.min(last)]];
    (ends[0] < ends[1] && ends.iter().all(|end| end.is_finite())).then_some(ends)
}

/// Returns the codes of a grid, row by row from the top: the second latent falls from row to row, the first rises in
/// each.
fn grid([[left, right], [low, high]]: [[f32; 2]; 2]) -> Vec<f32> {
    let between =
        |from: f32, to: f32, at: usize| from + (to - from) * at as f32 / (GRID - 1) as f32;
    let places = (0..GRID).flat_map(|y| (0..GRID).map(move |x| (x, y)));
    places.flat_map(|(x, y)| [between(left, right, x), between(high, low, y)]).collect()
}

/// Returns the codes on the way from one to another.
fn walk(from: &[f32], to: &[f32]) -> Vec<f32> {
    let share = |stop: usize| stop as f32 / (STOPS - 1) as f32;
    let stop = |stop: usize| {
        from.iter().zip(to).map(move |(from, to)| from * (1.0 - share(stop)) + to * share(stop))
    };
    (0..STOPS).flat_map(stop).collect()
}

/// Returns pairs of samples of different classes, each sample in one pair at most; of neighbours where there are no
/// two classes. Returns also whether there are.
fn pairs(classes: &[Option<u32>]) -> (Vec<(usize, usize)>, bool) {
    let has_classes = classes.iter().any(|class| class.is_some() && *class != classes[0]);
    let (mut pairs, mut is_taken) = (Vec::new(), vec![false; classes.len()]);
    for from in 0..classes.len() {
        let is_other =
            |to: &usize| !is_taken[*to] && (!has_classes || classes[*to] != classes[from]);
        let to = (from + 1..classes.len()).find(is_other);
        if let (false, Some(to)) = (is_taken[from], to)
            && pairs.len() < WALKS
        {
            (is_taken[from], is_taken[to]) = (true, true);
            pairs.push((from, to));
        }
    }
    (pairs, has_classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the plane were upside down or mirrored, or its corners were not the ends of the ranges.
    #[test]
    fn a_grid_goes_from_corner_to_corner() {
        let codes = grid([[-1.0, 10.0], [2.0, 24.0]]);
        assert_eq!(codes.len(), 2 * GRID * GRID);
        let code = |x: usize, y: usize| &codes[2 * (y * GRID + x)..][..2];
        assert_eq!((code(0, 0), code(GRID - 1, 0)), (&[-1.0, 24.0][..], &[10.0, 24.0][..]));
        assert_eq!((code(0, GRID - 1), code(1, GRID - 2)), (&[-1.0, 2.0][..], &[0.0, 4.0][..]));
    }

    /// Wrong if one distant code decided what is shown.
    #[test]
    fn the_range_is_that_of_the_middle() {
        let codes: Vec<Vec<f32>> = (0..=200).map(|at| vec![at as f32, 3.0]).collect();
        assert_eq!(middle(&codes, 0), Some([2.0, 198.0]));
        assert_eq!(middle(&codes, 1), None);
        assert_eq!((middle(&[], 0), middle(&codes[..1], 0)), (None, None));
        assert_eq!(middle(&codes[..3], 0), None, "of three the ends are left out");
    }

    #[test]
    fn a_walk_is_straight_and_ends_at_both_codes() {
        let codes = walk(&[0.0, 1.0], &[9.0, -0.5]);
        assert_eq!((&codes[..2], &codes[2 * STOPS - 2..]), (&[0.0, 1.0][..], &[9.0, -0.5][..]));
        assert!((codes[2] - 1.0).abs() < 1e-6 && codes.len() == 2 * STOPS);
    }

    /// Wrong if a walk stayed in its class where there are others, or a sample were in two.
    #[test]
    fn walks_are_between_classes() {
        let some = |classes: &[u32]| classes.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(pairs(&some(&[0, 0, 1, 2, 0, 1, 1, 0])), (vec![(0, 2), (1, 3), (4, 5)], true));
        assert_eq!(pairs(&some(&[0, 0, 0, 1])), (vec![(0, 3)], true));
        assert_eq!(pairs(&some(&[4, 4, 4])), (vec![(0, 1)], false));
        assert_eq!(pairs(&[None; 9]), (vec![(0, 1), (2, 3), (4, 5)], false));
        assert_eq!(pairs(&[]), (Vec::new(), false));
    }
}
