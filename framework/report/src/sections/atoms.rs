//! Pictures of latents: their decoder rows, or the inputs that they prefer, as numbered tiles, those of a group side
//! by side.

use std::collections::BTreeMap;

use crate::Picture;
use crate::figures::picture::Tile;

/// Maximum number of atoms in a picture.
pub const ATOMS: usize = 72;
/// Number of atoms side by side.
pub const ACROSS: usize = 12;
/// Number of atoms side by side in a group, where that divides its size.
const ACROSS_A_GROUP: usize = 8;

/// What tiles show of latents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TileContent {
    /// Their decoder rows.
    Atoms,
    /// The inputs that activate them most.
    PreferredInputs,
}

/// What a preferred input is.
pub const PREFERRED: &str = "Of models whose latents have no decoder rows: the input that activates a latent most, \
     among those that are no further from the mean training sample than samples are on average, as far as gradient \
     ascent from the mean finds it.";

/// Latents of a model as tiles, and what is known of them.
pub struct LatentTiles<'a> {
    /// What the tiles show.
    pub content: TileContent,
    /// Returns the numbers of the tiles of some latents, [latents, inputs].
    pub values: &'a dyn Fn(&[usize]) -> Vec<f32>,
    /// Number of latents.
    pub latents: usize,
    /// Share of test samples on which each latent is active; empty if it is not known.
    pub firing: Vec<Option<f64>>,
    /// Group of each latent; empty if there are none.
    pub groups: Vec<Option<f64>>,
    /// Channels, height and width.
    pub sides: (usize, usize, usize),
    /// Maximum number of tiles in the picture.
    pub most: usize,
}

/// Places of a picture, from top to bottom and from left to right: the latents that stand there, if any.
type LatentPlaces = Vec<Vec<Option<usize>>>;

impl LatentTiles<'_> {
    /// Draws the latents, or the groups of latents, that are active most often. `of` is the name of the model.
    pub fn picture(&self, of: &str) -> Picture {
        let groups = self.members();
        let size = groups.iter().map(Vec::len).max().unwrap_or(0);
        let (caption, places, block) =
            if size > 1 { self.by_group(of, groups, size) } else { self.by_latent(of) };
        let (channels, height, width) = self.sides;
        let scale = match (self.content, channels) {
            (TileContent::PreferredInputs, 1) => "black is its least number, white its greatest",
            (TileContent::PreferredInputs, _) => {
                "each colour is dark at its least number and bright at its greatest"
            }
            (TileContent::Atoms, 1) => "white is 0, orange above it, blue below",
            (TileContent::Atoms, _) => "grey is 0",
        };
        let caption = format!(
            "{caption} Each tile has its latent's number above it and its own scale: {scale}."
        );
        let (name, title) = (String::new(), String::new());
        let rows = self.tiles(&places);
        Picture { name, title, caption, channels, height, width, rows, block }
    }

    /// Returns the tiles of the latents in their places.
    fn tiles(&self, places: &LatentPlaces) -> Vec<Vec<Tile>> {
        let latents: Vec<usize> = places.iter().flatten().copied().flatten().collect();
        let inputs = self.sides.0 * self.sides.1 * self.sides.2;
        let values = (self.values)(&latents);
        let mut values = values.chunks_exact(inputs.max(1)).map(<[f32]>::to_vec);
        let mut tile = |latent: &Option<usize>| match (*latent, self.content) {
            (None, _) => Tile::empty(),
            (Some(latent), TileContent::Atoms) => {
                Tile::of_latent(latent, values.next().unwrap_or_default())
            }
            (Some(latent), TileContent::PreferredInputs) => {
                Tile::of_preferred(latent, values.next().unwrap_or_default())
            }
        };
        places.iter().map(|row| row.iter().map(&mut tile).collect()).collect()
    }

    /// Returns what the tiles are, with the name of the model.
    fn words(&self, of: &str) -> String {
        match self.content {
            TileContent::Atoms => format!("Decoder rows of {of}"),
            TileContent::PreferredInputs => format!("Inputs that latents of {of} prefer"),
        }
    }

    fn rate(&self, latent: usize) -> f64 {
        self.firing.get(latent).copied().flatten().unwrap_or(0.0)
    }

    fn mean_rate(&self, latents: &[usize]) -> f64 {
        latents.iter().map(|latent| self.rate(*latent)).sum::<f64>() / latents.len().max(1) as f64
    }

    /// Returns the latents of each group, in the order of the groups.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = BTreeMap::<u64, Vec<usize>>::new();
        for (latent, group) in self.groups.iter().enumerate().take(self.latents) {
            if let Some(group) = group {
                members.entry(*group as u64).or_default().push(latent);
            }
        }
        members.into_values().collect()
    }

    /// Returns a caption, the places of latents and the size of a block of tiles.
    fn by_latent(&self, of: &str) -> (String, LatentPlaces, Option<(usize, usize)>) {
        let mut order: Vec<usize> = (0..self.latents).collect();
        order.sort_by(|a, b| self.rate(*b).total_cmp(&self.rate(*a)));
        order.truncate(self.most);
        let rate = |latent: Option<&usize>| 100.0 * latent.map_or(0.0, |latent| self.rate(*latent));
        let caption = format!(
            "{}: the {} of {} latents that are active most often, from {:.1} % of the test \
             samples down to {:.1} %.",
            self.words(of),
            order.len(),
            self.latents,
            rate(order.first()),
            rate(order.last())
        );
        let places: Vec<Option<usize>> = order.into_iter().map(Some).collect();
        (caption, places.chunks(ACROSS).map(<[_]>::to_vec).collect(), None)
    }

    fn by_group(
        &self,
        of: &str,
        mut groups: Vec<Vec<usize>>,
        size: usize,
    ) -> (String, LatentPlaces, Option<(usize, usize)>) {
        let all = groups.len();
        groups.sort_by(|a, b| self.mean_rate(b).total_cmp(&self.mean_rate(a)));
        groups.truncate((self.most / size).max(1));
        let rate =
            |group: Option<&Vec<usize>>| 100.0 * group.map_or(0.0, |group| self.mean_rate(group));
        let mut caption = format!(
            "{}, a block for each group of {size} latents: the {} of {all} groups whose latents \
             are active most often, on average from {:.1} % of the test samples down to {:.1} %.",
            self.words(of),
            groups.len(),
            rate(groups.first()),
            rate(groups.last())
        );
        let most = self.most;
        if size > most {
            caption.push_str(&format!(" Of each group, the first {most} latents are shown."));
        }
        let (across, down) = block_of(size.min(most));
        let mut rows = Vec::new();
        for groups in groups.chunks((ACROSS / across).max(1)) {
            for y in 0..down {
                let places = groups.iter().flat_map(|group| {
                    let place = move |x: usize| y * across + x;
                    (0..across)
                        .map(move |x| group.get(place(x)).filter(|_| place(x) < most).copied())
                });
                rows.push(places.collect());
            }
        }
        (caption, rows, Some((across, down)))
    }
}

