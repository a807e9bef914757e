//! Goes through a text in Thrift's compact protocol, in which Parquet describes itself, and keeps
//! nothing: so it costs nothing to see whether the text holds what it declares. Source: the protocol's
//! specification, <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

const LIST: u8 = 9;
const SET: u8 = 10;
/// The type of a struct.
pub const STRUCT: u8 = 12;

/// More levels than anything that Parquet says has.
const DEPTH: usize = 16;

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

    /// A whole number.
    pub fn number(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Goes through a struct: `field` is given the number and the type of each field and goes
    /// through its value.
    pub fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, u8) -> Option<()>,
    ) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            match (head >> 4, head & 15) {
                (_, 0) => return Some(()),
                (0, _) => {
                    id = self.number()?;
                }
                (step, _) => id = id.checked_add(i64::from(step))?,
            }
            field(self, id, head & 15)?;
        }
    }

    /// The number of elements of a list, which have a byte each at least, and their type.
    pub fn list(&mut self, kind: u8) -> Option<(u64, u8)> {
        let head = self.byte().filter(|_| matches!(kind, LIST | SET))?;
        let elements = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        (elements <= self.0.len() as u64).then_some((elements, head & 15))
    }

    /// Goes through a value of a type.
    pub fn value(&mut self, kind: u8) -> Option<()> {
        self.value_within(kind, DEPTH)
    }

    fn value_within(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // A flag is its type.
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip(8),
            8 => self.varint().and_then(|length| self.skip(length)),
            LIST | SET => {
                let (elements, element) = self.list(kind)?;
                (0..elements).try_for_each(|_| match element {
                    // In a list it takes a byte.
                    1 | 2 => self.skip(1),
                    _ => self.value_within(element, depth),
                })
            }
            STRUCT => self.fields(|text, _, kind| text.value_within(kind, depth)),
            _ => None,
        }
    }
}
