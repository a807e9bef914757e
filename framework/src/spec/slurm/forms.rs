//! The forms that values of options have, as `sbatch` reads them.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::spec::node::{Node, Value};

/// The form of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything in one line.
    Text,
    /// A length of time: minutes, or with colons and a dash.
    Time,
    /// An amount of memory or disk: megabytes, or with a unit.
    Memory,
    /// A whole number of at least 1.
    Count,
    /// A whole number of at least 0.
    Number,
    /// 1: what else would be asked for, a worker could not use.
    One,
    /// True or false.
    Flag,
    /// True or false, or a word.
    FlagOrText,
}

const TIME: &str = "a time as Slurm takes it, such as 90 (minutes), \"8:00:00\" or \"2-12:00\" (days-hours:minutes)";
const MEMORY: &str =
    "an amount as Slurm takes it: a whole number of megabytes, or with a unit, as in \"8G\"";

/// Patterns of the schema, which say what the functions below read.
const TIME_PATTERN: &str =
    r"^([0-9]+-[0-9]+(:[0-9]+){0,2}|[0-9]+(:[0-9]+){0,2}|UNLIMITED|INFINITE)$";
const MEMORY_PATTERN: &str = "^[0-9]+([KMGTkmgt][Bb]?)?$";

impl Form {
    /// The value as `sbatch` takes it, empty for a flag that is set; `None`: a flag that is not.
    ///
    /// # Errors
    /// What is expected in its place.
    pub fn read(self, node: &Node) -> Result<Option<String>, &'static str> {
        match (self, &node.value) {
            (Self::Flag | Self::FlagOrText, Value::Boolean(flag)) => Ok(flag.then(String::new)),
            (Self::Flag, _) => Err("true or false"),
            (_, Value::String(text)) => self.read_text(text),
            (_, Value::Integer(number)) => self.read_text(&number.to_string()),
            _ => Err(self.expected()),
        }
    }

    fn read_text(self, text: &str) -> Result<Option<String>, &'static str> {
        let number = text.parse::<u64>().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
        let is_right = match self {
            Self::Text | Self::FlagOrText => is_line(text),
            Self::Time => time_limit(text).is_ok(),
            Self::Memory => is_memory(text),
            Self::Count => number.is_some_and(|number| number > 0),
            Self::Number => number.is_some(),
            Self::One => number == Some(1),
            Self::Flag => false,
        };
        if is_right { Ok(Some(text.to_owned())) } else { Err(self.expected()) }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a line of text",
            Self::Time => TIME,
            Self::Memory => MEMORY,
            Self::Count => "a whole number of at least 1",
            Self::Number => "a whole number of at least 0",
            Self::One => {
                "1, since each worker is one process on one node (`workers` says how many there are)"
            }
            Self::Flag => "true or false",
            Self::FlagOrText => "true, false or a word",
        }
    }

    /// The JSON Schema of such a value.
    pub fn schema(self) -> Json {
        match self {
            Self::Text => json!({ "type": ["string", "integer"], "pattern": r"^[^\n]+$" }),
            Self::Time => {
                json!({ "type": ["string", "integer"], "pattern": TIME_PATTERN, "minimum": 0 })
            }
            Self::Memory => {
                json!({ "type": ["string", "integer"], "pattern": MEMORY_PATTERN, "minimum": 0 })
            }
            Self::Count => {
                json!({ "type": ["string", "integer"], "pattern": "^[0-9]*[1-9][0-9]*$", "minimum": 1 })
            }
            Self::Number => {
                json!({ "type": ["string", "integer"], "pattern": "^[0-9]+$", "minimum": 0 })
            }
            Self::One => json!({ "enum": [1, "1"] }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::FlagOrText => {
                json!({ "type": ["boolean", "string", "integer"], "pattern": r"^[^\n]+$" })
            }
        }
    }
}

/// A text in one line.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn is_memory(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let plain = unit.strip_suffix(['B', 'b']).filter(|plain| !plain.is_empty()).unwrap_or(unit);
    unit.len() < text.len() && matches!(plain, "" | "K" | "M" | "G" | "T" | "k" | "m" | "g" | "t")
}

/// A time limit as Slurm reads it: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`,
/// `days-hours:minutes` or `days-hours:minutes:seconds`. `None`: there is no limit.
///
/// # Errors
/// If it is none.
pub fn time_limit(text: &str) -> Result<Option<Duration>, &'static str> {
    if ["UNLIMITED", "INFINITE"].contains(&text) {
        return Ok(None);
    }
    let number = |part: &str| -> Result<u64, &'static str> {
        let is_plain = !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        part.parse().ok().filter(|_| is_plain).ok_or(TIME)
    };
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts: Vec<u64> = rest.split(':').map(number).collect::<Result<_, _>>()?;
    let (hours, minutes, seconds) = match (days, &parts[..]) {
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return Err(TIME),
    };
    let hours = days.unwrap_or(0).saturating_mul(24).saturating_add(hours);
    let minutes = hours.saturating_mul(60).saturating_add(minutes);
    let seconds = minutes.saturating_mul(60).saturating_add(seconds);
    // Slurm takes 0 for no limit.
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_slurm_reads_them() {
        let seconds = |text| time_limit(text).unwrap().map(|limit| limit.as_secs());
        for (text, expected) in [
            ("90", 5400),
            ("90:30", 5430),
            ("1:30:00", 5400),
            ("2-12", 60 * 3600),
            ("2-12:30", 60 * 3600 + 1800),
            ("2-12:30:10", 60 * 3600 + 1810),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!((seconds("0"), seconds("UNLIMITED")), (None, None));
        for text in ["", "1h", "8 hours", "1:2:3:4", "1-", "-1", "+5", "1-2-3", "1.5", "1-2:3:4:5"]
        {
            assert!(time_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_whole_and_have_a_unit_that_slurm_knows() {
        for text in ["4000", "8G", "8g", "500M", "1T", "8GB", "0"] {
            assert!(is_memory(text), "{text}");
        }
        for text in ["", "G", "1.5G", "8 G", "8GiB", "8X", "-1", "8B"] {
            assert!(!is_memory(text), "{text}");
        }
    }
}
