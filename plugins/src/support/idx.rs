//! Reads IDX files, the form that MNIST comes in, plain or gzipped: two zero bytes, the type of the
//! elements, the number of dimensions, each dimension as four bytes, the highest first, and the
//! elements. Only unsigned bytes are read. Source: LeCun et al., <http://yann.lecun.com/exdb/mnist>.
//!
//! The processes of a machine have the elements in memory once: the first of them reads, and unpacks,
//! the file. A header is not believed: memory grows with what the file holds, never with what it claims,
//! and what a gzipped file may unpack to is looked at before it is unpacked.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use bytesize::ByteSize;
use flate2::read::MultiGzDecoder;
use framework::files;
use framework::shared::{Bytes, Shared, check_room};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The most bytes that gzip packs into one.
const PACKED_AT_MOST: u64 = 1032;

/// What a gzipped file may unpack to in any case: 64 MiB. More has to be packed no tighter than
/// [`PACKED_LARGE`]: pictures pack to a tenth, and a bomb to a thousandth.
const UNPACKED: u64 = 64 << 20;

/// How many bytes a large file may have packed into one.
const PACKED_LARGE: u64 = 100;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

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
    let array = files::open(path).map_err(|error| format!("cannot be opened: {error}"));
    let array = array.and_then(|file| {
        let whole = |out: &mut dyn Write| copy(&file, dimensions.clone(), out);
        let bytes = shared.made_from(path, &file, whole)?;
        Array::of(&bytes, dimensions.clone())
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

/// Writes the bytes of a file to `out`, unpacked if it is gzipped.
fn copy(file: &File, dimensions: RangeInclusive<usize>, out: &mut dyn Write) -> Result<(), String> {
    let size = file.metadata().map_err(|error| format!("cannot be read: {error}"))?.len();
    let mut stream = BufReader::with_capacity(BUFFER, file);
    let start = read_at_most(&mut stream, 2, false)?;
    let is_gzipped = start == GZIP_MAGIC;
    let stream = Cursor::new(start).chain(stream);
    if is_gzipped {
        copy_whole(MultiGzDecoder::new(stream), dimensions, Some(size), out)
    } else {
        // A file that has holes may be larger than every memory.
        check_room(size)?;
        copy_whole(stream, dimensions, None, out)
    }
}

/// Writes the bytes of a file as it is unpacked, and one more than its header promises, if it goes on:
/// it shows that, and makes gzip check its sum. `packed` is the size of a file that is gzipped.
fn copy_whole(
    mut stream: impl Read,
    dimensions: RangeInclusive<usize>,
    packed: Option<u64>,
    out: &mut dyn Write,
) -> Result<(), String> {
    let is_gzipped = packed.is_some();
    let header = Header::read(&mut stream, dimensions, is_gzipped)?;
    if let Some(packed) = packed {
        header.check_packed(packed)?;
        check_room(header.elements as u64)?;
    }
    let mut kept = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|error| format!("cannot be kept in memory: {error}"))
    };
    kept(&[0, 0, UNSIGNED_BYTES, header.sizes.len() as u8])?;
    header.sizes.iter().try_for_each(|size| kept(&(*size as u32).to_be_bytes()))?;
    let mut rest = stream.take(header.elements as u64 + 1);
    let mut buffer = vec![0; BUFFER];
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => kept(&buffer[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(&error, is_gzipped)),
        }
    }
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

    /// Refuses what a gzipped file of `packed` bytes cannot hold, and what no data is that small for.
    fn check_packed(&self, packed: u64) -> Result<(), String> {
        let (elements, size) = (self.elements as u64, |bytes| ByteSize(bytes).display().iec());
        let claim = || {
            let (shape, elements, packed) = (self.shape(), size(elements), size(packed));
            format!("claims to unpack {elements} ({shape}) from {packed}")
        };
        if elements / PACKED_AT_MOST > packed {
            return Err(format!("{}, more than gzip can pack: it is cut short or a bomb", claim()));
        }
        if elements > UNPACKED && elements / PACKED_LARGE > packed {
            return Err(format!(
                "{}, which only a gzip bomb does; if it is none, unpack it and name the plain file",
                claim()
            ));
        }
        Ok(())
    }

    fn shape(&self) -> String {
        self.sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
    }
}

/// The next bytes of a stream, fewer than `limit` where it ends before.
fn read_at_most(stream: impl Read, limit: usize, is_gzipped: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = stream.take(limit as u64).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| unread(&error, is_gzipped))
}

/// Why a stream cannot be read.
fn unread(error: &std::io::Error, is_gzipped: bool) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData
            if is_gzipped =>
        {
            format!("is no whole gzip file: {error}")
        }
        _ => format!("cannot be read: {error}"),
    }
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

    /// Zeros behind a header, gzipped: 1000 to 1.
    fn bomb(sizes: &[u32], zeros: usize) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&encode(sizes, &[])).unwrap();
        let block = vec![0; 1 << 20];
        (0..zeros >> 20).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.finish().unwrap()
    }

    /// Wrong if a small file takes much memory: before, what 1 byte of gzip can hold was believed, and a
    /// file of 228 KB took 265 MB.
    #[test]
    fn a_gzip_bomb_is_refused_before_it_is_unpacked() {
        let honest = bomb(&[65, 1 << 20], 65 << 20);
        assert!(honest.len() < 100 << 10, "{}", honest.len());
        let refused = problem(&honest);
        assert!(refused.contains("claims to unpack 65.0 MiB (65 x 1048576) from"), "{refused}");
        assert!(refused.contains("only a gzip bomb"), "{refused}");
        let lying = problem(&bomb(&[1 << 20, 1 << 10], 1 << 20));
        assert!(lying.contains("claims to unpack 1.0 GiB"), "{lying}");
        assert!(lying.contains("more than gzip can pack"), "{lying}");
        let sorted = read_back(&bomb(&[1 << 20], 1 << 20), 1..=1);
        assert_eq!(sorted.unwrap().0, [1 << 20], "small files may be packed that tight");
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

    /// Wrong if a device is read without end, as before, or a folder is taken for an empty file.
    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused() {
        for (path, what) in [("/dev/zero", "it is a device"), ("/", "it is a folder")] {
            let problem = read(Path::new(path), 1..=1, &Shared::default()).err().unwrap();
            assert!(problem.contains(&format!("cannot be opened: {what}")), "{problem}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holes");
        std::fs::write(&path, encode(&[1 << 21, 1 << 21], &[])).unwrap();
        File::options().write(true).open(&path).unwrap().set_len((1 << 42) + 12).unwrap();
        let problem = read(&path, 2..=2, &Shared::default()).err().unwrap();
        assert!(problem.contains("needs 4.0 TiB of memory, of which"), "{problem}");
    }
}
