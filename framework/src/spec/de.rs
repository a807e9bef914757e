//! Reads a [`Node`] through serde and keeps the place of what goes wrong.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::node::{KeyValue, Node, Value};
use crate::diagnostics::Origin;

/// What serde found wrong, and where.
#[derive(Debug)]
pub struct Error {
    /// What is wrong.
    pub kind: Mistake,
    /// The innermost place known.
    pub origin: Option<Origin>,
    /// The outermost key on the way to it.
    pub key: Option<String>,
}

/// The kinds of mistakes that get an answer of their own.
#[derive(Debug)]
pub enum Mistake {
    /// A key that the settings do not have, and those that they have.
    UnknownKey(String, &'static [&'static str]),
    /// A key that is needed.
    MissingKey(&'static str),
    /// A value outside a list of names.
    UnknownName(String, &'static [&'static str]),
    /// Anything else, in words.
    Message(String),
}

impl Error {
    fn new(kind: Mistake) -> Self {
        Self { kind, origin: None, key: None }
    }

    /// Adds the place, unless a more exact one is known.
    fn within(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Mistake::UnknownKey(key, _) => write!(f, "there is no setting `{key}`"),
            Mistake::MissingKey(key) => write!(f, "`{key}` is missing"),
            Mistake::UnknownName(name, known) => {
                write!(f, "`{name}` is not one of {}", known.join(", "))
            }
            Mistake::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Mistake::Message(message.to_string()))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let message = format!("expected {}, got {}", plain(expected), plain_found(found));
        Self::new(Mistake::Message(message))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownKey(field.to_owned(), expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownName(variant.to_owned(), expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Mistake::MissingKey(field))
    }
}

/// Serde names Rust types; a user of the file thinks in TOML's.
fn plain(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "f64" | "f32" => "a number".into(),
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number of at least 0".into(),
        "a nonzero usize" | "a nonzero u64" | "a nonzero u32" => {
            "a whole number of at least 1".into()
        }
        "i64" | "i32" => "a whole number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        other if other.starts_with("struct ") => "a table".into(),
        _ => expected,
    }
}

fn plain_found(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Unsigned(number) => format!("{number}"),
        de::Unexpected::Signed(number) => format!("{number}"),
        de::Unexpected::Float(number) => format!("{number:?}"),
        de::Unexpected::Bool(flag) => format!("{flag}"),
        de::Unexpected::Str(text) => format!("the string {text:?}"),
        de::Unexpected::Seq => "a list".into(),
        de::Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read = match &self.value {
            Value::TomlTable(table) => visitor.visit_map(TableEntries::new(&table.entries)),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Datetime(text) => {
                let found = format!("the date {text}");
                Err(de::Error::invalid_type(de::Unexpected::Other(&found), &visitor))
            }
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(*number),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
        };
        read.map_err(|error| error.within(&self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self).map_err(|error| error.within(&self.origin))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error| error.within(&self.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let read = match self.as_str() {
            Some(text) => visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(text)),
            None => {
                let message =
                    format!("expected one of {}, got {}", variants.join(", "), self.type_name());
                let _ = name;
                Err(Error::new(Mistake::Message(message)))
            }
        };
        read.map_err(|error| error.within(&self.origin))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct TableEntries<'de> {
    rest: std::slice::Iter<'de, KeyValue>,
    current: Option<&'de KeyValue>,
}

impl<'de> TableEntries<'de> {
    fn new(entries: &'de [KeyValue]) -> Self {
        Self { rest: entries.iter(), current: None }
    }
}

impl<'de> de::MapAccess<'de> for TableEntries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key: de::value::StrDeserializer<'_, Error> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| {
            let mut error = error.within(&entry.key_origin);
            error.key = Some(entry.key.clone());
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.current else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(&entry.node).map_err(|error| {
            let mut error = error.within(&entry.node.origin);
            error.key = Some(entry.key.clone());
            error
        })
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|error| error.within(&node.origin))
    }
}
