//! Values drawn at random, for the axes of a block `[[grid.random]]`.

use std::collections::HashMap;

use rand_chacha::rand_core::Rng;

use super::distribution::Distribution;
use super::node::{Node, TomlTable, Value};
use crate::diagnostics::{Diagnostic, Origin};
use crate::random::Streams;

/// How a block draws: value `i` of an axis depends on the seed, the name of the axis and `i` alone,
/// so it stays what it is whatever else changes: the number of samples, other axes, the rest of the file.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// How many values each axis has.
    pub samples: u32,
    /// What drives the randomness.
    pub seed: u64,
}

/// The different values that were drawn, and which of them each sample has.
pub type Drawn = (Vec<Node>, Vec<u32>);

impl Draws {
    /// Draws the values of an axis from `{ uniform = [a, b] }`, `{ log_uniform = [a, b] }` or
    /// `{ choice = […] }`. Between whole numbers, whole numbers are drawn, with both ends among them and
    /// with `uniform` in steps of `step`; other numbers are rounded to 6 significant digits.
    ///
    /// # Errors
    /// The first thing that is wrong with the distribution.
    pub fn draw(
        &self,
        axis: &str,
        origin: &Origin,
        table: &TomlTable,
    ) -> Result<Drawn, Diagnostic> {
        let distribution = Distribution::read(axis, origin, table)?;
        let streams = Streams::new(self.seed);
        let random = |i: u32| streams.stream(&format!("grid.random/{axis}/{i}")).next_u64();
        let randoms = (0..self.samples).map(random);
        if let Distribution::Choice(values) = distribution {
            let count = values.len() as u128;
            let picks = randoms.map(|bits| below(count, bits) as u32);
            return Ok((values.to_vec(), picks.collect()));
        }
        Ok(different(origin, randoms.map(|bits| distribution.number(bits))))
    }
}

/// One of `count` whole numbers from 0 on, all as likely.
fn below(count: u128, bits: u64) -> u128 {
    (u128::from(bits) * count) >> 64
}

impl Distribution<'_> {
    /// The number that 64 random bits stand for; a choice is drawn elsewhere.
    fn number(&self, bits: u64) -> Value {
        // The 53 bits that a float in [0, 1) can hold.
        let share = (bits >> 11) as f64 / (1u64 << 53) as f64;
        let between = |a: f64, b: f64| a * (1.0 - share) + b * share;
        match *self {
            Self::Uniform(a, b) => Value::Float(round(between(a, b), a, b)),
            Self::Log(a, b) => Value::Float(round(between(a.ln(), b.ln()).exp(), a, b)),
            Self::Whole(a, b, step) => {
                let steps = (i128::from(b) - i128::from(a)) / i128::from(step);
                let at = below(steps as u128 + 1, bits) as i128;
                Value::Integer((i128::from(a) + at * i128::from(step)) as i64)
            }
            // `n` stands for all that lies from it up to `n` + 1.
            Self::LogWhole(a, b) => {
                let value = between((a as f64).ln(), (b as f64 + 1.0).ln()).exp();
                Value::Integer((value as i64).clamp(a, b))
            }
            Self::Choice(_) => unreachable!("a choice is no number"),
        }
    }
}

/// A value between `a` and `b` with 6 significant digits, and with more where the ends are so close
/// that these would not tell the values apart: short in tables, and the same on every machine, whose
/// logarithms may differ in their last bit.
fn round(value: f64, a: f64, b: f64) -> f64 {
    let largest = a.abs().max(b.abs());
    let closeness = -(b / largest - a / largest).log10();
    let digits = 6 + closeness.clamp(0.0, 11.0) as usize;
    let rounded: f64 = format!("{value:.*e}", digits - 1).parse().unwrap_or(value);
    // 0 and -0 mean the same; adding 0 makes them one.
    rounded.clamp(a, b) + 0.0
}

