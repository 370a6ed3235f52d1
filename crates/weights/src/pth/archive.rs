//! The zip archive that PyTorch has written since version 1.6: its central directory, members stored without
//! compression.
//!
//! What lives here: the part of the zip format that `torch.save` uses, read strictly: what two readers could understand
//! in two ways is refused. What does not: the meaning of the members. The format:
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.

use std::collections::HashSet;
use std::ops::Range;

use crate::error::WeightsError;
use crate::text::{shown, shown_bytes};

const END_SIGNATURE: u32 = 0x0605_4b50;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;

const END_BYTES: usize = 22;
const END64_BYTES: usize = 56;
const LOCATOR_BYTES: usize = 20;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// The identifier of the extra field with 64-bit sizes.
const ZIP64_FIELD: u16 = 1;

/// A file within the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its content lies in the archive.
    pub(super) range: Range<usize>,
    /// The checksum that the archive declares.
    pub(super) crc32: u32,
}

/// Lists the members in the order of the central directory.
///
/// # Errors
/// [`WeightsError::Malformed`] where the bytes are no archive of stored members, or where two members share bytes or a
/// name; [`WeightsError::Limit`] above `max_members`.
pub(super) fn members(bytes: &[u8], max_members: usize) -> Result<Vec<Member>, WeightsError> {
    let directory = find_directory(bytes)?;
    if directory.entries > max_members as u64 {
        let item = "members of the zip archive".to_owned();
        return Err(WeightsError::Limit { item, limit: max_members as u64, found: directory.entries });
    }
    let mut at = directory.range.start;
    let mut members = Vec::new();
    for index in 0..directory.entries {
        let (member, next) = read_entry(bytes, at, &directory.range, index)?;
        at = next;
        members.extend(member);
    }
    if at != directory.range.end {
        return Err(malformed("the zip directory", format!("its end at byte {}", directory.range.end), at));
    }
    let mut names = HashSet::new();
    if let Some(twin) = members.iter().find(|member| !names.insert(member.name.as_str())) {
        return Err(malformed(
            "the zip directory",
            "a name only once",
            format!("`{}` twice", shown(&twin.name)),
        ));
    }
    let mut ranges: Vec<&Range<usize>> = members.iter().map(|member| &member.range).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    if let Some(pair) = ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
        let found = format!("{:?} and {:?}", pair[0], pair[1]);
        return Err(malformed("the zip directory", "members that share no bytes", found));
    }
    Ok(members)
}

struct Directory {
    range: Range<usize>,
    entries: u64,
}

/// The record at the end, which says where the directory is.
fn find_end(bytes: &[u8]) -> Result<usize, WeightsError> {
    // A comment of up to 65,535 bytes may follow the end record, which says how long it is.
    let earliest = bytes.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let latest = bytes.len().checked_sub(END_BYTES);
    let is_end = |at: &usize| {
        u32_at(bytes, *at) == Some(END_SIGNATURE)
            && u16_at(bytes, at + 20).map(|comment| at + END_BYTES + usize::from(comment))
                == Some(bytes.len())
    };
    let end = latest.and_then(|latest| (earliest..=latest).rev().find(is_end));
    end.ok_or_else(|| malformed("the zip archive", "an end record", "none: the file is cut off or damaged"))
}

fn find_directory(bytes: &[u8]) -> Result<Directory, WeightsError> {
    let item = "the zip archive";
    let end = find_end(bytes)?;
    let field = |offset: usize| u64::from(u32_at(bytes, end + offset).unwrap_or(0));
    let mut entries = u64::from(u16_at(bytes, end + 10).unwrap_or(0));
    let (mut length, mut start) = (field(12), field(16));
    let mut limit = end;
    let locator = end.checked_sub(LOCATOR_BYTES).filter(|&at| u32_at(bytes, at) == Some(LOCATOR_SIGNATURE));
    if let Some(locator) = locator {
        let record = u64_at(bytes, locator + 8).and_then(|at| usize::try_from(at).ok());
        let record = record.filter(|&at| {
            u32_at(bytes, at) == Some(END64_SIGNATURE) && at.checked_add(END64_BYTES) == Some(locator)
        });
        let record =
            record.ok_or_else(|| malformed(item, "a 64-bit end record before its locator", "none"))?;
        let field = |offset: usize| u64_at(bytes, record + offset).unwrap_or(0);
        let wide = (field(32), field(40), field(48));
        let agrees = |narrow: u64, wide: u64, marker: u64| narrow == wide || narrow == marker;
        let all = u64::from(u32::MAX);
        if !(agrees(entries, wide.0, u64::from(u16::MAX))
            && agrees(length, wide.1, all)
            && agrees(start, wide.2, all))
        {
            return Err(malformed(item, "end records that agree", "two that do not"));
        }
        (entries, length, start) = wide;
        limit = record;
    }
    let range =
        usize::try_from(start).ok().zip(start.checked_add(length).and_then(|end| usize::try_from(end).ok()));
    match range {
        Some((start, end)) if end == limit => Ok(Directory { range: start..end, entries }),
        _ => Err(malformed(
            item,
            format!("a directory that ends at byte {limit}"),
            format!("{length} bytes from byte {start}"),
        )),
    }
}

