//! Shapes of tables: their columns without values. Tables are united under a shape, which is known before
//! any value is read.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Column, Table, Values};

/// Type of the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Numbers.
    Number,
    /// Whole numbers.
    Whole,
    /// True or false.
    Flag,
}

/// A column without its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Name of the column.
    pub name: String,
    /// Type of its values.
    pub kind: ColumnKind,
    /// True if all values are null: then it takes any kind.
    pub is_null: bool,
}

/// Columns of a table in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(pub Vec<Field>);

impl Shape {
    /// Columns of a table.
    pub fn of(table: &Table) -> Self {
        let field = |Column { name, values }: &Column| Field {
            name: name.clone(),
            kind: values.kind(),
            is_null: values.is_null(),
        };
        Self(table.columns().iter().map(field).collect())
    }

    /// Columns of tables that are put one below the other, in the order of their first appearance. Where
    /// kinds differ, whole numbers become numbers and anything else becomes text.
    pub fn union<'a>(shapes: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all: Vec<Field> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for field in shapes.into_iter().flat_map(|shape| &shape.0) {
            match places.get(&field.name) {
                Some(place) => {
                    let known = &mut all[*place];
                    known.kind = match (known.is_null, field.is_null) {
                        (_, true) => known.kind,
                        (true, false) => field.kind,
                        (false, false) => known.kind.with(field.kind),
                    };
                    known.is_null &= field.is_null;
                }
                None => {
                    places.insert(field.name.clone(), all.len());
                    all.push(field.clone());
                }
            }
        }
        Self(all)
    }

    /// Returns whether both have the same columns of the same kinds in the same order.
    pub fn is_like(&self, other: &Self) -> bool {
        let columns = |shape: &Self| -> Vec<(String, ColumnKind)> {
            shape.0.iter().map(|field| (field.name.clone(), field.kind)).collect()
        };
        columns(self) == columns(other)
    }

    /// Returns whether a table of this shape can be restored from its rows in a table of the shape `all`.
    pub fn is_kept_in(&self, all: &Self) -> bool {
        let kinds: HashMap<&str, ColumnKind> =
            all.0.iter().map(|field| (field.name.as_str(), field.kind)).collect();
        let is_kept = |field: &Field| {
            kinds.get(field.name.as_str()).is_some_and(|kind| *kind == field.kind || field.is_null)
        };
        self.0.iter().all(is_kept)
    }
}

impl ColumnKind {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Whole, Self::Number) | (Self::Number, Self::Whole) => Self::Number,
            _ => Self::Text,
        }
    }

    fn nulls(self, rows: usize) -> Values {
        match self {
            Self::Text => Values::Text(vec![None; rows]),
            Self::Number => Values::Number(vec![None; rows]),
            Self::Whole => Values::Whole(vec![None; rows]),
            Self::Flag => Values::Flag(vec![None; rows]),
        }
    }
}

impl Values {
    /// Type of the values.
    pub const fn kind(&self) -> ColumnKind {
        match self {
            Self::Text(_) => ColumnKind::Text,
            Self::Number(_) => ColumnKind::Number,
            Self::Whole(_) => ColumnKind::Whole,
            Self::Flag(_) => ColumnKind::Flag,
        }
    }

    /// Converts the values to another kind; to nulls where that is impossible.
    fn into_kind(self, kind: ColumnKind) -> Self {
        match (self, kind) {
            (values, kind) if values.kind() == kind => values,
            (values, kind) if values.is_null() => kind.nulls(values.len()),
            (Self::Whole(values), ColumnKind::Number) => Self::Number(crate::numbers(values)),
            (values, ColumnKind::Text) => Self::Text(values.texts()),
            (values, kind) => kind.nulls(values.len()),
        }
    }

    fn slice(&self, start: usize, end: usize) -> Self {
        match self {
            Self::Text(values) => Self::Text(values[start..end].to_vec()),
            Self::Number(values) => Self::Number(values[start..end].to_vec()),
            Self::Whole(values) => Self::Whole(values[start..end].to_vec()),
            Self::Flag(values) => Self::Flag(values[start..end].to_vec()),
        }
    }
}

impl Table {
    /// Returns the table with just these columns, in this order: nulls where it lacks one.
    #[must_use]
    pub fn shaped(self, shape: &Shape) -> Self {
        let rows = self.rows();
        self.shaped_to(shape, rows)
    }

    /// Returns the same for a table of `rows` rows that may have no columns yet.
    pub(crate) fn shaped_to(self, shape: &Shape, rows: usize) -> Self {
        let mut known: HashMap<String, Values> =
            self.columns.into_iter().map(|Column { name, values }| (name, values)).collect();
        let columns = shape.0.iter().map(|Field { name, kind, .. }| {
            let values = known.remove(name);
            let values = values.map_or_else(|| kind.nulls(rows), |values| values.into_kind(*kind));
            Column { name: name.clone(), values }
        });
        Self { columns: columns.collect() }
    }

    /// Returns the rows from `start` on and before `end`.
    ///
    /// # Panics
    /// If there are fewer rows.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let slice = |Column { name, values }: &Column| Column {
            name: name.clone(),
            values: values.slice(start, end),
        };
        Self { columns: self.columns.iter().map(slice).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, values: Values) -> Table {
        let mut table = Table::default();
        table.set(name, values);
        table
    }

    /// Wrong if tables made at once differed from those made bit by bit.
    #[test]
    fn shapes_unite_as_tables_do() {
        let parts = [
            one("a", Values::Text(vec![None])),
            one("a", Values::Whole(vec![Some(1)])),
            one("b", Values::Flag(vec![Some(true)])),
            one("a", Values::Number(vec![Some(0.5)])),
            one("b", Values::Text(vec![None])),
            one("b", Values::Whole(vec![Some(3)])),
        ];
        for from in 0..parts.len() {
            for to in from + 1..=parts.len() {
                let parts = &parts[from..to];
                let all = Table::union(parts.iter().cloned());
                let shapes: Vec<Shape> = parts.iter().map(Shape::of).collect();
                let shape = Shape::union(&shapes);
                assert_eq!(shape, Shape::of(&all));
                let shaped = parts.iter().map(|part| part.clone().shaped(&shape));
                assert_eq!(Table::union(shaped), all);
            }
        }
    }

    #[test]
    fn what_was_widened_cannot_be_had_back() {
        let (whole, null) =
            (one("a", Values::Whole(vec![Some(1)])), one("a", Values::Text(vec![None])));
        let number = Shape::of(&one("a", Values::Number(vec![Some(0.5)])));
        assert!(!Shape::of(&whole).is_kept_in(&number));
        assert!(Shape::of(&null).is_kept_in(&number));
        assert!(!number.is_kept_in(&Shape::default()));
        let back = null.clone().shaped(&number).shaped(&Shape::of(&null));
        assert_eq!(back, null);
    }
}