/// Returns how many tiles are side by side, and how many above each other, in a block of `size`: nearly a
/// square, without a gap if one of few enough columns has none.
fn block_of(size: usize) -> (usize, usize) {
    let root = size.isqrt().max(1);
    let fits = |down: &usize| size.is_multiple_of(*down) && size / down <= ACROSS_A_GROUP;
    let down = (1..=root).rev().find(fits).unwrap_or(root);
    (size.div_ceil(down), down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_nearly_square_and_hold_their_group() {
        for (size, block) in [
            (1, (1, 1)),
            (2, (2, 1)),
            (4, (2, 2)),
            (5, (5, 1)),
            (8, (4, 2)),
            (11, (4, 3)),
            (64, (8, 8)),
        ] {
            assert_eq!(block_of(size), block, "{size}");
        }
        for size in 1..=ATOMS {
            let (across, down) = block_of(size);
            assert!(
                across <= ACROSS && across * down >= size && (across - 1) * down < size,
                "{size}"
            );
        }
    }

    /// Six latents of one input, each of its own value.
    fn tiles(firing: &[f64], groups: &[f64]) -> Vec<Vec<Vec<f32>>> {
        let atoms: Vec<f32> = (1..=6).map(|at| at as f32).collect();
        let some = |values: &[f64]| values.iter().copied().map(Some).collect();
        let values = |latents: &[usize]| latents.iter().map(|at| atoms[*at]).collect();
        let tiles = LatentTiles {
            content: TileContent::Atoms,
            values: &values,
            latents: 6,
            firing: some(firing),
            groups: some(groups),
            sides: (1, 1, 1),
            most: ATOMS,
        };
        let picture = tiles.picture("x");
        assert_eq!(picture.block.is_some(), groups.len() == 6 && groups[0] == groups[1]);
        for tile in picture.rows.iter().flatten().filter(|tile| !tile.values.is_empty()) {
            assert_eq!(tile.label, Some(tile.values[0] as usize - 1), "its own number");
        }
        let values = |row: Vec<Tile>| row.into_iter().map(|tile| tile.values).collect();
        picture.rows.into_iter().map(values).collect()
    }

    /// Wrong if a group were torn apart, its latents were reordered, or quiet groups came first.
    #[test]
    fn groups_stay_together_and_the_most_active_come_first() {
        let firing = [0.1, 0.3, 0.0, 0.9, 0.2, 0.1];
        let one = |values: &[f32]| -> Vec<Vec<f32>> { values.iter().map(|v| vec![*v]).collect() };
        assert_eq!(tiles(&firing, &[]), [one(&[4.0, 2.0, 5.0, 1.0, 6.0, 3.0])]);
        let pairs = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0];
        assert_eq!(tiles(&firing, &pairs), [one(&[3.0, 4.0, 1.0, 2.0, 5.0, 6.0])]);
        let each = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(tiles(&firing, &each), tiles(&firing, &[]), "groups of one are no groups");
        // Two latents above two; of the second group two are missing.
        let rows = tiles(&firing, &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(rows[0], one(&[1.0, 2.0, 5.0, 6.0]));
        assert_eq!(rows[1], [vec![3.0], vec![4.0], vec![], vec![]]);
    }
}
