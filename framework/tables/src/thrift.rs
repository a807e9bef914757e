//! Goes through a text in Thrift's compact protocol, in which Parquet describes itself, and keeps
//! nothing: so it costs nothing to see whether the text holds what it declares. Source: the protocol's
//! specification, <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.
//!
//! Readers take the type of a field from its number, whatever type the text says it has. So both have
//! to agree, or what a reader reads is not what was gone through here.

const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// What a value looks like.
pub enum WireType {
    /// True or false.
    Flag,
    /// A whole number of any width.
    Number,
    /// A text, or bytes.
    Text,
    /// Values that look alike.
    List(&'static WireType),
    /// Fields by their number; it has no others.
    Struct(&'static [(i64, WireType)]),
}

/// What is left of the text. Each method goes through something and returns `None` where there is
/// something else.
pub struct Thrift<'a>(pub &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Goes over so many bytes.
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

    /// A whole number, of a field of this type.
    pub fn number(&mut self, kind: u8) -> Option<i64> {
        let zigzag = self.varint().filter(|_| (4..=6).contains(&kind))?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Goes through the fields of a struct: `field` is given the number and the type of each and goes
    /// through its value.
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

    /// The same, of a struct that is itself a field of this type.
    pub fn fields_of(
        &mut self,
        kind: u8,
        field: impl FnMut(&mut Self, i64, u8) -> Option<()>,
    ) -> Option<()> {
        if kind == STRUCT { self.fields(field) } else { None }
    }

    /// Goes through the elements of a list; each has a byte at least.
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

    /// Goes through a value of a type that has to look so.
    pub fn value(&mut self, kind: u8, shape: &WireType) -> Option<()> {
        match (shape, kind) {
            // A flag is its type.
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
