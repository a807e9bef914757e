//! Checks what a Parquet file declares against its real size, before polars believes it.
//!
//! Callers verify the digest of a table before they read it, so this is a second check: for a file that
//! was damaged before its digest was taken, or that somebody else wrote. polars allocates as many
//! elements of a list and as many bytes of a page as the file declares, and follows a schema to any
//! depth, on the stack. That can end the process, and then there is nothing to catch.

use std::io::Cursor;

use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::metadata::FileMetadata;
use polars_parquet::parquet::read::read_metadata;

use crate::TableError;
use crate::thrift::WireType::{Flag, List, Number, Struct, Text};
use crate::thrift::{Thrift, WireType};

/// Number of cells that a file of any size may hold.
const CELLS: usize = 1 << 16;
/// Number of cells that it may hold per byte: eight times as many as the plainest encoding of flags.
pub(crate) const CELLS_A_BYTE: usize = 64;
/// Bytes that the pages, and the texts, of a file of any size may unpack to.
const UNPACKED: usize = 1 << 20;
/// Bytes that they may unpack to per byte of the file.
const UNPACKED_A_BYTE: usize = 64 * CELLS_A_BYTE;

/// Bytes that reading a file of `size` bytes allocates at most: a cell takes some 100 of them on its way
/// from a page to a table, and unpacked bytes are there up to three times.
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

/// Refuses a file that declares more than its size can hold, or that has what no table has: nested
/// columns, and codecs that are not used here. Returns its metadata, so that it is read once.
///
/// # Errors
/// If the file declares such things.
pub(crate) fn check(file: &[u8]) -> Result<FileMetadata, TableError> {
    check_footer(file)
        .ok_or_else(|| TableError("this is no Parquet file of a table".to_owned()))?;
    let metadata = read_metadata(&mut Cursor::new(file)).map_err(polars_error)?;
    let columns = metadata.schema().columns().len();
    let too_much =
        |what: &str| TableError(format!("it declares more {what} than its size can hold"));
    let (mut cells_left, mut unpacked_left) = (cells_of(file.len()), unpacked_of(file.len()));
    let (mut packed_left, mut rows) = (file.len(), 0_usize);
    for group in &metadata.row_groups {
        let cells = group.num_rows().checked_mul(columns.max(1));
        let left = cells.and_then(|cells| cells_left.checked_sub(cells));
        cells_left = left.ok_or_else(|| too_much("rows"))?;
        rows += group.num_rows();
        for column in group.parquet_columns() {
            if !matches!(column.compression(), Compression::Uncompressed | Compression::Zstd) {
                return Err(TableError(format!(
                    "no table is packed by {:?}",
                    column.compression()
                )));
            }
            let range = column.byte_range();
            let chunk = file.get(range.start as usize..range.end as usize);
            let chunk = chunk.ok_or_else(|| too_much("bytes"))?;
            // Columns do not overlap, so no byte is read twice.
            let left = packed_left.checked_sub(chunk.len());
            packed_left = left.ok_or_else(|| too_much("bytes"))?;
            let mut rest = Thrift(chunk);
            let mut values = 0_usize;
            while values < group.num_rows() {
                let page = PageHeader::skip(&mut rest).ok_or_else(|| too_much("pages"))?;
                let left = unpacked_left.checked_sub(page.unpacked);
                unpacked_left = left.ok_or_else(|| too_much("bytes"))?;
                values = values.saturating_add(page.values);
            }
            if values != group.num_rows() || column.num_values() != values as i64 {
                return Err(TableError(
                    "a column has not as many values as it has rows".to_owned(),
                ));
            }
        }
    }
    if rows != metadata.num_rows {
        return Err(TableError("its parts have not as many rows as the whole".to_owned()));
    }
    Ok(metadata)
}

fn polars_error(error: impl std::fmt::Display) -> TableError {
    TableError(error.to_string())
}

const MAGIC: &[u8] = b"PAR1";

