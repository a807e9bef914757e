//! Every back-end that runs here, its instructions emulated if need be, and the model of AMX, against
//! sums in f64.

use std::ops::Range;

use super::round::{bf16, widen};
use super::*;

/// SplitMix64, so that a case is known by its number.
struct OperandNumbers(u64);

impl OperandNumbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A size of 1 to `most`: often 1, or a multiple of 16 and its neighbours.
    fn size(&mut self, most: usize) -> usize {
        let any = self.next() as usize % most + 1;
        match self.next() % 4 {
            0 => 1,
            1 => (any.next_multiple_of(16) + self.next() as usize % 3 - 1).min(most),
            _ => any,
        }
    }

    /// From -1 to 1, a fifth of them zero.
    fn values(&mut self, n: usize) -> Vec<f32> {
        let value = |bits: u64| (bits as i32) as f32 / i32::MAX as f32;
        (0..n).map(|_| self.next()).map(|b| if b >> 32 & 7 == 0 { 0.0 } else { value(b) }).collect()
    }
}

/// A back-end, or the model of one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Backend {
    Real(BackEnd),
    #[cfg(target_endian = "little")]
    AmxModel,
}

/// Writes `skipped: TEST: REASON` to standard error itself, past the test harness: CI lists these lines.
pub(super) fn skipped(reason: &str) {
    use std::io::Write;
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}

impl Backend {
    /// The model first, then what this machine can run.
    fn all() -> Vec<Self> {
        let (runs, cannot): (Vec<_>, Vec<_>) = BackEnd::ALL
            .into_iter()
            .partition(|back_end| back_end.is_supported() || is_emulated(*back_end));
        for back_end in cannot {
            skipped(&format!("this machine cannot run {}", back_end.name()));
        }
        let runs = runs.into_iter().map(Self::Real);
        #[cfg(target_endian = "little")]
        let runs = std::iter::once(Self::AmxModel).chain(runs);
        runs.collect()
    }

    fn product(self, inputs: usize) -> Bf16Product {
        match self {
            Self::Real(back_end) if is_emulated(back_end) => Bf16Product { back_end, inputs },
            Self::Real(back_end) => Bf16Product::on(back_end, inputs),
            #[cfg(target_endian = "little")]
            Self::AmxModel => Bf16Product { back_end: BackEnd::Amx, inputs },
        }
    }
}

/// Whether the instructions of a back-end are not the CPU's own.
fn is_emulated(back_end: BackEnd) -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return back_end == BackEnd::Amx && amx::emulator::stands_in();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    return false;
}

/// Operands in f32.
struct Operands {
    inputs: usize,
    batch: usize,
    latents: usize,
    x: Vec<f32>,
    w: Vec<f32>,
}

impl Operands {
    fn random(numbers: &mut OperandNumbers) -> Self {
        let (inputs, batch, latents) = (numbers.size(150), numbers.size(80), numbers.size(100));
        let (x, w) = (numbers.values(batch * inputs), numbers.values(latents * inputs));
        Self { inputs, batch, latents, x, w }
    }

    fn shape(&self) -> String {
        format!("{} inputs, {} latents, batch {}", self.inputs, self.latents, self.batch)
    }

    /// The whole product, made of tiles with edges at these samples and latents.
    fn product(&self, subject: Backend, samples: &[usize], latents: &[usize]) -> Vec<f32> {
        let product = subject.product(self.inputs);
        let row_len = product.row_len();
        let mut w = vec![0xffff; self.latents * row_len];
        for (row, packed) in self.w.chunks(self.inputs).zip(w.chunks_mut(row_len)) {
            product.pack_row(row, packed);
        }
        let mut packed = Bf16Inputs::default();
        // A larger batch of NaN before, of longer samples: what it left behind counts for nothing.
        let before = subject.product(self.inputs + 7);
        let longer = self.inputs + 7;
        let nan = vec![f32::NAN; (self.batch + 40) * longer];
        before.pack_inputs(nan.chunks_exact(longer), &mut packed);
        product.pack_inputs(self.x.chunks_exact(self.inputs), &mut packed);
        let mut all = vec![f32::NAN; self.batch * self.latents];
        for (s, l) in edges(samples).flat_map(|s| edges(latents).map(move |l| (s.clone(), l))) {
            // A little wider than the tile, to see that nothing else is written.
            let stride = l.len() + 3;
            let mut out = vec![77.0; s.len() * stride];
            let w = &w[l.start * row_len..l.end * row_len];
            match subject {
                Backend::Real(_) => product.tile(&packed, s.clone(), w, &mut out, stride),
                #[cfg(target_endian = "little")]
                Backend::AmxModel => {
                    if let Some(work) = product.work(&packed, s.clone(), w, &mut out, stride) {
                        amx::model::tile(work);
                    }
                }
            }
            for (b, row) in s.zip(out.chunks(stride)) {
                all[b * self.latents..][l.clone()].copy_from_slice(&row[..l.len()]);
                assert_eq!(row[l.len()..], [77.0; 3], "{subject:?} wrote beside the tile");
            }
        }
        all
    }

    fn whole(&self, subject: Backend) -> Vec<f32> {
        self.product(subject, &[0, self.batch], &[0, self.latents])
    }
}

