//! EXIF as lists of entries, for TIFF, where EXIF is not a block but part of the file's own directories.

use crate::metadata::exif::{self, Directory, Order};

const EXIF_DIRECTORY: u16 = 0x8769;
const GPS_DIRECTORY: u16 = 0x8825;
const INTEROPERABILITY_DIRECTORY: u16 = 0xA005;

/// Tags of a TIFF's first directory that describe the picture and not how its samples are stored.
pub(crate) const DESCRIPTIVE: &[u16] = &[
    0x010D, // DocumentName
    0x010E, // ImageDescription
    0x010F, // Make
    0x0110, // Model
    0x011D, // PageName
    0x0131, // Software
    0x0132, // DateTime
    0x013B, // Artist
    0x013C, // HostComputer
    0x4746, // Rating
    0x8298, // Copyright
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, // title, comment, author, keywords, subject of Windows
];

/// One entry; `bytes` are in the machine's byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub tag: u16,
    pub kind: u16,
    pub count: u32,
    pub bytes: Vec<u8>,
}

/// The descriptive entries of a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directories {
    pub main: Vec<Entry>,
    pub exif: Vec<Entry>,
    pub gps: Vec<Entry>,
}

/// Bytes of one value and of the unit that byte order concerns; `None` for types that TIFF 6.0 does not have.
pub(crate) fn kind_bytes(kind: u16) -> Option<(usize, usize)> {
    Some(match kind {
        1 | 2 | 6 | 7 => (1, 1),
        3 | 8 => (2, 2),
        4 | 9 | 11 | 13 => (4, 4),
        5 | 10 => (8, 4),
        12 => (8, 8),
        _ => return None,
    })
}

impl Directories {
    /// Reads a block; entries that cannot be read are left out.
    pub(crate) fn read(block: &[u8]) -> Self {
        let Ok((order, main)) = exif::open(block) else {
            return Self::default();
        };
        // Overlapping values could ask for far more than the block has.
        let mut budget = block.len().saturating_mul(2);
        let mut entries = |directory: &Directory, keep: &dyn Fn(u16) -> bool| {
            (0..directory.entries)
                .filter_map(|index| read_entry(block, order, directory.entry(index)))
                .filter(|entry| keep(entry.tag))
                .take_while(|entry| {
                    let fits = entry.bytes.len() <= budget;
                    budget = budget.saturating_sub(entry.bytes.len());
                    fits
                })
                .collect::<Vec<_>>()
        };
        let sub = |tag| exif::sub_directory(block, order, &main, tag).ok().flatten();
        let not_a_pointer = |tag| tag != INTEROPERABILITY_DIRECTORY;
        Self {
            main: entries(&main, &|tag| DESCRIPTIVE.contains(&tag)),
            exif: sub(EXIF_DIRECTORY).map_or(Vec::new(), |exif| entries(&exif, &not_a_pointer)),
            gps: sub(GPS_DIRECTORY).map_or(Vec::new(), |gps| entries(&gps, &|_| true)),
        }
    }

    /// A block in the machine's byte order; `None` where there is nothing to say.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        if self.main.is_empty() && self.exif.is_empty() && self.gps.is_empty() {
            return None;
        }
        let mark: &[u8; 2] = if cfg!(target_endian = "big") { b"MM" } else { b"II" };
        let mut block = mark.to_vec();
        block.extend(42_u16.to_ne_bytes());
        block.extend(8_u32.to_ne_bytes());
        let pointer = |tag| Entry { tag, kind: 4, count: 1, bytes: vec![0; 4] };
        let mut main = self.main.clone();
        main.extend((!self.exif.is_empty()).then(|| pointer(EXIF_DIRECTORY)));
        main.extend((!self.gps.is_empty()).then(|| pointer(GPS_DIRECTORY)));
        let pointers = write_directory(&mut block, main)?;
        for (tag, entries) in [(EXIF_DIRECTORY, &self.exif), (GPS_DIRECTORY, &self.gps)] {
            if let Some((_, field)) = pointers.iter().find(|(found, _)| *found == tag) {
                let start = u32::try_from(block.len()).ok()?;
                block[*field..*field + 4].copy_from_slice(&start.to_ne_bytes());
                write_directory(&mut block, entries.clone())?;
            }
        }
        Some(block)
    }
}

fn read_entry(block: &[u8], order: Order, at: usize) -> Option<Entry> {
    let tag = order.u16(block, at)?;
    let kind = order.u16(block, at + 2)?;
    let count = order.u32(block, at + 4)?;
    let (value_bytes, unit_bytes) = kind_bytes(kind)?;
    let length = (count as usize).checked_mul(value_bytes)?;
    let start = if length <= 4 { at + 8 } else { order.u32(block, at + 8)? as usize };
    let mut bytes = block.get(start..start.checked_add(length)?)?.to_vec();
    let native = if cfg!(target_endian = "big") { Order::Big } else { Order::Little };
    if order != native {
        bytes.chunks_exact_mut(unit_bytes).for_each(<[u8]>::reverse);
    }
    Some(Entry { tag, kind, count, bytes })
}

/// Appends a directory and its values; gives each tag with the place of its value field.
fn write_directory(block: &mut Vec<u8>, mut entries: Vec<Entry>) -> Option<Vec<(u16, usize)>> {
    entries.sort_by_key(|entry| entry.tag);
    let start = block.len();
    let values_start = start + 2 + entries.len() * 12 + 4;
    let mut values = Vec::new();
    let mut fields = Vec::with_capacity(entries.len());
    block.extend(u16::try_from(entries.len()).ok()?.to_ne_bytes());
    for entry in entries {
        block.extend(entry.tag.to_ne_bytes());
        block.extend(entry.kind.to_ne_bytes());
        block.extend(entry.count.to_ne_bytes());
        fields.push((entry.tag, block.len()));
        if entry.bytes.len() <= 4 {
            let mut field = [0; 4];
            field[..entry.bytes.len()].copy_from_slice(&entry.bytes);
            block.extend(field);
        } else {
            let value_at = values_start + values.len();
            block.extend(u32::try_from(value_at).ok()?.to_ne_bytes());
            values.extend(&entry.bytes);
            if values.len() % 2 == 1 {
                values.push(0);
            }
        }
    }
    block.extend(0_u32.to_ne_bytes());
    block.extend(values);
    Some(fields)
}