/// Reads one entry of the directory; folders give no member. Returns where the next one begins.
fn read_entry(
    bytes: &[u8],
    at: usize,
    directory: &Range<usize>,
    index: u64,
) -> Result<(Option<Member>, usize), WeightsError> {
    let item = format!("entry {index} of the zip directory");
    let fixed = bytes[..directory.end].get(at..).and_then(|left| left.get(..CENTRAL_BYTES));
    let fixed = fixed.filter(|fixed| u32_at(fixed, 0) == Some(CENTRAL_SIGNATURE));
    let fixed = fixed.ok_or_else(|| malformed(&item, "an entry", format!("none at byte {at}")))?;
    let narrow = |offset: usize| usize::from(u16_at(fixed, offset).unwrap_or(0));
    let wide = |offset: usize| u64::from(u32_at(fixed, offset).unwrap_or(0));
    let (name_length, extra_length, comment_length) = (narrow(28), narrow(30), narrow(32));
    let name_start = at + CENTRAL_BYTES;
    let next = name_start + name_length + extra_length + comment_length;
    if next > directory.end {
        return Err(malformed(&item, format!("an end up to byte {}", directory.end), format!("byte {next}")));
    }
    let raw_name = &bytes[name_start..name_start + name_length];
    let name = std::str::from_utf8(raw_name)
        .map_err(|_| malformed(&item, "a name in UTF-8", format!("`{}`", shown_bytes(raw_name))))?;
    let item = format!("the zip member `{}`", shown(name));
    let (flags, method) = (narrow(8), narrow(10));
    if flags & 1 != 0 {
        return Err(malformed(&item, "no encryption", "an encrypted member"));
    }
    if method != 0 {
        let found = format!("compression method {method}");
        return Err(malformed(&item, "a member stored as it is, as PyTorch writes it", found));
    }
    let extra = &bytes[name_start + name_length..name_start + name_length + extra_length];
    let sizes = Sizes { unpacked: wide(24), packed: wide(20), header: wide(42) }.widened(extra, &item)?;
    if sizes.packed != sizes.unpacked {
        return Err(malformed(&item, format!("{} bytes, as unpacked", sizes.unpacked), sizes.packed));
    }
    let range = content(bytes, directory.start, &sizes, raw_name, &item)?;
    let member = Member { name: name.to_owned(), range, crc32: u32_at(fixed, 16).unwrap_or(0) };
    Ok((Some(member).filter(|member| !member.name.ends_with('/')), next))
}

/// Sizes and place of a member.
struct Sizes {
    unpacked: u64,
    packed: u64,
    header: u64,
}

impl Sizes {
    /// Takes from the extra field what did not fit 32 bits.
    fn widened(mut self, extra: &[u8], item: &str) -> Result<Self, WeightsError> {
        let marker = u64::from(u32::MAX);
        let mut values = zip64_field(extra).as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight));
        for value in [&mut self.unpacked, &mut self.packed, &mut self.header] {
            if *value == marker {
                *value = values.next().ok_or_else(|| malformed(item, "64-bit sizes", "too few of them"))?;
            }
        }
        Ok(self)
    }
}

/// The extra field with 64-bit sizes; empty where there is none.
fn zip64_field(mut extra: &[u8]) -> &[u8] {
    while let (Some(identifier), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(length)) else { break };
        if identifier == ZIP64_FIELD {
            return field;
        }
        extra = &extra[4 + field.len()..];
    }
    &[]
}

/// Follows the entry to the member's own header, which must agree, and to its content.
fn content(
    bytes: &[u8],
    directory_start: usize,
    sizes: &Sizes,
    raw_name: &[u8],
    item: &str,
) -> Result<Range<usize>, WeightsError> {
    let before_directory = &bytes[..directory_start];
    let header_at = usize::try_from(sizes.header).unwrap_or(usize::MAX);
    let header = before_directory.get(header_at..).and_then(|left| left.get(..LOCAL_BYTES));
    let header = header.filter(|header| u32_at(header, 0) == Some(LOCAL_SIGNATURE));
    let header =
        header.ok_or_else(|| malformed(item, "its header", format!("none at byte {}", sizes.header)))?;
    let narrow = |offset: usize| usize::from(u16_at(header, offset).unwrap_or(0));
    let name_start = header_at + LOCAL_BYTES;
    let name_end = name_start + narrow(26);
    if before_directory.get(name_start..name_end) != Some(raw_name) || narrow(8) != 0 {
        return Err(malformed(item, "the same name and method in both of its headers", "others"));
    }
    let start = name_end + narrow(28);
    let end = usize::try_from(sizes.unpacked).ok().and_then(|length| start.checked_add(length));
    match end {
        Some(end) if end <= directory_start => Ok(start..end),
        _ => Err(malformed(
            item,
            format!("an end up to byte {directory_start}"),
            format!("{} bytes from byte {start}", sizes.unpacked),
        )),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_le_bytes(*two))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_le_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

fn malformed(item: &str, expected: impl Into<String>, found: impl ToString) -> WeightsError {
    WeightsError::Malformed { item: item.to_owned(), expected: expected.into(), found: found.to_string() }
}