/// Checks that the footer is that of a table with a flat schema, and is all there; `None` if not.
pub(crate) fn check_footer(file: &[u8]) -> Option<()> {
    let rest = file.strip_prefix(MAGIC)?.strip_suffix(MAGIC)?;
    let (rest, length) = rest.split_last_chunk::<4>()?;
    let start = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    Thrift(&rest[start..]).fields(|footer, id, kind| match id {
        1 | 3 => footer.value(kind, &Number),
        2 => footer.elements(kind, |footer, at, kind| {
            footer.value(kind, if at == 0 { &ROOT } else { &COLUMN })
        }),
        4 => footer.value(kind, &List(&GROUP)),
        5 => footer.value(kind, &List(&Struct(&[(1, Text), (2, Text)]))),
        6 => footer.value(kind, &Text),
        7 => footer.value(kind, &List(&Struct(&[(1, Struct(&[]))]))),
        _ => None,
    })
}

// Parts of Parquet's metadata that tables use, by field number. Source:
// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

const ROOT: WireType = Struct(&[(3, Number), (4, Text), (5, Number)]);
const COLUMN: WireType = Struct(&[
    (1, Number),
    (3, Number),
    (4, Text),
    (6, Number),
    // Text is the only logical type here.
    (10, Struct(&[(1, Struct(&[]))])),
]);
const GROUP: WireType =
    Struct(&[(1, List(&CHUNK)), (2, Number), (3, Number), (5, Number), (6, Number), (7, Number)]);
const CHUNK: WireType = Struct(&[
    (2, Number),
    (
        3,
        Struct(&[
            (1, Number),
            (2, List(&Number)),
            (3, List(&Text)),
            (4, Number),
            (5, Number),
            (6, Number),
            (7, Number),
            (9, Number),
            (11, Number),
            (12, STATISTICS),
            (13, List(&Struct(&[(1, Number), (2, Number), (3, Number)]))),
        ]),
    ),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
]);
const STATISTICS: WireType = Struct(&[
    (1, Text),
    (2, Text),
    (3, Number),
    (4, Number),
    (5, Text),
    (6, Text),
    (7, Flag),
    (8, Flag),
]);

/// Header of a page.
#[derive(Default)]
struct PageHeader {
    /// Type of the page: values, or the dictionary of the column.
    kind: i64,
    /// Number of bytes when unpacked.
    unpacked: usize,
    /// Number of bytes in the file.
    packed: usize,
    /// Number of values.
    values: usize,
    /// Number of words in the dictionary.
    words: usize,
}

const OF_VALUES: i64 = 0;
const OF_WORDS: i64 = 2;

/// Encodings that tables use: plain, words of a dictionary, and runs. In others, such as differences in
/// blocks of a declared length, a few bytes can cost seconds.
const ENCODINGS: [i64; 4] = [0, 2, 3, 8];

impl PageHeader {
    /// Reads the header of a page and skips its bytes, which must be there.
    fn skip(rest: &mut Thrift<'_>) -> Option<Self> {
        let (mut page, mut of_values, mut of_words) = (Self::default(), false, false);
        rest.fields(|rest, id, kind| {
            match id {
                1 => page.kind = rest.number(kind)?,
                2 => page.unpacked = rest.number(kind)?.try_into().ok()?,
                3 => page.packed = rest.number(kind)?.try_into().ok()?,
                4 => rest.value(kind, &Number)?,
                5 => {
                    of_values = true;
                    rest.fields_of(kind, |rest, id, kind| {
                        match id {
                            1 => page.values = rest.number(kind)?.try_into().ok()?,
                            2..=4 => {
                                rest.number(kind).filter(|known| ENCODINGS.contains(known))?;
                            }
                            5 => rest.value(kind, &STATISTICS)?,
                            _ => return None,
                        }
                        Some(())
                    })?;
                }
                7 => {
                    of_words = true;
                    rest.fields_of(kind, |rest, id, kind| {
                        match id {
                            1 => page.words = rest.number(kind)?.try_into().ok()?,
                            2 => rest.value(kind, &Number)?,
                            3 => rest.value(kind, &Flag)?,
                            _ => return None,
                        }
                        Some(())
                    })?;
                }
                _ => return None,
            }
            Some(())
        })?;
        rest.skip(page.packed as u64)?;
        let is_one = match page.kind {
            OF_VALUES => of_values && !of_words,
            OF_WORDS => of_words && !of_values && page.words <= page.unpacked,
            _ => false,
        };
        is_one.then_some(page)
    }
}
