//! Selection of the k largest of a row, exactly and without a sort.
//!
//! A row is seen in tiles, each while it is in cache. A list of candidates is kept, in the order of
//! their indices: most values are below the k-th largest seen so far and cost one comparison. When
//! a list is full, its k-th largest is found by halving the interval it lies in, each time with one
//! count over the list, which vectorises and usually ends after some ten rounds. A narrow row needs
//! no list: its k-th largest is found among all its values at once.
//!
//! Where values are compared by their size, orders are those of absolute values, and the sign is a bit
//! beside: of the index while there are candidates, of the order once they are found.

use crate::plugin::KeptBy;

/// Candidates are sifted when there are this many times k.
const FULL: usize = 4;

/// Values that are compared with the bound at once.
pub(super) const PIECE: usize = 16;

/// The sign of a value, beside its index or the order of its size.
const SIGN: u32 = 1 << 31;

/// The candidates for the `k` largest values of one row, indices ascending.
#[derive(Clone, Debug)]
pub struct Candidates {
    orders: Vec<i32>,
    indices: Vec<u32>,
    len: usize,
    k: usize,
    by: KeptBy,
    /// Values, or sizes, up to this one are none; NaN is no bound.
    bound: f32,
}

impl Default for Candidates {
    fn default() -> Self {
        let (orders, indices) = Default::default();
        Self { orders, indices, len: 0, k: 0, by: KeptBy::Value, bound: 0.0 }
    }
}

impl Candidates {
    /// Forgets everything: of the row that is seen next, the `k` largest above `floor` are wanted
    /// (NaN for no floor).
    pub fn start(&mut self, k: usize, floor: f32, by: KeptBy) {
        (self.len, self.k, self.by, self.bound) = (0, k, by, floor);
        let room = self.full() + PIECE;
        if self.orders.len() < room {
            self.orders.resize(room, 0);
            self.indices.resize(room, 0);
        }
    }

    fn full(&self) -> usize {
        (FULL * self.k).max(4 * PIECE)
    }

    /// Sees values of the row from index `first` on; later calls see higher indices. NaN counts as
    /// larger than every number, so that what diverged is seen to.
    #[inline(always)]
    pub fn see(&mut self, first: usize, values: &[f32]) {
        match self.by {
            KeptBy::Value => self.see_by::<false>(first, values),
            KeptBy::Size => self.see_by::<true>(first, values),
        }
    }

    #[inline(always)]
    fn see_by<const SIZE: bool>(&mut self, first: usize, values: &[f32]) {
        let full = self.full();
        for (at, piece) in values.chunks(PIECE).enumerate() {
            if is_any_above::<SIZE>(piece, self.bound) {
                let (orders, indices) =
                    (&mut self.orders[self.len..][..PIECE], &mut self.indices[self.len..][..PIECE]);
                let mut taken = 0;
                for (lane, value) in piece.iter().enumerate() {
                    // Written always, kept if above: no branch to be predicted. At most `lane` were
                    // taken before, so the mask changes nothing.
                    let key = compared::<SIZE>(*value);
                    orders[taken & (PIECE - 1)] = order(key);
                    indices[taken & (PIECE - 1)] =
                        (first + at * PIECE + lane) as u32 | sign::<SIZE>(*value);
                    taken += usize::from(is_above(key, self.bound));
                }
                self.len += taken;
                if self.len > full {
                    self.sift();
                }
            }
        }
    }

    /// Leaves the k largest. What is seen later has a higher index, so it must be above the least
    /// of them to take its place.
    #[inline(always)]
    fn sift(&mut self) {
        let (orders, indices) = (&mut self.orders[..self.len], &mut self.indices[..self.len]);
        let least = kth_largest(orders, self.k);
        let above = orders.iter().filter(|order| **order > least).count();
        let mut ties = self.k - above;
        let mut kept = 0;
        for at in 0..orders.len() {
            let (order, index) = (orders[at], indices[at]);
            (orders[kept], indices[kept]) = (order, index);
            let tie = order == least && ties > 0;
            ties -= usize::from(tie);
            kept += usize::from(order > least || tie);
        }
        self.len = kept;
        self.bound = value(least);
    }
}

/// The k largest values of a row whose candidates are in `lists`, each of which saw other indices:
/// writes their indices, ascending, and values, and returns how many there are (fewer than k if
/// there were fewer candidates). The lowest index wins a tie.
#[inline(always)]
pub fn k_largest<'a>(
    lists: impl Iterator<Item = &'a Candidates> + Clone,
    k: usize,
    scratch: &mut SelectScratch,
    indices: &mut [u32],
    values: &mut [f32],
) -> usize {
    let by = lists.clone().next().map_or(KeptBy::Value, |list| list.by);
    let all = &mut scratch.all;
    all.clear();
    lists.clone().for_each(|list| all.extend_from_slice(&list.orders[..list.len]));
    let (least, ties) = if all.len() <= k {
        (i32::MIN, all.len())
    } else {
        let least = kth_largest(all, k);
        (least, k - all.iter().filter(|order| **order > least).count())
    };
    let found = &mut scratch.found;
    found.resize(found.len().max(all.len()), 0);
    let (mut kept, mut parts) = (0, 0);
    for list in lists {
        let before = kept;
        for (order, index) in list.orders[..list.len].iter().zip(&list.indices) {
            let order_and_sign = *order | (*index & SIGN).cast_signed();
            found[kept] = pair((*index & !SIGN) as usize, order_and_sign);
            kept += usize::from(*order >= least);
        }
        parts += usize::from(kept > before);
    }
    let found = &mut found[..kept];
    if parts > 1 {
        found.sort_unstable();
    }
    match by {
        KeptBy::Value => write_found::<false>(found, least, ties, indices, values),
        KeptBy::Size => write_found::<true>(found, least, ties, indices, values),
    }
}

