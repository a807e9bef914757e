//! Which latents of a code are active: the one definition, which L0, firing rates, dead latents,
//! thresholded errors and searches for a target go by.

use super::{CodeRange, Penalty};

/// The rule by which a latent of a code counts as active. What is not active is 0 in thresholded
/// codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum L0Rule {
    /// h ≠ 0.
    Nonzero,
    /// h > 0.5.
    Above,
    /// |h| > 0.5.
    Magnitude,
}

impl L0Rule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Nonzero, Self::Above, Self::Magnitude];

    /// The rule for codes of this range under this penalty. It is `Nonzero` where codes can be
    /// exactly 0; else `Above` for codes between 0 and 1, and for codes between −1 and 1 if the
    /// penalty treats one sign as "off"; else `Magnitude`.
    pub fn of(range: CodeRange, penalty: &dyn Penalty) -> Self {
        match range {
            _ if penalty.leaves_zeros() => Self::Nonzero,
            CodeRange::Real | CodeRange::NonNegative => Self::Nonzero,
            CodeRange::Symmetric if penalty.treats_signs_alike() => Self::Magnitude,
            CodeRange::Unit | CodeRange::Symmetric => Self::Above,
        }
    }

    /// The name of the rule in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nonzero => "nonzero",
            Self::Above => "above",
            Self::Magnitude => "magnitude",
        }
    }

    /// The value that h or |h| must exceed; 0 for `Nonzero`.
    pub const fn threshold(self) -> f64 {
        match self {
            Self::Nonzero => 0.0,
            Self::Above | Self::Magnitude => 0.5,
        }
    }

    /// What makes a latent active, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nonzero => "where it is not 0",
            Self::Above => "above 0.5",
            Self::Magnitude => "where its absolute value is above 0.5",
        }
    }

    /// What makes a latent active, in a heading.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Nonzero => "not 0",
            Self::Above => "above 0.5",
            Self::Magnitude => "beyond ±0.5",
        }
    }

    /// What a latent is called that is active on no sample: only one that is always 0 is dead.
    pub const fn never_active(self) -> &'static str {
        match self {
            Self::Nonzero => "dead",
            Self::Above => "never above 0.5",
            Self::Magnitude => "never beyond ±0.5",
        }
    }

    /// Whether a latent of this value is active.
    #[inline(always)]
    pub fn is_active(self, value: f32) -> bool {
        match self {
            Self::Nonzero => value != 0.0,
            Self::Above => value > 0.5,
            Self::Magnitude => value.abs() > 0.5,
        }
    }

    /// How many of these values are active.
    #[inline(always)]
    pub fn count(self, values: &[f32]) -> usize {
        // A loop for each rule, so that each is vectorised.
        match self {
            Self::Nonzero => values.iter().filter(|value| Self::Nonzero.is_active(**value)).count(),
            Self::Above => values.iter().filter(|value| Self::Above.is_active(**value)).count(),
            Self::Magnitude => {
                values.iter().filter(|value| Self::Magnitude.is_active(**value)).count()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a rule counted another sign than it says, or 0.5 itself, or a negative zero.
    #[test]
    fn each_rule_by_hand() {
        let code = [-1.0, -0.6, -0.5, -0.4, -0.0, 0.0, 0.4, 0.5, 0.6, 1.0];
        let active = |rule: L0Rule| -> Vec<f32> {
            code.iter().copied().filter(|value| rule.is_active(*value)).collect()
        };
        assert_eq!(active(L0Rule::Nonzero), [-1.0, -0.6, -0.5, -0.4, 0.4, 0.5, 0.6, 1.0]);
        assert_eq!(active(L0Rule::Above), [0.6, 1.0]);
        assert_eq!(active(L0Rule::Magnitude), [-1.0, -0.6, 0.6, 1.0]);
        assert_eq!(L0Rule::ALL.map(|rule| rule.count(&code)), [8, 2, 4]);
    }
}
