//! Reads IDX files, the form that MNIST comes in, plain or gzipped: two zero bytes, the type of the
//! elements, the number of dimensions, each dimension as four bytes, the highest first, and the
//! elements. Only unsigned bytes are read. Source: LeCun et al., <http://yann.lecun.com/exdb/mnist>.
//!
//! The processes of a machine have the elements in memory once: a plain file is mapped, a gzipped one
//! unpacked by the first of them. A header is not believed: memory grows with what the file holds,
//! never with what it claims.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use framework::shared::{Bytes, Shared};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTES: u8 = 0x08;

/// An array of bytes.
pub struct Array {
    /// The size of each dimension.
    pub sizes: Vec<usize>,
    /// As many as the product of the sizes, the last dimension running fastest.
    pub bytes: Bytes,
}

/// The array in a file, which has as many dimensions as `dimensions` allows.
///
/// # Errors
/// What is wrong with the file: its path, what was expected and what was found.
pub fn read(
    path: &Path,
    dimensions: RangeInclusive<usize>,
    shared: &Shared,
) -> Result<Array, String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"));
    let array = file.and_then(|file| {
        let mut stream = BufReader::new(&file);
        let start = read_at_most(&mut stream, 2, false)?;
        let is_gzipped = start == GZIP_MAGIC;
        let stream = Cursor::new(start).chain(stream);
        let bytes = if is_gzipped {
            let unpacked = MultiGzDecoder::new(stream);
            shared.made_from(path, || read_whole(unpacked, dimensions.clone(), true))?
        } else {
            // What is no plain file cannot be mapped.
            Bytes::map(&file)
                .or_else(|_| read_whole(stream, dimensions.clone(), false).map(Bytes::from))?
        };
        Array::of(&bytes, dimensions)
    });
    array.map_err(|problem| format!("`{}` {problem}", path.display()))
}

impl Array {
    /// The array in the bytes of a file that is not gzipped.
    fn of(file: &Bytes, dimensions: RangeInclusive<usize>) -> Result<Self, String> {
        let mut rest: &[u8] = file;
        let header = Header::read(&mut rest, dimensions, false)?;
        let (expected, found) = (header.elements, rest.len());
        let shape = header.shape();
        if found < expected {
            return Err(format!(
                "is cut short: expected {expected} bytes after the header ({shape}), got {found}"
            ));
        }
        if found > expected {
            return Err(format!(
                "goes on after its last element: expected {expected} bytes after the header ({shape})"
            ));
        }
        let bytes = file.part(file.len() - expected..file.len());
        Ok(Self { sizes: header.sizes, bytes })
    }
}

/// The bytes of a file as it is unpacked, and one more than its header promises, if it goes on: it
/// shows that, and makes gzip check its sum.
fn read_whole(
    mut stream: impl Read,
    dimensions: RangeInclusive<usize>,
    is_gzipped: bool,
) -> Result<Vec<u8>, String> {
    let header = Header::read(&mut stream, dimensions, is_gzipped)?;
    let mut bytes = vec![0, 0, UNSIGNED_BYTES, header.sizes.len() as u8];
    bytes.extend(header.sizes.iter().flat_map(|size| (*size as u32).to_be_bytes()));
    append_at_most(&mut bytes, stream, header.elements + 1, is_gzipped)?;
    Ok(bytes)
}

/// What a file says of itself.
struct Header {
    sizes: Vec<usize>,
    /// The product of the sizes.
    elements: usize,
}

impl Header {
    fn read(
        mut stream: impl Read,
        dimensions: RangeInclusive<usize>,
        is_gzipped: bool,
    ) -> Result<Self, String> {
        let magic = read_at_most(&mut stream, 4, is_gzipped)?;
        let [0, 0, element, count] = magic[..] else {
            return Err(format!(
                "is not an IDX file: it starts with the bytes [{}], expected 00 00, the type of the elements \
                 and the number of dimensions",
                hex(&magic)
            ));
        };
        if element != UNSIGNED_BYTES {
            return Err(format!(
                "holds {} (type {element:#04x}), expected unsigned bytes (type {UNSIGNED_BYTES:#04x})",
                type_name(element)
            ));
        }
        let count = usize::from(count);
        if !dimensions.contains(&count) {
            let (least, most) = (dimensions.start(), dimensions.end());
            let expected =
                if least == most { format!("{least}") } else { format!("{least} to {most}") };
            return Err(format!("has {count} dimensions, expected {expected}"));
        }
        let header = read_at_most(&mut stream, 4 * count, is_gzipped)?;
        if header.len() < 4 * count {
            let found = 4 + header.len();
            return Err(format!(
                "ends in its header: expected {} bytes of it, got {found}",
                4 + 4 * count
            ));
        }
        let sizes: Vec<usize> = header
            .chunks_exact(4)
            .map(|size| size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)))
            .collect();
        let elements = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let mut header = Self { sizes, elements: 0 };
        let shape = header.shape();
        let Some(elements) = elements.filter(|elements| *elements < isize::MAX as usize) else {
            return Err(format!("claims to hold {shape} bytes, more than there can be"));
        };
        if elements == 0 {
            return Err(format!("holds nothing: its sizes are {shape}"));
        }
        header.elements = elements;
        Ok(header)
    }

    fn shape(&self) -> String {
        self.sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
    }
}

