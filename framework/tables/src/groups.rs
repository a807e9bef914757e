//! Makes Parquet files out of groups of rows. Each group is complete in itself; only the footer says
//! where it is. So a group that has not changed is copied from an earlier file as it is, in a thousandth
//! of the time of reading and writing its values.

use std::borrow::Cow;
use std::io::Cursor;

use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
use polars_parquet_format::{FileMetaData, RowGroup};

use crate::{Table, TableError, guard, quiet, write_frame};

const MAGIC: &[u8] = b"PAR1";

/// Cells per byte of a packed group; a group with more is left unpacked. Half of what a file of tables
/// may have: see [`guard`].
const CELLS_A_BYTE: usize = guard::CELLS_A_BYTE / 2;

/// Rows of a table, as bytes of a file.
#[derive(Clone)]
pub struct TableRows<'a> {
    bytes: Cow<'a, [u8]>,
    /// Start of the bytes in the file that `about` describes.
    start: i64,
    about: Vec<RowGroup>,
}

impl TableRows<'static> {
    /// Encodes the rows of a table.
    ///
    /// # Errors
    /// If polars cannot write them.
    pub fn of(table: &Table) -> Result<Self, TableError> {
        let frame = table.frame()?;
        let cells = table.rows() * table.columns().len();
        let is_large = table.rows() >= crate::LARGE;
        let mut file = write_frame(&frame, is_large)?;
        if is_large && file.len() * CELLS_A_BYTE < cells {
            file = write_frame(&frame, false)?;
        }
        let (metadata, end) = footer(&file)?;
        file.truncate(end);
        file.drain(..MAGIC.len());
        Ok(Self { bytes: file.into(), start: MAGIC.len() as i64, about: metadata.row_groups })
    }
}

impl<'a> TableRows<'a> {
    /// Returns the groups of a file that [`join`] made.
    ///
    /// # Errors
    /// If it is not such a file.
    pub fn all(file: &'a [u8]) -> Result<Vec<Self>, TableError> {
        let (metadata, end) = footer(file)?;
        let starts: Option<Vec<usize>> = metadata.row_groups.iter().map(start).collect();
        let starts = starts.ok_or_else(not_ours)?;
        let ends = starts.iter().skip(1).copied().chain([end]);
        let ranges: Vec<_> = starts.iter().zip(ends).map(|(start, end)| *start..end).collect();
        let groups = ranges.into_iter().zip(metadata.row_groups).map(|(range, about)| {
            let start = range.start as i64;
            let bytes = file.get(range).ok_or_else(not_ours)?.into();
            Ok(Self { bytes, start, about: vec![about] })
        });
        groups.collect()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.about.iter().map(|group| group.num_rows as usize).sum()
    }

    /// Decodes the rows, with the columns of `empty`.
    ///
    /// # Errors
    /// If the rows have other columns.
    pub fn read(&self, empty: &Table) -> Result<Table, TableError> {
        Table::from_parquet(&join(empty, [self])?)
    }
}

/// Joins groups to one file, in this order. Each has the columns of `empty`, a table without rows.
///
/// # Errors
/// If polars cannot write them.
pub fn join<'a, 'b: 'a>(
    empty: &Table,
    groups: impl IntoIterator<Item = &'a TableRows<'b>>,
) -> Result<Vec<u8>, TableError> {
    let (mut metadata, _) = footer(&write_frame(&empty.frame()?, false)?)?;
    metadata.row_groups.clear();
    metadata.num_rows = 0;
    let mut file = MAGIC.to_vec();
    for group in groups {
        let moved = file.len() as i64 - group.start;
        for mut about in group.about.iter().cloned() {
            about.ordinal = i16::try_from(metadata.row_groups.len()).ok();
            about.file_offset = about.file_offset.map(|offset| offset + moved);
            for column in &mut about.columns {
                if column.file_offset != 0 {
                    column.file_offset += moved;
                }
                if let Some(column) = &mut column.meta_data {
                    column.data_page_offset += moved;
                    column.dictionary_page_offset =
                        column.dictionary_page_offset.map(|offset| offset + moved);
                }
            }
            metadata.num_rows += about.num_rows;
            metadata.row_groups.push(about);
        }
        file.extend_from_slice(&group.bytes);
    }
    let mut protocol = TCompactOutputProtocol::new(&mut file);
    let length = metadata.write_to_out_protocol(&mut protocol).map_err(said)?;
    file.extend_from_slice(&(length as u32).to_le_bytes());
    file.extend_from_slice(MAGIC);
    Ok(file)
}