/// The same of a `row` that is there whole, of what is above `floor` (NaN for no floor).
#[inline(always)]
pub fn k_largest_of_row(
    row: &[f32],
    (k, floor, by): (usize, f32, KeptBy),
    scratch: &mut SelectScratch,
    indices: &mut [u32],
    values: &mut [f32],
) -> usize {
    match by {
        KeptBy::Value => k_largest_by::<false>(row, k, floor, scratch, indices, values),
        KeptBy::Size => k_largest_by::<true>(row, k, floor, scratch, indices, values),
    }
}

#[inline(always)]
fn k_largest_by<const SIZE: bool>(
    row: &[f32],
    k: usize,
    floor: f32,
    scratch: &mut SelectScratch,
    indices: &mut [u32],
    values: &mut [f32],
) -> usize {
    let SelectScratch { all, found } = scratch;
    all.clear();
    all.extend(row.iter().map(|value| order(compared::<SIZE>(*value))));
    let floor = if floor.is_nan() { i32::MIN } else { order(floor) };
    let kth = if all.len() <= k { floor } else { kth_largest(all, k) };
    let (least, ties) = if kth <= floor {
        (floor + 1, k)
    } else {
        (kth, k - all.iter().filter(|order| **order > kth).count())
    };
    all.resize(all.len().next_multiple_of(PIECE), i32::MIN);
    found.resize(found.len().max(all.len()), 0);
    let (pieces, found) = (all.as_chunks::<PIECE>().0, found.as_mut_slice());
    let mut kept = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if piece.iter().fold(false, |any, order| any | (*order >= least)) {
            for (lane, order) in piece.iter().enumerate() {
                found[kept] = pair(at * PIECE + lane, *order);
                kept += usize::from(*order >= least);
            }
        }
    }
    let found = &mut found[..kept];
    if SIZE {
        let sign_of = |pair: u64| u64::from(sign::<SIZE>(row[(pair >> 32) as usize]));
        found.iter_mut().for_each(|pair| *pair |= sign_of(*pair));
    }
    write_found::<SIZE>(found, least, ties, indices, values)
}

/// An index and an order; pairs are ordered by the index.
#[inline(always)]
fn pair(index: usize, order: i32) -> u64 {
    (index as u64) << 32 | u64::from(order.cast_unsigned())
}

/// Writes the pairs above `least` and the first `ties` of those at it; returns how many.
#[inline(always)]
fn write_found<const SIZE: bool>(
    found: &[u64],
    least: i32,
    mut ties: usize,
    indices: &mut [u32],
    values: &mut [f32],
) -> usize {
    let mut count = 0;
    for pair in found {
        let bits = *pair as u32;
        let order = if SIZE { bits & !SIGN } else { bits }.cast_signed();
        let is_tie = order == least;
        if is_tie && ties == 0 {
            continue;
        }
        ties -= usize::from(is_tie);
        // The order of a size is its bits.
        let value = if SIZE { f32::from_bits(bits) } else { value(order) };
        (indices[count], values[count]) = ((*pair >> 32) as u32, value);
        count += 1;
    }
    count
}

/// Memory for `k_largest`, used again for every row.
#[derive(Debug, Default)]
pub struct SelectScratch {
    all: Vec<i32>,
    found: Vec<u64>,
}

/// The k-th largest of more than k orders, or, where exactly k are at least some number, such a
/// number.
#[inline(always)]
fn kth_largest(orders: &[i32], k: usize) -> i32 {
    // At least k orders are ≥ low, fewer than k are ≥ high + 1.
    let (mut low, mut high) = (i32::MAX, i32::MIN);
    for order in orders {
        (low, high) = (low.min(*order), high.max(*order));
    }
    while low < high {
        let middle = (i64::from(low) + i64::from(high) + 1).div_euclid(2) as i32;
        let above: u32 = orders.iter().map(|order| u32::from(*order >= middle)).sum();
        match (above as usize).cmp(&k) {
            std::cmp::Ordering::Equal => return middle,
            std::cmp::Ordering::Greater => low = middle,
            std::cmp::Ordering::Less => high = middle - 1,
        }
    }
    low
}

/// What is compared of a value: its size, or itself.
#[inline(always)]
fn compared<const SIZE: bool>(value: f32) -> f32 {
    if SIZE { value.abs() } else { value }
}