/// The next bytes of a stream, fewer than `limit` where it ends before.
fn read_at_most(stream: impl Read, limit: usize, is_gzipped: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    append_at_most(&mut bytes, stream, limit, is_gzipped)?;
    Ok(bytes)
}

fn append_at_most(
    bytes: &mut Vec<u8>,
    stream: impl Read,
    limit: usize,
    is_gzipped: bool,
) -> Result<(), String> {
    let read = stream.take(limit as u64).read_to_end(bytes);
    read.map(|_| ()).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData
            if is_gzipped =>
        {
            format!("is no whole gzip file: {error}")
        }
        _ => format!("cannot be read: {error}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn type_name(element: u8) -> &'static str {
    match element {
        0x09 => "signed bytes",
        0x0b => "16-bit integers",
        0x0c => "32-bit integers",
        0x0d => "32-bit floats",
        0x0e => "64-bit floats",
        _ => "elements of no type that IDX has",
    }
}

#[cfg(test)]
pub mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// An IDX file of unsigned bytes.
    pub fn encode(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, UNSIGNED_BYTES, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(bytes);
        file
    }

    /// The same, gzipped.
    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The sizes and elements of a file of these bytes.
    fn read_back(
        bytes: &[u8],
        dimensions: RangeInclusive<usize>,
    ) -> Result<(Vec<usize>, Vec<u8>), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let Array { sizes, bytes } = read(&path, dimensions, &Shared::default())?;
        Ok((sizes, bytes.to_vec()))
    }

    fn problem(file: &[u8]) -> String {
        read_back(file, 1..=4).unwrap_err()
    }

    #[test]
    fn plain_and_gzipped_files_give_the_same_array() {
        let bytes: Vec<u8> = (0..12).collect();
        let file = encode(&[2, 3, 2], &bytes);
        let want = (vec![2, 3, 2], bytes);
        let read_back = |file: &[u8]| read_back(file, 3..=3).unwrap();
        assert_eq!(read_back(&file), want);
        assert_eq!(read_back(&gzip(&file)), want);
        let (start, end) = file.split_at(9);
        assert_eq!(read_back(&[gzip(start), gzip(end)].concat()), want, "two members");
    }

    #[test]
    fn sizes_have_the_highest_byte_first() {
        let file = encode(&[0x0102], &[7; 0x0102]);
        assert_eq!(read_back(&file, 1..=1).unwrap().0, [258]);
    }

    #[test]
    fn what_is_no_idx_file_is_shown_with_its_first_bytes() {
        assert!(problem(b"\x89PNG\r\n").contains("starts with the bytes [89 50 4e 47]"));
        assert!(problem(b"").contains("starts with the bytes []"));
        assert!(problem(&[0, 0, 8]).contains("starts with the bytes [00 00 08]"));
        assert!(problem(&gzip(b"text")).contains("starts with the bytes [74 65 78 74]"));
    }

    #[test]
    fn other_elements_and_dimensions_are_named() {
        let floats = [&[0, 0, 0x0d, 1, 0, 0, 0, 1][..], &[0; 4]].concat();
        assert!(problem(&floats).contains("holds 32-bit floats (type 0x0d)"));
        assert!(problem(&[0, 0, 0, 0]).contains("type 0x00"));
        assert!(problem(&encode(&[1; 5], &[0])).contains("has 5 dimensions, expected 1 to 4"));
        let vector = read_back(&encode(&[1, 1], &[0]), 1..=1).unwrap_err();
        assert!(vector.contains("has 2 dimensions, expected 1"));
    }

    #[test]
    fn too_few_and_too_many_bytes_are_counted() {
        let file = encode(&[2, 3], &[1; 6]);
        assert!(problem(&file[..6]).contains("expected 12 bytes of it, got 6"));
        let short = problem(&file[..16]);
        assert!(short.contains("expected 6 bytes after the header (2 x 3), got 4"), "{short}");
        let long = [&file[..], &[0]].concat();
        assert!(problem(&long).contains("goes on after its last element"));
        assert!(problem(&gzip(&long)).contains("goes on after its last element"));
        assert!(problem(&encode(&[0, 3], &[])).contains("holds nothing"));
    }

    #[test]
    fn a_header_s_claim_is_not_believed() {
        assert!(problem(&encode(&[u32::MAX; 4], &[1])).contains("more than there can be"));
        let huge = problem(&encode(&[1 << 20, 1 << 20], &[1; 3]));
        assert!(huge.contains("got 3"), "{huge}");
    }

    #[test]
    fn gzip_is_checked_to_its_end() {
        let whole = gzip(&encode(&[2, 3], &[1, 2, 3, 4, 5, 6]));
        let cut = &whole[..whole.len() - 6];
        assert!(problem(cut).contains("no whole gzip file"), "{}", problem(cut));
        assert!(problem(&whole[..12]).contains("no whole gzip file"));
        let mut broken = whole.clone();
        let at = broken.len() - 8;
        broken[at] ^= 1; // the sum of the contents
        assert!(problem(&broken).contains("no whole gzip file"), "{}", problem(&broken));
        assert!(problem(&[&whole[..], b"tail"].concat()).contains("no whole gzip file"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let problem = read(Path::new("no/such-file.gz"), 1..=1, &Shared::default());
        let problem = problem.err().unwrap();
        assert!(problem.starts_with("`no/such-file.gz` cannot be opened: "), "{problem}");
    }
}
