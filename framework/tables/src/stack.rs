//! Tables in Parquet files, of which only the columns that are asked for are read, some rows at a time.

use std::collections::{BTreeSet, HashMap};
use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::{ParquetReader, SerReader};
use polars_parquet::parquet::metadata::{FileMetadata, RowGroupMetadata};

use crate::{ColumnKind, Field, Shape, Table, TableError, Values, guard, quiet};

/// One table out of several files, one below the other. It has the columns of all, and nulls where a
/// file lacks one. A column of each file says where its rows come from.
pub struct Stack {
    files: Vec<StackFile>,
    shape: Shape,
    label: &'static str,
}

/// A file of a table.
struct StackFile {
    /// The text that stands in the label's column, unless the file has that column.
    label: Option<String>,
    bytes: Vec<u8>,
    /// What it says of itself, but for its groups of rows.
    about: FileMetadata,
    groups: Vec<RowGroupMetadata>,
    /// Its columns, with the label's.
    shape: Shape,
}

impl Stack {
    /// Opens Parquet files, each with the text for the column `label`. Reads what they say of
    /// themselves, and values only where the same column has different types.
    ///
    /// # Errors
    /// If one of them is no file of a table.
    pub fn open(files: Vec<(String, Vec<u8>)>, label: &'static str) -> Result<Self, TableError> {
        let mut files: Vec<StackFile> = files
            .into_iter()
            .map(|(text, bytes)| StackFile::open(bytes, label, text))
            .collect::<Result<_, _>>()?;
        for name in mixed(&files) {
            for file in &mut files {
                file.find_nulls(&name)?;
            }
        }
        let shape = Shape::union(files.iter().map(|file| &file.shape));
        Ok(Self { files, shape, label })
    }

    /// The columns.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Hands these columns to `see`, some rows after others, each time as a table with just these
    /// columns in this order. Without columns there is only the number of rows, which comes beside.
    ///
    /// # Errors
    /// If a file cannot be read, or what `see` returns.
    pub fn read<E: From<TableError>>(
        &self,
        columns: &[&str],
        mut see: impl FnMut(Table, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_wanted = |field: &&Field| columns.contains(&field.name.as_str());
        let wanted = Shape(self.shape.0.iter().filter(is_wanted).cloned().collect());
        for file in &self.files {
            let label = file.label.as_ref();
            let own = file.shape.0.iter().filter(is_wanted).map(|field| field.name.clone());
            let (labels, own): (Vec<String>, Vec<String>) =
                own.partition(|name| label.is_some() && *name == self.label);
            for group in &file.groups {
                let rows = group.num_rows();
                let mut table = match own.is_empty() {
                    true => Table::default(),
                    false => file.read(std::slice::from_ref(group), &own)?,
                };
                for name in &labels {
                    table.set(name, Values::Text(vec![label.cloned(); rows]));
                }
                see(table.shaped_to(&wanted, rows), rows)?;
            }
        }
        Ok(())
    }
}

impl StackFile {
    fn open(bytes: Vec<u8>, label: &str, text: String) -> Result<Self, TableError> {
        let about = quiet::caught(|| guard::check(&bytes)).unwrap_or_else(|| Err(no_table()));
        let mut about = about?;
        let groups = std::mem::take(&mut about.row_groups);
        let mut file = Self { label: None, bytes, about, groups, shape: Shape::default() };
        let fields = file.about.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        file.shape = Shape::of(&file.read(&[], &names)?);
        // Where there are rows, only their values tell whether all are null.
        let is_null = file.groups.is_empty();
        file.shape.0.iter_mut().for_each(|field| field.is_null = is_null);
        if !names.iter().any(|name| name == label) {
            let field = Field { name: label.to_owned(), kind: ColumnKind::Text, is_null: false };
            file.shape.0.push(field);
            file.label = Some(text);
        }
        Ok(file)
    }

    /// Looks whether a column that is in the file is null throughout.
    fn find_nulls(&mut self, name: &str) -> Result<(), TableError> {
        if let Some(at) = self.shape.0.iter().position(|field| field.name == name)
            && (self.label.is_none() || at + 1 < self.shape.0.len())
        {
            let column = self.read(&self.groups, &[name.to_owned()])?;
            self.shape.0[at].is_null = Shape::of(&column).0.iter().all(|field| field.is_null);
        }
        Ok(())
    }

    /// Reads columns of some groups of rows.
    fn read(&self, groups: &[RowGroupMetadata], columns: &[String]) -> Result<Table, TableError> {
        let mut about = self.about.clone();
        about.row_groups = groups.to_vec();
        about.num_rows = groups.iter().map(RowGroupMetadata::num_rows).sum();
        quiet::caught(|| {
            let mut reader = ParquetReader::new(Cursor::new(self.bytes.as_slice()))
                .with_columns(Some(columns.to_vec()));
            reader.set_metadata(Arc::new(about));
            Table::read(reader, self.bytes.len())
        })
        .unwrap_or_else(|| Err(no_table()))
    }
}

/// The columns whose type is not the same in all files.
fn mixed(files: &[StackFile]) -> BTreeSet<String> {
    let mut kinds = HashMap::new();
    let mut mixed = BTreeSet::new();
    for field in files.iter().flat_map(|file| &file.shape.0) {
        if *kinds.entry(&field.name).or_insert(field.kind) != field.kind {
            mixed.insert(field.name.clone());
        }
    }
    mixed
}

fn no_table() -> TableError {
    TableError("this is no whole Parquet file of a table".to_owned())
}
