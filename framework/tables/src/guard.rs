//! What a Parquet file says of itself, held against its real size, before polars believes it.
//!
//! Whoever keeps tables verifies their digest before they are read, so this is the second line: for
//! a file that was damaged before its digest was taken, or that somebody else wrote. polars allocates
//! as many elements of a list and as many bytes of a page as the file declares, and follows a schema
//! to any depth, on the stack: what would end the process cannot be caught afterwards.

use std::io::Cursor;

use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::read::read_metadata;

use crate::Error;
use crate::thrift::{STRUCT, Thrift};

/// Cells a file may hold whatever its size.
const CELLS: usize = 1 << 16;
/// Cells it may hold for each of its bytes: eight times what the plainest encoding of flags comes to.
const CELLS_A_BYTE: usize = 64;
/// Bytes that its pages, and its texts, may unpack to whatever its size.
const UNPACKED: usize = 1 << 20;
/// Bytes that they may unpack to for each of its bytes.
const UNPACKED_A_BYTE: usize = 64 * CELLS_A_BYTE;

/// What reading a file of `size` bytes allocates at most, in bytes: a cell takes some 100 of them on
/// its way from a page to a table, and what is unpacked is there up to three times.
pub fn memory_bound(size: usize) -> usize {
    let (cells, unpacked) = (cells_of(size), unpacked_of(size));
    cells.saturating_mul(100).saturating_add(unpacked.saturating_mul(3)).saturating_add(size * 300)
}

fn cells_of(size: usize) -> usize {
    size.saturating_mul(CELLS_A_BYTE).saturating_add(CELLS)
}

/// Bytes that pages or texts of a file of `size` bytes may unpack to.
pub(crate) fn unpacked_of(size: usize) -> usize {
    size.saturating_mul(UNPACKED_A_BYTE).saturating_add(UNPACKED)
}

/// Refuses a file that declares more than one of its size can hold, or what no table has: nested
/// columns, and codecs that are not used here.
///
/// # Errors
/// What it declares.
pub(crate) fn check(file: &[u8]) -> Result<(), Error> {
    check_footer(file).ok_or_else(|| Error("this is no Parquet file of a table".to_owned()))?;
    let metadata = read_metadata(&mut Cursor::new(file)).map_err(polars_error)?;
    let columns = metadata.schema().columns().len();
    let too_much = |what: &str| Error(format!("it declares more {what} than its size can hold"));
    let (mut cells_left, mut unpacked_left) = (cells_of(file.len()), unpacked_of(file.len()));
    let (mut packed_left, mut rows) = (file.len(), 0_usize);
    for group in &metadata.row_groups {
        let cells = group.num_rows().checked_mul(columns.max(1));
        let left = cells.and_then(|cells| cells_left.checked_sub(cells));
        cells_left = left.ok_or_else(|| too_much("rows"))?;
        rows += group.num_rows();
        for column in group.parquet_columns() {
            if !matches!(column.compression(), Compression::Uncompressed | Compression::Zstd) {
                return Err(Error(format!("no table is packed by {:?}", column.compression())));
            }
            let range = column.byte_range();
            let chunk = file.get(range.start as usize..range.end as usize);
            let chunk = chunk.ok_or_else(|| too_much("bytes"))?;
            // Columns do not overlap, so no byte is gone through twice.
            let left = packed_left.checked_sub(chunk.len());
            packed_left = left.ok_or_else(|| too_much("bytes"))?;
            let mut rest = Thrift(chunk);
            let mut values = 0_usize;
            while values < group.num_rows() {
                let page = Page::skip(&mut rest).ok_or_else(|| too_much("pages"))?;
                if page.words > page.unpacked {
                    return Err(too_much("words"));
                }
                let left = unpacked_left.checked_sub(page.unpacked);
                unpacked_left = left.ok_or_else(|| too_much("bytes"))?;
                values = values.saturating_add(page.values);
            }
            if values != group.num_rows() || column.num_values() != values as i64 {
                return Err(Error("a column has not as many values as it has rows".to_owned()));
            }
        }
    }
    if rows != metadata.num_rows {
        return Err(Error("its parts have not as many rows as the whole".to_owned()));
    }
    Ok(())
}

fn polars_error(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

const MAGIC: &[u8] = b"PAR1";

/// Whether each list and text in the footer fits into what is left of it, and the schema is flat.
fn check_footer(file: &[u8]) -> Option<()> {
    let rest = file.strip_prefix(MAGIC)?.strip_suffix(MAGIC)?;
    let (rest, length) = rest.split_last_chunk::<4>()?;
    let start = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    let mut footer = Thrift(&rest[start..]);
    footer.fields(|footer, id, kind| {
        if id != SCHEMA {
            return footer.value(kind);
        }
        let (elements, element) = footer.list(kind)?;
        for at in 0..elements {
            if element != STRUCT {
                return None;
            }
            footer.fields(|footer, id, kind| {
                let nested = at > 0 && id == CHILDREN;
                if nested { None } else { footer.value(kind) }
            })?;
        }
        Some(())
    })
}

/// The field of the footer that is the schema, and that of its elements that counts what is below.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;

/// What the header of a page declares.
#[derive(Default)]
struct Page {
    /// Bytes when unpacked.
    unpacked: usize,
    /// Values of the column.
    values: usize,
    /// Words of the column's dictionary.
    words: usize,
}

impl Page {
    /// Goes over a page; its bytes must be there.
    fn skip(rest: &mut Thrift<'_>) -> Option<Self> {
        let mut page = Self::default();
        let mut packed = None;
        rest.fields(|rest, id, kind| {
            let counted = match id {
                2 => &mut page.unpacked,
                3 => packed.insert(0),
                5 | 8 => &mut page.values,
                7 => &mut page.words,
                _ => return rest.value(kind),
            };
            if kind != STRUCT {
                *counted = rest.number()?.try_into().ok()?;
                return Some(());
            }
            // How many they are comes first in the description of each kind of page.
            rest.fields(|rest, id, kind| {
                if id != 1 {
                    return rest.value(kind);
                }
                *counted = rest.number()?.try_into().ok()?;
                Some(())
            })
        })?;
        rest.skip(packed? as u64)?;
        Some(page)
    }
}
