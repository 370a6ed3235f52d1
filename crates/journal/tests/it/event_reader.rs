//! A reader of event files that shares nothing with their writer: checksums bit by bit, fields of any order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One event as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadEvent {
    pub wall_seconds: f64,
    pub step: u64,
    pub file_version: Option<String>,
    pub is_session_start: bool,
    pub scalars: Vec<(String, f32)>,
    /// Tag, width, height, channels, bytes.
    pub pictures: Vec<(String, u64, u64, u64, Vec<u8>)>,
}

/// The event files of a folder in the order of their names.
pub fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents")));
    paths.sort();
    paths
}

/// All events of a file, which must be whole.
pub fn read_events(path: &Path) -> Vec<ReadEvent> {
    let bytes = fs::read(path).expect("the event file can be read");
    let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (checksum, after) = after.split_at(4);
        assert_eq!(checksum, masked_crc(length), "checksum of a length");
        let (data, after) = after.split_at(number(length) as usize);
        let (checksum, after) = after.split_at(4);
        assert_eq!(checksum, masked_crc(data), "checksum of an event");
        events.push(event(data));
        rest = after;
    }
    events
}

/// What a viewer shows: for each tag the last value of each step, as bits.
pub fn shown(folder: &Path) -> BTreeMap<(String, u64), Vec<u8>> {
    let mut shown = BTreeMap::new();
    for event in event_files(folder).iter().flat_map(|path| read_events(path)) {
        for (tag, value) in event.scalars {
            assert_eq!(shown.insert((tag, event.step), value.to_bits().to_le_bytes().to_vec()), None);
        }
        for (tag, .., bytes) in event.pictures {
            assert_eq!(shown.insert((tag, event.step), bytes), None);
        }
    }
    shown
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What a field holds: a number of up to eight bytes, or bytes.
#[derive(Default)]
struct Value<'a> {
    number: u64,
    bytes: &'a [u8],
}

impl Value<'_> {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).expect("UTF-8")
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let count = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a varint ends") + 1;
    let (own, rest) = bytes.split_at(count);
    *bytes = rest;
    own.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut value = Value::default();
        match key & 7 {
            0 => value.number = varint(&mut bytes),
            wire => {
                let length = match wire {
                    1 => 8,
                    5 => 4,
                    2 => varint(&mut bytes) as usize,
                    other => unreachable!("wire type {other}"),
                };
                (value.bytes, bytes) = bytes.split_at(length);
                value.number = if wire == 2 { 0 } else { number(value.bytes) };
            }
        }
        fields.push((key >> 3, value));
    }
    fields
}

fn event(data: &[u8]) -> ReadEvent {
    let mut event = ReadEvent::default();
    for (field, value) in fields(data) {
        match field {
            1 => event.wall_seconds = f64::from_bits(value.number),
            2 => event.step = value.number,
            3 => event.file_version = Some(value.text()),
            5 => fields(value.bytes).iter().for_each(|(_, value)| summary_value(&mut event, value.bytes)),
            7 => event.is_session_start = value.bytes == [8, 1],
            other => unreachable!("field {other} of an event"),
        }
    }
    event
}

fn summary_value(event: &mut ReadEvent, data: &[u8]) {
    let mut tag = String::new();
    for (field, value) in fields(data) {
        match field {
            1 => tag = value.text(),
            2 => event.scalars.push((tag.clone(), f32::from_bits(value.number as u32))),
            4 => {
                let image = fields(value.bytes);
                let [(1, height), (2, width), (3, channels), (4, bytes)] = image.as_slice() else {
                    unreachable!("fields of an image")
                };
                let (width, height, channels) = (width.number, height.number, channels.number);
                event.pictures.push((tag.clone(), width, height, channels, bytes.bytes.to_vec()));
            }
            other => unreachable!("field {other} of a value"),
        }
    }
}