/// The different ones of some numbers in the order in which they come first, and which of them each is.
fn different(origin: &Origin, numbers: impl Iterator<Item = Value>) -> Drawn {
    let mut known: HashMap<u64, u32> = HashMap::new();
    let mut values = Vec::new();
    let picks = numbers.map(|value| {
        let bits = match value {
            Value::Integer(number) => number as u64,
            Value::Float(number) => number.to_bits(),
            _ => 0,
        };
        *known.entry(bits).or_insert_with(|| {
            values.push(Node { origin: origin.clone(), value });
            values.len() as u32 - 1
        })
    });
    let picks = picks.collect();
    (values, picks)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn draw(samples: u32, seed: u64, written: &str) -> Result<Vec<String>, Diagnostic> {
        let text = format!("k = {{ {written} }}");
        let source =
            Source { name: "t.toml".into(), base: Default::default(), text, is_private: false };
        let document = parse(&Arc::new(source)).unwrap();
        let node = &document.as_table().unwrap().get("k").unwrap().node;
        let draws = Draws { samples, seed };
        let (values, picks) = draws.draw("penalty.k", &node.origin, node.as_table().unwrap())?;
        Ok(picks.iter().map(|pick| values[*pick as usize].to_toml()).collect())
    }

    fn numbers(written: &str) -> Vec<f64> {
        let drawn = draw(4000, 7, written).unwrap();
        drawn.iter().map(|value| value.parse().unwrap()).collect()
    }

    /// Wrong if the runs of every experiment that draws were others than before.
    #[test]
    fn what_is_drawn_stays_what_it_is() {
        for (written, golden) in GOLDEN {
            assert_eq!(draw(4, 0, written).unwrap(), golden, "{written}");
            let more = draw(9, 0, written).unwrap();
            assert_eq!(more[..4], golden, "{written}");
            assert_ne!(draw(9, 1, written).unwrap(), more, "the seed counts: {written}");
        }
    }

    const GOLDEN: [(&str, [&str; 4]); 6] = [
        ("uniform = [0.0, 1.0]", ["0.857505", "0.296222", "0.905908", "0.770583"]),
        ("log_uniform = [1e-4, 1.0]", ["0.269167", "0.00153069", "0.420372", "0.120874"]),
        ("uniform = [8, 64]", ["56", "24", "59", "51"]),
        ("uniform = [64, 512], step = 64", ["448", "192", "512", "448"]),
        ("log_uniform = [8, 1024]", ["513", "33", "649", "336"]),
        ("choice = [5, \"a\", { c = 1 }]", ["{ c = 1 }", "5", "{ c = 1 }", "{ c = 1 }"]),
    ];

    /// Wrong if part of what was asked for were never drawn, or drawn more often than the rest.
    #[test]
    fn all_of_a_distribution_is_drawn_alike() {
        let share = |values: &[f64], below: f64| {
            values.iter().filter(|value| **value < below).count() as f64 / values.len() as f64
        };
        // Of 4000 samples, half are below the middle, give or take 4 standard deviations.
        for (written, middle) in [
            ("uniform = [-3.0, 5.0]", 1.0),
            ("log_uniform = [1e-300, 1e300]", 1.0),
            ("uniform = [-1e308, 1e308]", 0.0),
            ("uniform = [1, 4]", 3.0),
            ("log_uniform = [1, 63]", 8.0),
        ] {
            let share = share(&numbers(written), middle);
            assert!((share - 0.5).abs() < 0.032, "{written}: {share} are below {middle}");
        }
        let (least, most) = (i64::MIN, i64::MAX);
        for (written, values) in [
            ("uniform = [1, 4]".to_owned(), vec![1, 2, 3, 4]),
            ("uniform = [0, 9], step = 4".to_owned(), vec![0, 4, 8]),
            (format!("uniform = [{least}, {most}], step = {most}"), vec![least, -1, most - 1]),
            ("choice = [5, 7]".to_owned(), vec![5, 7]),
        ] {
            let drawn = draw(4000, 7, &written).unwrap();
            for value in &values {
                let count = drawn.iter().filter(|drawn| **drawn == value.to_string()).count();
                let share = (count * values.len()) as f64 / 4000.0;
                assert!((share - 1.0).abs() < 0.12, "{written}: {value} comes {share} times");
            }
        }
    }

    #[test]
    fn drawn_numbers_are_short_and_never_beyond_their_ends() {
        for written in ["uniform = [0.1234567, 0.9]", "log_uniform = [1e-9, 12.3456789]"] {
            for value in numbers(written) {
                assert!(format!("{value:e}").split('e').next().unwrap().len() <= 7, "{value}");
            }
        }
        let close = numbers("uniform = [1000000.1, 1000000.2]");
        assert!(close.iter().all(|value| (1000000.1..=1000000.2).contains(value)));
        let different: std::collections::HashSet<u64> = close.iter().map(|v| v.to_bits()).collect();
        assert!(different.len() > 3000, "close ends are no reason to draw the same value");
    }
}
