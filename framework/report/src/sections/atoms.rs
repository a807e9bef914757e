//! Pictures of dictionaries: the decoder rows of latents as numbered tiles, those of a group side by side.

use std::collections::BTreeMap;

use crate::Picture;
use crate::figures::picture::{Tile, rows_of};

/// Maximum number of atoms in a picture.
pub const ATOMS: usize = 72;
/// Number of atoms side by side.
pub const ACROSS: usize = 12;
/// Number of atoms side by side in a group, where that divides its size.
const ACROSS_A_GROUP: usize = 8;

/// Decoder rows and what is known of their latents.
pub struct AtomTiles<'a> {
    /// [latents, inputs]
    pub atoms: &'a [f32],
    /// Share of test samples on which each latent is active; empty if it is not known.
    pub firing: Vec<Option<f64>>,
    /// Group of each latent; empty if there are none.
    pub groups: Vec<Option<f64>>,
    /// Channels, height and width.
    pub sides: (usize, usize, usize),
    /// Maximum number of atoms in the picture.
    pub most: usize,
}

impl AtomTiles<'_> {
    /// Draws the atoms, or the groups of atoms, that are active most often. `of` is the name of the model.
    pub fn picture(&self, of: &str) -> Picture {
        let groups = self.members();
        let size = groups.iter().map(Vec::len).max().unwrap_or(0);
        let (caption, rows, block) =
            if size > 1 { self.by_group(of, groups, size) } else { self.by_latent(of) };
        let (channels, height, width) = self.sides;
        let zero = match channels {
            1 => "white is 0, orange above it, blue below",
            _ => "grey is 0",
        };
        let caption = format!(
            "{caption} Each tile has its latent's number above it and its own scale: {zero}."
        );
        let (name, title) = (String::new(), String::new());
        Picture { name, title, caption, channels, height, width, rows, block }
    }

    fn inputs(&self) -> usize {
        self.sides.0 * self.sides.1 * self.sides.2
    }

    fn latents(&self) -> usize {
        self.atoms.len() / self.inputs().max(1)
    }

    fn rate(&self, latent: usize) -> f64 {
        self.firing.get(latent).copied().flatten().unwrap_or(0.0)
    }

    fn mean_rate(&self, latents: &[usize]) -> f64 {
        latents.iter().map(|latent| self.rate(*latent)).sum::<f64>() / latents.len().max(1) as f64
    }

    fn tile(&self, latent: usize) -> Tile {
        Tile::of_latent(latent, self.atoms[latent * self.inputs()..][..self.inputs()].to_vec())
    }

    /// Returns the latents of each group, in the order of the groups.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = BTreeMap::<u64, Vec<usize>>::new();
        for (latent, group) in self.groups.iter().enumerate().take(self.latents()) {
            if let Some(group) = group {
                members.entry(*group as u64).or_default().push(latent);
            }
        }
        members.into_values().collect()
    }

    /// Returns a caption, the tiles and the size of a block of tiles.
    fn by_latent(&self, of: &str) -> (String, Vec<Vec<Tile>>, Option<(usize, usize)>) {
        let mut order: Vec<usize> = (0..self.latents()).collect();
        order.sort_by(|a, b| self.rate(*b).total_cmp(&self.rate(*a)));
        order.truncate(self.most);
        let rate = |latent: Option<&usize>| 100.0 * latent.map_or(0.0, |latent| self.rate(*latent));
        let caption = format!(
            "Decoder rows of {of}: the {} of {} latents that are active most often, from {:.1} % of the test \
             samples down to {:.1} %.",
            order.len(),
            self.latents(),
            rate(order.first()),
            rate(order.last())
        );
        let tiles = order.iter().map(|latent| self.tile(*latent)).collect();
        (caption, rows_of(tiles, ACROSS), None)
    }

    fn by_group(
        &self,
        of: &str,
        mut groups: Vec<Vec<usize>>,
        size: usize,
    ) -> (String, Vec<Vec<Tile>>, Option<(usize, usize)>) {
        let all = groups.len();
        groups.sort_by(|a, b| self.mean_rate(b).total_cmp(&self.mean_rate(a)));
        groups.truncate((self.most / size).max(1));
        let rate =
            |group: Option<&Vec<usize>>| 100.0 * group.map_or(0.0, |group| self.mean_rate(group));
        let mut caption = format!(
            "Decoder rows of {of}, a block for each group of {size} latents: the {} of {all} groups whose latents \
             are active most often, on average from {:.1} % of the test samples down to {:.1} %.",
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
                    (0..across)
                        .map(move |x| group.get(y * across + x).filter(|_| y * across + x < most))
                });
                rows.push(
                    places
                        .map(|latent| latent.map_or_else(Tile::empty, |latent| self.tile(*latent)))
                        .collect(),
                );
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
        let tiles = AtomTiles {
            atoms: &atoms,
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
