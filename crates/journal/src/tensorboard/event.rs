//! TensorBoard's events as protocol buffers: only the fields that a journal writes, and the one that it reads back.
//!
//! The numbers of the fields are those of `tensorflow/core/util/event.proto` and `tensorflow/core/framework/summary.proto`.

use crate::record::Record;

/// One event.
pub(super) struct Event<'a> {
    pub(super) wall_seconds: f64,
    pub(super) step: u64,
    pub(super) content: &'a Content<'a>,
}

/// What an event tells.
pub(super) enum Content<'a> {
    /// The first event of a file.
    FileVersion,
    /// What was read from earlier files of this step and later ones no longer holds.
    SessionStart,
    Scalars(&'a Record),
    Picture {
        name: &'a str,
        header: PngHeader,
        png: &'a [u8],
    },
}

/// Fields of `Event`.
mod field {
    pub(super) const WALL_TIME: u64 = 1;
    pub(super) const STEP: u64 = 2;
    pub(super) const FILE_VERSION: u64 = 3;
    pub(super) const SUMMARY: u64 = 5;
    pub(super) const SESSION_LOG: u64 = 7;
}

impl Event<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut message = Message::default();
        message.double(field::WALL_TIME, self.wall_seconds);
        message.number(field::STEP, self.step);
        match self.content {
            Content::FileVersion => message.bytes(field::FILE_VERSION, b"brain.Event:2"),
            // `SessionLog.status` 1 is `START`.
            Content::SessionStart => message.message(field::SESSION_LOG, |log| log.number(1, 1)),
            Content::Scalars(record) => message.message(field::SUMMARY, |summary| scalars(summary, record)),
            Content::Picture { name, header, png } => {
                message.message(field::SUMMARY, |summary| picture(summary, name, header, png));
            }
        }
        message.0
    }
}

/// `Summary.value`s with `tag` and `simple_value`.
fn scalars(summary: &mut Message, record: &Record) {
    for (name, value) in &record.scalars {
        summary.message(1, |scalar| {
            scalar.bytes(1, format!("{}/{name}", record.kind).as_bytes());
            scalar.float(2, *value as f32);
        });
    }
}

/// A `Summary.value` with `tag` and `image`: `height`, `width`, `colorspace`, `encoded_image_string`.
fn picture(summary: &mut Message, name: &str, header: &PngHeader, png: &[u8]) {
    summary.message(1, |value| {
        value.bytes(1, name.as_bytes());
        value.message(4, |image| {
            image.number(1, u64::from(header.height));
            image.number(2, u64::from(header.width));
            image.number(3, header.channels);
            image.bytes(4, png);
        });
    });
}

/// What TensorBoard wants to be told of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PngHeader {
    width: u32,
    height: u32,
    channels: u64,
}

impl PngHeader {
    /// The header at the beginning of a PNG; `None` where there is none.
    pub(super) fn read(png: &[u8]) -> Option<Self> {
        let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
        let (width, rest) = header.split_first_chunk::<4>()?;
        let (height, rest) = rest.split_first_chunk::<4>()?;
        let channels = match rest.get(1)? {
            0 => 1,
            4 => 2,
            // True colour, or a palette of colours.
            2 | 3 => 3,
            6 => 4,
            _ => return None,
        };
        Some(Self { width: u32::from_be_bytes(*width), height: u32::from_be_bytes(*height), channels })
    }
}

/// How the value of a field is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// A message that is being encoded.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.key(field, Wire::Varint);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, Wire::Bytes);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn key(&mut self, field: u64, wire: Wire) {
        self.varint(field << 3 | wire as u64);
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The step of an event that [`Event::encode`] wrote: time and step come first. `None` for any other.
pub(super) fn step_of(event: &[u8]) -> Option<u64> {
    let time_key = (field::WALL_TIME << 3 | Wire::Fixed64 as u64) as u8;
    let step_key = (field::STEP << 3 | Wire::Varint as u64) as u8;
    let rest = event.strip_prefix(&[time_key])?.get(8..)?.strip_prefix(&[step_key])?;
    let mut step = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        step |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(step);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_byte_by_byte() {
        let event = Event { wall_seconds: 1.0, step: 300, content: &Content::FileVersion };
        let expected =
            [b"\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02\x1a\x0d".as_slice(), b"brain.Event:2"].concat();
        assert_eq!(event.encode(), expected);
    }

    #[test]
    fn steps_come_back() {
        for step in [0, 1, 127, 128, 16_384, u64::from(u32::MAX), u64::MAX] {
            let bytes = Event { wall_seconds: 1.5, step, content: &Content::SessionStart }.encode();
            assert_eq!(step_of(&bytes), Some(step));
            assert_eq!(step_of(&bytes[..9]), None);
        }
        assert_eq!(step_of(b""), None);
    }

    #[test]
    fn headers_of_pngs() {
        let png = |color_type: u8| {
            let size = [0, 0, 1, 2, 0, 0, 3, 4, 8, color_type];
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &size].concat()
        };
        for (color_type, channels) in [(0, 1), (2, 3), (3, 3), (4, 2), (6, 4)] {
            let header = PngHeader { width: 258, height: 772, channels };
            assert_eq!(PngHeader::read(&png(color_type)), Some(header));
        }
        assert_eq!(PngHeader::read(&png(5)), None);
        assert_eq!(PngHeader::read(&png(2)[..25]), None);
        assert_eq!(PngHeader::read(b"\xff\xd8\xff"), None);
    }
}