/// The sign that is kept beside a size; 0 where values are compared.
#[inline(always)]
fn sign<const SIZE: bool>(value: f32) -> u32 {
    if SIZE { value.to_bits() & SIGN } else { 0 }
}

#[inline(always)]
pub(super) fn is_any_above<const SIZE: bool>(piece: &[f32], bound: f32) -> bool {
    piece.iter().fold(false, |any, value| any | is_above(compared::<SIZE>(*value), bound))
}

/// Whether `value` is above the bound; NaN is, and everything is above a bound that is NaN.
#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord)] // that is the point
pub(super) fn is_above(value: f32, bound: f32) -> bool {
    !(value <= bound)
}

/// An integer that orders as the value does: −0 as 0, NaN above all.
#[inline(always)]
pub(super) fn order(value: f32) -> i32 {
    let value = if value.is_nan() { f32::NAN } else { value + 0.0 };
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// The value of an order.
#[inline(always)]
pub(super) fn value(order: i32) -> f32 {
    f32::from_bits((order ^ ((order >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::Streams;

    /// The definition: sorts.
    fn by_sorting(row: &[f32], k: usize, floor: f32, by: KeptBy) -> Vec<(u32, u32)> {
        let key = |at: usize| if by == KeptBy::Size { row[at].abs() } else { row[at] };
        let mut all: Vec<usize> = (0..row.len()).filter(|at| is_above(key(*at), floor)).collect();
        all.sort_by(|a, b| order(key(*b)).cmp(&order(key(*a))).then(a.cmp(b)));
        all.truncate(k);
        all.sort_unstable();
        all.into_iter().map(|at| (at as u32, (row[at] + 0.0).to_bits())).collect()
    }

    fn selected(
        row: &[f32],
        (k, floor, by): (usize, f32, KeptBy),
        lists: usize,
        tile: usize,
    ) -> Vec<(u32, u32)> {
        let mut candidates = vec![Candidates::default(); lists];
        candidates.iter_mut().for_each(|list| list.start(k, floor, by));
        for (at, values) in row.chunks(tile).enumerate() {
            candidates[at * 7 % lists].see(at * tile, values);
        }
        let (mut indices, mut values) = (vec![0; k], vec![0.0; k]);
        let scratch = &mut SelectScratch::default();
        let count = k_largest(candidates.iter(), k, scratch, &mut indices, &mut values);
        indices
            .into_iter()
            .zip(values.iter().map(|value| (value + 0.0).to_bits()))
            .take(count)
            .collect()
    }

    fn selected_at_once(row: &[f32], of: (usize, f32, KeptBy)) -> Vec<(u32, u32)> {
        let (mut indices, mut values) = (vec![0; of.0], vec![0.0; of.0]);
        let scratch = &mut SelectScratch::default();
        let count = k_largest_of_row(row, of, scratch, &mut indices, &mut values);
        indices
            .into_iter()
            .zip(values.iter().map(|value| (value + 0.0).to_bits()))
            .take(count)
            .collect()
    }

    #[test]
    fn the_largest_are_those_a_sort_finds_with_ties_in_any_number_of_lists() {
        let mut random = Streams::new(5).stream("test");
        for round in 0..600 {
            let length = random.random_range(1..700);
            let few = random.random_range(1..40);
            let row: Vec<f32> = (0..length)
                .map(|_| match round % 3 {
                    0 => random.random::<f32>() - 0.5,
                    // Many ties, of both zeros too.
                    1 => -((random.random_range(0..few) - few / 2) as f32 * 0.25),
                    _ => random.random::<f32>().powi(30),
                })
                .collect();
            let k = random.random_range(1..=length);
            let floor = if round % 2 == 0 { f32::NAN } else { 0.0 };
            let tile = random.random_range(1..=length);
            for by in [KeptBy::Value, KeptBy::Size] {
                let right = by_sorting(&row, k, floor, by);
                let of = (k, floor, by);
                assert_eq!(selected_at_once(&row, of), right, "round {round}, {k}, {by:?}");
                for lists in [1, 2, 3] {
                    let found = selected(&row, of, lists, tile);
                    assert_eq!(found, right, "round {round}, {k}, {by:?}");
                }
            }
        }
    }

    #[test]
    fn orders_are_those_of_the_values() {
        let rising = [f32::NEG_INFINITY, -1.0, -1e-40, 0.0, 1e-40, 2.0, f32::INFINITY, f32::NAN];
        assert!(rising.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
        assert_eq!(order(-0.0), order(0.0));
        assert_eq!(order(-f32::NAN), order(f32::NAN));
        assert!(rising.iter().all(|v| value(order(*v)).to_bits() == v.to_bits()));
    }

    #[test]
    fn nan_is_kept() {
        let row = [1.0, f32::NAN, 3.0];
        let of = |k| (k, 0.0, KeptBy::Value);
        let both = |k| [selected(&row, of(k), 1, 3), selected_at_once(&row, of(k))];
        assert!(both(2).iter().all(|found| found.len() == 2));
        assert!(both(1).iter().all(|found| f32::from_bits(found[0].1).is_nan()));
    }
}
