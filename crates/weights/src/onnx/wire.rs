//! Protocol buffers on the wire: just enough to read and write an ONNX file, without copying weights.
//!
//! What lives here: fields, varints, length prefixes. What does not: what the fields mean.
//! The encoding: <https://protobuf.dev/programming-guides/encoding/>.

use crate::WeightsError;
use crate::graph::{limit, malformed};

/// How many repeated items (nodes, names, attributes, dimensions…) a file may hold. RRDBNet with 23 blocks has 25,000;
/// an item takes at most some 400 bytes of memory.
const MAX_ITEMS: usize = 300_000;

/// Counts repeated items, so that a small file cannot ask for much memory.
#[derive(Debug)]
pub(super) struct ItemBudget {
    left: usize,
}

impl ItemBudget {
    pub fn new() -> Self {
        Self { left: MAX_ITEMS }
    }

    /// Takes one item.
    ///
    /// # Errors
    /// When none is left.
    pub fn take(&mut self) -> Result<(), WeightsError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| limit("items of the ONNX graph", MAX_ITEMS as u64, MAX_ITEMS as u64 + 1))?;
        Ok(())
    }
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A length-delimited value; any other is malformed.
    pub fn bytes(self, what: &str) -> Result<&'a [u8], WeightsError> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(malformed(what, "a length-delimited field", format!("{other:?}"))),
        }
    }

    /// A UTF-8 string.
    pub fn text(self, what: &str) -> Result<&'a str, WeightsError> {
        std::str::from_utf8(self.bytes(what)?)
            .map_err(|_| malformed(what, "UTF-8 text", "other bytes".to_owned()))
    }

    /// A 64-bit integer, two's complement.
    pub fn int(self, what: &str) -> Result<i64, WeightsError> {
        match self {
            Value::Varint(value) => Ok(value as i64),
            other => Err(malformed(what, "an integer field", format!("{other:?}"))),
        }
    }

    /// A single-precision number.
    pub fn float(self, what: &str) -> Result<f32, WeightsError> {
        match self {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(malformed(what, "a float field", format!("{other:?}"))),
        }
    }
}

/// The fields of one message, in order.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// `what` names the message in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let key = take_varint(&mut self.bytes)?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut self.bytes)?),
            1 => Value::Fixed64(*self.take(8)?.first_chunk()?),
            2 => {
                let length = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(*self.take(4)?.first_chunk()?),
            _ => return None,
        };
        Some((number, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WeightsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let left = self.bytes.len();
        let field = self.field();
        if field.is_none() {
            self.bytes = &[];
        }
        Some(field.ok_or_else(|| {
            malformed(self.what, "a protocol buffers field", format!("none {left} bytes before its end"))
        }))
    }
}

/// Takes a varint off the front; `None` where it is cut off or longer than ten bytes.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A message being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn int(mut self, number: u32, value: i64) -> Self {
        self.varint(u64::from(number) << 3);
        self.varint(value as u64);
        self
    }

    pub fn float(mut self, number: u32, value: f32) -> Self {
        self.varint(u64::from(number) << 3 | 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn text(self, number: u32, value: &str) -> Self {
        self.slice(number, value.as_bytes())
    }

    pub fn slice(mut self, number: u32, value: &[u8]) -> Self {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn message(self, number: u32, value: &Message) -> Self {
        self.slice(number, &value.bytes)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().int(1, -1).int(2, 300);
        let bytes = Message::default().text(1, "näme").float(2, 0.2).message(15, &inner).into_bytes();
        let fields: Vec<_> = Fields::new(&bytes, "a message").map(|field| field.unwrap()).collect();
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[0].1.text("name").unwrap(), "näme");
        assert_eq!(fields[1], (2, Value::Fixed32(0.2f32.to_le_bytes())));
        let ints: Vec<_> = Fields::new(fields[2].1.bytes("inner").unwrap(), "inner")
            .map(|field| field.unwrap().1.int("value").unwrap())
            .collect();
        assert_eq!((fields[2].0, ints), (15, vec![-1, 300]));
    }

    #[test]
    fn broken_fields_are_errors_and_end_the_message() {
        for (bytes, what) in [
            (&[0x0A, 5, 1][..], "a length beyond the end"),
            (&[0x0B][..], "a group"),
            (&[0x08][..], "no value"),
            (&[0x02, 0][..], "field number 0"),
            (
                &[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF][..],
                "an endless varint",
            ),
            (&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01][..], "a length of 2^64 - 1"),
        ] {
            let mut fields = Fields::new(bytes, "a message");
            assert!(fields.next().unwrap().is_err(), "{what}");
            assert!(fields.next().is_none(), "{what}");
        }
    }

    #[test]
    fn the_budget_ends() {
        let mut budget = ItemBudget { left: 1 };
        assert!(budget.take().is_ok());
        assert!(budget.take().is_err());
    }
}
