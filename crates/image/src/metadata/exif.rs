//! EXIF in place: reads the orientation, and mends what a turned and enlarged picture makes untrue.
//!
//! A block is edited, not rebuilt: maker notes hold offsets from its start, and moving them would break them.
//! Layout: TIFF 6.0 section 2, CIPA DC-008.

/// Why a block cannot be carried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub &'static str);

const ORIENTATION: u16 = 0x0112;
const IMAGE_WIDTH: u16 = 0x0100;
const IMAGE_LENGTH: u16 = 0x0101;
const EXIF_DIRECTORY: u16 = 0x8769;
const PIXEL_X_DIMENSION: u16 = 0xA002;
const PIXEL_Y_DIMENSION: u16 = 0xA003;
const THUMBNAIL_OFFSET: u16 = 0x0201;
const THUMBNAIL_LENGTH: u16 = 0x0202;

const SHORT: u16 = 3;
const LONG: u16 = 4;
const ENTRY_BYTES: usize = 12;

/// The byte order of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(field),
            Self::Big => u16::from_be_bytes(field),
        })
    }

    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        })
    }

    fn set_u16(self, bytes: &mut [u8], at: usize, value: u16) {
        let field = match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        };
        bytes[at..at + 2].copy_from_slice(&field);
    }

    fn set_u32(self, bytes: &mut [u8], at: usize, value: u32) {
        let field = match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        };
        bytes[at..at + 4].copy_from_slice(&field);
    }
}

/// One directory that lies wholly within its block.
pub(crate) struct Directory {
    /// Where its first entry lies.
    first_entry: usize,
    /// How many entries it has.
    pub entries: usize,
}

impl Directory {
    pub(crate) fn read(block: &[u8], order: Order, at: usize) -> Result<Self, Damage> {
        let damage = Damage("a directory lies outside the block");
        let Some(entries) = order.u16(block, at).map(usize::from) else {
            return Err(damage);
        };
        let first_entry = at + 2;
        // The last entry is followed by the offset of the next directory, which some writers leave out.
        if first_entry + entries * ENTRY_BYTES > block.len() {
            return Err(damage);
        }
        Ok(Self { first_entry, entries })
    }

    /// Where entry `index` lies.
    pub(crate) fn entry(&self, index: usize) -> usize {
        self.first_entry + index * ENTRY_BYTES
    }

    fn find(&self, block: &[u8], order: Order, tag: u16) -> Option<usize> {
        (0..self.entries).map(|index| self.entry(index)).find(|at| order.u16(block, *at) == Some(tag))
    }

    /// The value of a SHORT or LONG entry of one element.
    pub(crate) fn number(&self, block: &[u8], order: Order, tag: u16) -> Option<u32> {
        let at = self.find(block, order, tag)?;
        if order.u32(block, at + 4) != Some(1) {
            return None;
        }
        match order.u16(block, at + 2)? {
            SHORT => order.u16(block, at + 8).map(u32::from),
            LONG => order.u32(block, at + 8),
            _ => None,
        }
    }

    /// Overwrites an entry that is there with one LONG (SHORT for orientation, which viewers insist on).
    fn set(&self, block: &mut [u8], order: Order, tag: u16, value: u32) {
        let Some(at) = self.find(block, order, tag) else {
            return;
        };
        order.set_u32(block, at + 4, 1);
        order.set_u32(block, at + 8, 0);
        match u16::try_from(value) {
            Ok(value) if tag == ORIENTATION => {
                order.set_u16(block, at + 2, SHORT);
                order.set_u16(block, at + 8, value);
            }
            _ => {
                order.set_u16(block, at + 2, LONG);
                order.set_u32(block, at + 8, value);
            }
        }
    }

    /// Where the offset of the next directory lies, if the block reaches so far.
    fn next_field(&self, block: &[u8]) -> Option<usize> {
        let at = self.entry(self.entries);
        (at + 4 <= block.len()).then_some(at)
    }
}

/// Byte order and first directory of a block.
pub(crate) fn open(block: &[u8]) -> Result<(Order, Directory), Damage> {
    let order = match block.get(..2) {
        Some(b"II") => Order::Little,
        Some(b"MM") => Order::Big,
        _ => return Err(Damage("no byte order mark")),
    };
    if order.u16(block, 2) != Some(42) {
        return Err(Damage("no TIFF header"));
    }
    let at = order.u32(block, 4).ok_or(Damage("the header is cut short"))?;
    Ok((order, Directory::read(block, order, at as usize)?))
}

/// The sub-directory that an entry of `parent` points to: `None` where there is no such entry.
pub(crate) fn sub_directory(
    block: &[u8],
    order: Order,
    parent: &Directory,
    tag: u16,
) -> Result<Option<Directory>, Damage> {
    parent.number(block, order, tag).map(|at| Directory::read(block, order, at as usize)).transpose()
}

/// Takes off the marker that JPEG puts before a block, and that some writers repeat elsewhere.
pub(crate) fn without_marker(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"Exif\0\0").unwrap_or(block)
}

/// The orientation, 1..=8; `None` where there is none or the block is damaged.
pub(crate) fn orientation(block: &[u8]) -> Option<u16> {
    let block = without_marker(block);
    let (order, directory) = open(block).ok()?;
    let value = directory.number(block, order, ORIENTATION)?;
    u16::try_from(value).ok().filter(|value| (1..=8).contains(value))
}

/// A copy that says orientation 1 and this size, without thumbnail.
///
/// Only entries that are there are changed; the byte order stays.
///
/// # Errors
/// [`Damage`] where the header or a directory cannot be read.
pub(crate) fn mend(block: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Damage> {
    let mut block = without_marker(block).to_vec();
    let (order, main) = open(&block)?;
    let exif = sub_directory(&block, order, &main, EXIF_DIRECTORY)?;
    let (width, height) =
        (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX));
    main.set(&mut block, order, ORIENTATION, 1);
    main.set(&mut block, order, IMAGE_WIDTH, width);
    main.set(&mut block, order, IMAGE_LENGTH, height);
    if let Some(exif) = exif {
        exif.set(&mut block, order, PIXEL_X_DIMENSION, width);
        exif.set(&mut block, order, PIXEL_Y_DIMENSION, height);
    }
    drop_thumbnail(&mut block, order, &main);
    Ok(block)
}

/// Unlinks the second directory, which describes the thumbnail, and cuts the thumbnail off where it lies last in the block.
fn drop_thumbnail(block: &mut Vec<u8>, order: Order, main: &Directory) {
    let Some(field) = main.next_field(block) else {
        return;
    };
    let next = order.u32(block, field).unwrap_or(0) as usize;
    order.set_u32(block, field, 0);
    if next == 0 {
        return;
    }
    let Ok(directory) = Directory::read(block, order, next) else {
        return;
    };
    let number = |tag| directory.number(block, order, tag).map(|value| value as usize);
    if let (Some(start), Some(length)) = (number(THUMBNAIL_OFFSET), number(THUMBNAIL_LENGTH))
        && start.checked_add(length) == Some(block.len())
        && start >= directory.entry(directory.entries)
        && block.get(start..start.saturating_add(2)) == Some(b"\xff\xd8")
    {
        block.truncate(start);
    }
}

#[cfg(test)]
mod tests;
