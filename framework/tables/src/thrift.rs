//! Walks through bytes in Thrift's compact protocol, in which Parquet writes its metadata, and stores
//! nothing: so it is cheap to see whether the bytes hold what they declare. Source: the protocol's
//! specification, <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.
//!
//! Readers take the type of a field from its number, and ignore the type that the bytes give. So both
//! have to agree, or a reader reads something else than was checked here.

const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Type of a value.
pub enum WireType {
    /// True or false.
    Flag,
    /// A whole number of any width.
    Number,
    /// A text, or bytes.
    Text,
    /// Values of one type.
    List(&'static WireType),
    /// Fields by their number; there are no others.
    Struct(&'static [(i64, WireType)]),
}

/// Bytes that are left. Each method walks over something and returns `None` if something else is there.
pub struct Thrift<'a>(pub &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Skips this number of bytes.
    pub fn skip(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a whole number of a field of this type.
    pub fn number(&mut self, kind: u8) -> Option<i64> {
        let zigzag = self.varint().filter(|_| (4..=6).contains(&kind))?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Walks through the fields of a struct. `field` gets the number and the type of each, and walks over
    /// its value.
    pub fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, u8) -> Option<()>,
    ) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            match head >> 4 {
                _ if head == 0 => return Some(()),
                // Numbers that go back, or far ahead, are written in full; Parquet has none.
                0 => return None,
                step => id += i64::from(step),
            }
            field(self, id, head & 15)?;
        }
    }

    /// Walks through the fields of a struct that is itself a field of this type.
    pub fn fields_of(
        &mut self,
        kind: u8,
        field: impl FnMut(&mut Self, i64, u8) -> Option<()>,
    ) -> Option<()> {
        if kind == STRUCT { self.fields(field) } else { None }
    }

    /// Walks through the elements of a list; each has at least one byte.
    pub fn elements(
        &mut self,
        kind: u8,
        mut element: impl FnMut(&mut Self, u64, u8) -> Option<()>,
    ) -> Option<()> {
        let head = self.byte().filter(|_| kind == LIST)?;
        let elements = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        if elements > self.0.len() as u64 {
            return None;
        }
        (0..elements).try_for_each(|at| element(self, at, head & 15))
    }

    /// Walks over a value, which must have this type and shape.
    pub fn value(&mut self, kind: u8, shape: &WireType) -> Option<()> {
        match (shape, kind) {
            // The type of a flag is its value.
            (WireType::Flag, 1 | 2) => Some(()),
            (WireType::Number, _) => self.number(kind).map(|_| ()),
            (WireType::Text, 8) => self.varint().and_then(|length| self.skip(length)),
            (WireType::List(shape), _) => {
                self.elements(kind, |text, _, kind| text.value(kind, shape))
            }
            (WireType::Struct(known), _) => self.fields_of(kind, |text, id, kind| {
                let (_, shape) = known.iter().find(|(known, _)| *known == id)?;
                text.value(kind, shape)
            }),
            _ => None,
        }
    }
}
