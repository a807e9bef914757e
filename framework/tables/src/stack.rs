//! Reads tables in Parquet files: only the columns that are asked for, some rows at a time.

use std::collections::{BTreeSet, HashMap};
use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::{ParquetReader, SerReader};
use polars_parquet::parquet::metadata::{FileMetadata, RowGroupMetadata};

use crate::{ColumnKind, Field, Shape, Table, TableError, Values, guard, quiet};

/// One table out of several files, one below the other. It has the columns of all files, and nulls where
/// a file lacks one. The label's column says which file a row comes from.
pub struct Stack {
    files: Vec<StackFile>,
    shape: Shape,
    label: &'static str,
}

/// A file of a table.
struct StackFile {
    /// Text for the label's column, unless the file has that column.
    label: Option<String>,
    bytes: Vec<u8>,
    /// Its metadata, without its groups of rows.
    about: FileMetadata,
    groups: Vec<RowGroupMetadata>,
    /// Its columns, with that of the label.
    shape: Shape,
}

impl Stack {
    /// Opens Parquet files, each with the text for the column `label`. Reads their metadata, and values
    /// only of columns whose type differs between files.
    ///
    /// # Errors
    /// If one of them is not a file of a table.
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

    /// Columns of the table.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Passes these columns to `see`, some rows at a time: a table with just these columns, in the order
    /// of [`shape`](Self::shape), and its number of rows. Without columns, only that number counts.
    ///
    /// # Errors
    /// If a file cannot be read; or the error that `see` returns.
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

    /// Finds out whether all values of a column of the file are null.
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

/// Columns whose type differs between files.
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