/// Reads the footer of a file, and where its groups end.
fn footer(file: &[u8]) -> Result<(FileMetaData, usize), TableError> {
    let read = || {
        guard::check_footer(file).ok_or_else(not_ours)?;
        let (rest, length) =
            file[..file.len() - MAGIC.len()].split_last_chunk().ok_or_else(not_ours)?;
        let length = u32::from_le_bytes(*length) as usize;
        let end = rest.len().checked_sub(length).ok_or_else(not_ours)?;
        // The decoded footer takes more memory than its bytes; `check_footer` saw that all of it is
        // there.
        let mut protocol =
            TCompactInputProtocol::new(Cursor::new(&rest[end..]), 100 * length + (1 << 20));
        let metadata = FileMetaData::read_from_in_protocol(&mut protocol).map_err(said)?;
        Ok((metadata, end))
    };
    quiet::caught(read).unwrap_or_else(|| Err(not_ours()))
}

/// Start of a group: its first page.
fn start(group: &RowGroup) -> Option<usize> {
    let column = group.columns.first()?.meta_data.as_ref()?;
    usize::try_from(column.dictionary_page_offset.unwrap_or(column.data_page_offset)).ok()
}

fn not_ours() -> TableError {
    TableError("this is no Parquet file of a table".to_owned())
}

fn said(error: impl std::fmt::Display) -> TableError {
    TableError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Values;

    fn table(from: usize, rows: usize) -> Table {
        let mut table = Table::default();
        let id = |at: usize| Some(format!("{:016x}", at / 7));
        table.set("run_id", Values::Text((from..from + rows).map(id).collect()));
        let number = |at: usize| (!at.is_multiple_of(5)).then_some(at as f64 / 3.0);
        table.set("test_mse", Values::Number((from..from + rows).map(number).collect()));
        table.set("in_experiment", Values::Flag((0..rows).map(|at| Some(at % 2 == 0)).collect()));
        table
    }

    /// Wrong if a table made of copied groups had other rows than one made from nothing.
    #[test]
    fn groups_are_copied_from_file_to_file() {
        let tables = [table(0, 3), table(3, 5000), table(5003, 1)];
        let empty = tables[0].slice(0, 0);
        let groups: Vec<TableRows<'_>> =
            tables.iter().map(|table| TableRows::of(table).unwrap()).collect();
        let file = join(&empty, &groups).unwrap();
        let all = Table::union(tables.clone());
        assert_eq!(Table::from_parquet(&file).unwrap(), all);
        let read = TableRows::all(&file).unwrap();
        assert_eq!(read.iter().map(TableRows::rows).collect::<Vec<_>>(), [3, 5000, 1]);
        assert_eq!(join(&empty, &read).unwrap(), file);
        // In another order, from another place.
        let turned = join(&empty, [&read[2], &read[0], &groups[1]]).unwrap();
        let [one, two, three] = tables;
        assert_eq!(Table::from_parquet(&turned).unwrap(), Table::union([three, one, two.clone()]));
        assert_eq!(read[1].read(&empty).unwrap(), two);
    }

    #[test]
    fn no_groups_are_a_table_without_rows() {
        let empty = table(0, 0);
        let file = join(&empty, []).unwrap();
        assert_eq!(Table::from_parquet(&file).unwrap(), empty);
        assert!(TableRows::all(&file).unwrap().is_empty());
        assert!(TableRows::all(b"PAR1 nothing PAR1").is_err());
    }
}