fn edges(at: &[usize]) -> impl Iterator<Item = Range<usize>> {
    at.windows(2).map(|edge| edge[0]..edge[1])
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Each element is the sum of the rounded operands' products, to the rounding of that many sums.
#[test]
fn products_are_those_of_rounded_operands() {
    let subjects = Backend::all();
    for seed in 0..150 {
        let case = Operands::random(&mut OperandNumbers(seed));
        for &subject in &subjects {
            let out = case.whole(subject);
            for (index, out) in out.into_iter().enumerate() {
                let (b, j) = (index / case.latents, index % case.latents);
                let rounded = |row: &[f32], d: usize| f64::from(widen(bf16(row[d])));
                let x = &case.x[b * case.inputs..][..case.inputs];
                let w = &case.w[j * case.inputs..][..case.inputs];
                let terms = (0..case.inputs).map(|d| rounded(x, d) * rounded(w, d));
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
                let tolerance = size * case.inputs as f64 * f64::from(f32::EPSILON);
                assert!(
                    (f64::from(out) - sum).abs() <= tolerance,
                    "seed {seed}: {subject:?}: {}: [{b}, {j}]: {out} for {sum}",
                    case.shape()
                );
            }
        }
    }
}

/// Tiles of other sizes, other samples beside, another first sample: the same bits.
#[test]
fn bits_do_not_depend_on_tiles() {
    let subjects = Backend::all();
    for seed in 1000..1060 {
        let mut numbers = OperandNumbers(seed);
        let case = Operands::random(&mut numbers);
        let mut cuts = |n: usize| {
            let mut at = vec![0, n, numbers.next() as usize % n, numbers.next() as usize % n];
            at.sort_unstable();
            at
        };
        let (samples, latents) = (cuts(case.batch), cuts(case.latents));
        for &subject in &subjects {
            let cut = case.product(subject, &samples, &latents);
            assert_eq!(
                bits(&case.whole(subject)),
                bits(&cut),
                "seed {seed}: {subject:?}: {}: {samples:?}, {latents:?}",
                case.shape()
            );
        }
    }
}

/// The sums' order is what the module says, so the bits are, short of denormals. Of instructions
/// that take two products the manual's word is all we have: another CPU may differ, and is told.
#[test]
fn sums_have_the_order_that_is_told() {
    let subjects = Backend::all();
    for seed in 2000..2060 {
        let case = Operands::random(&mut OperandNumbers(seed));
        for subject in &subjects {
            let judge = match subject {
                Backend::Real(BackEnd::Amx) => subjects[0],
                Backend::Real(_) => Backend::Real(BackEnd::Baseline),
                #[cfg(target_endian = "little")]
                Backend::AmxModel => continue,
            };
            let same = bits(&case.whole(judge)) == bits(&case.whole(*subject));
            let told = format!("seed {seed}: {subject:?}, {judge:?}: {}", case.shape());
            let is_own = matches!(subject, Backend::Real(back_end) if !is_emulated(*back_end));
            if is_own && matches!(subject, Backend::Real(BackEnd::Amx | BackEnd::Avx512Bf16)) {
                if !same {
                    println!("NOTE: {told}: this CPU sums in another order");
                }
            } else {
                assert!(same, "{told}");
            }
        }
    }
}

/// NaN and infinity reach all sums they are terms of, and no other.
#[test]
fn what_is_not_finite_stays_in_its_row_and_column() {
    let subjects = Backend::all();
    for seed in 3000..3040 {
        let mut numbers = OperandNumbers(seed);
        let mut case = Operands::random(&mut numbers);
        case.w.iter_mut().chain(&mut case.x).for_each(|value| *value = value.abs() + 0.5);
        let odd_one = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][seed as usize % 3];
        let b = numbers.next() as usize % case.batch;
        let j = numbers.next() as usize % case.latents;
        let (d, e) = (numbers.next() as usize % case.inputs, numbers.next() as usize % case.inputs);
        case.x[b * case.inputs + d] = odd_one;
        case.w[j * case.inputs + e] = odd_one;
        for &subject in &subjects {
            for (index, out) in case.whole(subject).into_iter().enumerate() {
                let (row, column) = (index / case.latents == b, index % case.latents == j);
                let told = format!("seed {seed}: {subject:?}: {}: {index}: {out}", case.shape());
                if !row && !column {
                    assert!(out.is_finite(), "{told}");
                } else if odd_one.is_nan() || (row && column && d == e) {
                    assert!(out.is_nan() || out == f32::INFINITY, "{told}");
                } else {
                    assert_eq!(out, odd_one, "{told}");
                }
            }
        }
    }
}

/// Long rows: groups of many panels, more than one group.
#[test]
fn groups_of_latents_join() {
    let mut numbers = OperandNumbers(4000);
    let (inputs, batch, latents) = (1000, 3, 300);
    let (x, w) = (numbers.values(batch * inputs), numbers.values(latents * inputs));
    let case = Operands { inputs, batch, latents, x, w };
    for subject in Backend::all() {
        let (whole, cut) = (case.whole(subject), case.product(subject, &[0, 3], &[0, 7, 300]));
        assert_eq!(bits(&whole), bits(&cut), "{subject:?}");
        assert!(whole.iter().all(|out| out.abs() < 100.0), "{subject:?}");
    }
}

/// An empty tile writes nothing.
#[test]
fn empty_tiles_are_left_alone() {
    let product = Bf16Product::new(5);
    let mut packed = Bf16Inputs::default();
    product.pack_inputs([1.0; 10].chunks_exact(5), &mut packed);
    assert_eq!(packed.batch(), 2);
    let mut out = [3.0; 4];
    product.tile(&packed, 1..1, &vec![0; product.row_len()], &mut out, 1);
    product.tile(&packed, 0..2, &[], &mut out, 0);
    assert_eq!(out, [3.0; 4]);
}
