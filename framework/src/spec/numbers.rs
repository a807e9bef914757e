//! Numbers that cannot hold nonsense: a setting of one of these types was checked when it was read.
//!
//! Settings are f64 and are cast to the dtype at use.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $words:literal, $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(value: f64) -> Result<Self, String> {
                let allowed: fn(f64) -> bool = $allowed;
                if allowed(value) {
                    Ok(Self(value + 0.0)) // -0.0 + 0.0 is 0.0: one spelling of zero
                } else {
                    Err(format!(concat!("expected ", $words, ", got {:?}"), value))
                }
            }
        }

        impl From<$name> for f64 {
            fn from(number: $name) -> f64 {
                number.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

number! {
    /// Strictly between 0 and 1.
    Rate, |v| v > 0.0 && v < 1.0, "a rate strictly between 0 and 1",
    { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }
}
number! {
    /// At least 0: the strength of a term.
    Strength, |v| v >= 0.0 && v.is_finite(), "a number of at least 0",
    { "type": "number", "minimum": 0 }
}
number! {
    /// More than 0.
    Positive, |v| v > 0.0 && v.is_finite(), "a number greater than 0",
    { "type": "number", "exclusiveMinimum": 0 }
}
number! {
    /// At least 1.
    AtLeastOne, |v| v >= 1.0 && v.is_finite(), "a number of at least 1",
    { "type": "number", "minimum": 1 }
}
number! {
    /// More than 1.
    Factor, |v| v > 1.0 && v.is_finite(), "a number greater than 1",
    { "type": "number", "exclusiveMinimum": 1 }
}
number! {
    /// From 0 to 1, both allowed.
    Share, |v| (0.0..=1.0).contains(&v), "a share from 0 to 1",
    { "type": "number", "minimum": 0, "maximum": 1 }
}
number! {
    /// More than 0 and at most 1: some of a whole, or all of it.
    PositiveShare, |v| v > 0.0 && v <= 1.0, "a share of more than 0 and at most 1",
    { "type": "number", "exclusiveMinimum": 0, "maximum": 1 }
}
number! {
    /// From 0 up to, but not, 1: a part of a whole that is never all of it.
    Portion, |v| (0.0..1.0).contains(&v), "a share of at least 0 and less than 1",
    { "type": "number", "minimum": 0, "exclusiveMaximum": 1 }
}
number! {
    /// From 0 up to, but not, 1: how often something happens.
    Chance, |v| (0.0..1.0).contains(&v), "a probability of at least 0 and less than 1",
    { "type": "number", "minimum": 0, "exclusiveMaximum": 1 }
}
number! {
    /// From 0 up to, but not, 1: a decay rate of a running mean.
    Decay, |v| (0.0..1.0).contains(&v), "a decay rate of at least 0 and less than 1",
    { "type": "number", "minimum": 0, "exclusiveMaximum": 1 }
}

/// A default that its type allows.
pub(super) fn valid<T: TryFrom<f64, Error = String>>(value: f64) -> T {
    match T::try_from(value) {
        Ok(value) => value,
        Err(error) => unreachable!("a default is out of its own range: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_fits_no_number_and_the_ends_are_as_documented() {
        assert!(Rate::try_from(f64::NAN).is_err() && Strength::try_from(f64::NAN).is_err());
        assert!(Positive::try_from(f64::NAN).is_err() && Share::try_from(f64::NAN).is_err());
        assert!(AtLeastOne::try_from(f64::NAN).is_err() && Decay::try_from(f64::NAN).is_err());
        assert!(Rate::try_from(0.0).is_err() && Rate::try_from(1.0).is_err());
        assert!(Strength::try_from(0.0).is_ok() && Strength::try_from(f64::INFINITY).is_err());
        assert!(Factor::try_from(1.0).is_err() && Factor::try_from(f64::NAN).is_err());
        assert!(Share::try_from(1.0).is_ok() && Decay::try_from(1.0).is_err());
        assert!(Chance::try_from(0.0).is_ok() && Chance::try_from(1.0).is_err());
        assert!(Portion::try_from(0.0).is_ok() && Portion::try_from(1.0).is_err());
        assert!(Portion::try_from(f64::NAN).is_err());
        assert!(PositiveShare::try_from(0.0).is_err() && PositiveShare::try_from(1.0).is_ok());
    }

    #[test]
    fn zero_has_one_spelling() {
        assert!(Strength::try_from(-0.0).unwrap().get().is_sign_positive());
    }
}
