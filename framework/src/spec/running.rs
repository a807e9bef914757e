//! The section `[run]`: what does not change results.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

use super::halving::Halving;
use super::node::{Node, Value};
use super::settings::Settings;
use super::train::Parsed;
use crate::diagnostics::Diagnostic;
use crate::plugin::NamedEvaluation;

/// The section `[run]`: what does not change results.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// How far apart checkpoints of a running run are: a duration as in "30s", the default, or
    /// seconds; 0 is one after every step.
    pub checkpoint: Option<Time>,
    /// A run that takes longer than this is stopped: a duration as in "2h", or seconds.
    pub timeout: Option<Time>,
    /// How often a run is started again whose process was killed or crashed.
    #[serde(default)]
    pub retries: usize,
    /// How much memory the process of a run may need, data included: "4 GiB", or bytes.
    #[serde(default, deserialize_with = "memory")]
    pub memory: Option<MemorySize>,
    /// After how long without a sign of life of a worker others take its run over: a duration of at most
    /// 1 h, 60 s by default. Where they can see that its process is gone, they do not wait.
    #[serde(default, deserialize_with = "lease")]
    #[schemars(extend("minimum" = 0.5, "maximum" = 3600))]
    pub lease: Option<Time>,
    /// Stops runs early that do badly in comparison with the others: `{ metric = "test_mse" }`.
    #[serde(default)]
    pub halving: Option<Halving>,
}

impl RunSettings {
    /// Reads the section. What `halving` names is looked for among `evaluations` and `axes`, where
    /// these are known.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(
        node: &Node,
        evaluations: Option<&[NamedEvaluation]>,
        axes: Option<&[&str]>,
    ) -> Parsed<Self> {
        let Value::TomlTable(table) = &node.value else {
            let message = format!("`run` is a table, got {}", node.type_name());
            return Err(vec![Diagnostic::at(&node.origin, message)]);
        };
        let mut table = table.clone();
        let halving = table
            .remove("halving")
            .map(|entry| Halving::read(&entry.node, evaluations, axes))
            .transpose();
        let rest = Node { origin: node.origin.clone(), value: Value::TomlTable(table) };
        match (Settings::new("run", rest).read::<Self>(), halving) {
            (Ok(rest), Ok(halving)) => Ok(Self { halving, ..rest }),
            (rest, halving) => {
                let problems = rest.err().into_iter().flatten();
                Err(problems.chain(halving.err().into_iter().flatten()).collect())
            }
        }
    }

    /// How far apart checkpoints are.
    pub fn checkpoint(&self) -> Duration {
        self.checkpoint.map_or(Duration::from_secs(30), |time| time.0)
    }

    /// How long a worker that gives no sign of life keeps its run.
    pub fn lease(&self) -> Duration {
        self.lease.map_or(Duration::from_secs(60), |time| time.0)
    }
}

/// A length of time: "90s", "1h 30m", or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("type" = ["string", "number"], "minimum" = 0))]
pub struct Time(pub Duration);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl de::Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration as in \"30s\" or \"1h 30m\", or a number of seconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                humantime::parse_duration(text)
                    .map(Time)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
                self.visit_f64(seconds as f64)
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
                Duration::try_from_secs_f64(seconds)
                    .map(Time)
                    .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
            }
        }
        deserializer.deserialize_any(TimeVisitor)
    }
}

/// A limit so low that no process of this program could start is none.
fn memory<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<Option<MemorySize>, D::Error> {
    const LEAST: u64 = 100_000_000;
    let bytes = MemorySize::deserialize(deserializer)?;
    if bytes.0 < LEAST {
        let expected = "at least \"100 MB\", which the program itself needs";
        return Err(de::Error::invalid_value(de::Unexpected::Unsigned(bytes.0), &expected));
    }
    Ok(Some(bytes))
}

/// The longest lease that may be set, and that is believed of a claim: a claim may come from a stranger, and
/// nobody is to wait for it for ever.
pub const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// A lease so short that no worker could keep it is none, and so is one longer than others believe.
fn lease<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    const LEAST: Duration = Duration::from_millis(500);
    let time = Time::deserialize(deserializer)?;
    if !(LEAST..=LONGEST_LEASE).contains(&time.0) {
        let expected = "a duration of at least 500ms and at most 1h";
        let found = de::Unexpected::Float(time.0.as_secs_f64());
        return Err(de::Error::invalid_value(found, &expected));
    }
    Ok(Some(time))
}

/// An amount of memory: "4 GiB", "500 MB", or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("type" = ["string", "integer"], "minimum" = 0))]
pub struct MemorySize(pub u64);

impl Serialize for MemorySize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl de::Visitor<'_> for BytesVisitor {
            type Value = MemorySize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an amount of memory as in \"4 GiB\" or \"500 MB\", or a number of bytes",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MemorySize, E> {
                text.parse::<ByteSize>()
                    .map(|size| MemorySize(size.as_u64()))
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<MemorySize, E> {
                Ok(MemorySize(bytes))
            }
        }
        deserializer.deserialize_any(BytesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RunSettings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn durations_and_amounts_are_read_with_their_units_and_without() {
        let settings = read("checkpoint = 0.0\ntimeout = \"1h 30m\"\nmemory = \"4 GiB\"").unwrap();
        assert_eq!(settings.checkpoint(), Duration::ZERO);
        assert_eq!(settings.timeout.unwrap().0, Duration::from_secs(5400));
        assert_eq!(settings.memory.unwrap().0, 4 << 30);
        assert_eq!(read("memory = \"200 MB\"").unwrap().memory, Some(MemorySize(200_000_000)));
        let none = read("").unwrap();
        assert_eq!(
            (none.checkpoint(), none.lease()),
            (Duration::from_secs(30), Duration::from_secs(60))
        );
    }

    #[test]
    fn what_no_worker_could_keep_to_is_refused() {
        for text in ["memory = \"0\"", "memory = \"30 MB\"", "memory = \"1 XB\"", "lease = 0.0"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("memory = \"30 MB\"").unwrap_err().contains("at least \"100 MB\""));
        assert!(read("lease = 0.1").unwrap_err().contains("at least 500ms"));
        for text in ["lease = 3600.1", "lease = \"61m\"", "lease = 1e19"] {
            assert!(read(text).unwrap_err().contains("at most 1h"), "{text}");
        }
        assert_eq!(read("lease = \"1h\"").unwrap().lease(), LONGEST_LEASE);
    }
}
