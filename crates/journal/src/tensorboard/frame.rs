//! The frames of TFRecord files: length, its checksum, bytes, their checksum.
//!
//! Checksums are CRC-32C, rotated by 15 bits and moved by a constant, so that checksums of data that holds checksums are of
//! use. The form is that of TensorFlow, `tensorflow/core/lib/io/record_writer.h`.

use std::io::{self, Read};

use crc::{CRC_32_ISCSI, Crc, Table};

const CRC_32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// TensorFlow's `kMaskDelta`.
const MASK_DELTA: u32 = 0xa282_ead8;

/// Length and its checksum.
const HEAD_BYTES: u64 = 12;
/// The checksum of the bytes.
const TAIL_BYTES: u64 = 4;

fn masked_checksum(bytes: &[u8]) -> u32 {
    CRC_32C.checksum(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

/// Puts bytes into a frame.
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(framed_length(bytes.len()) as usize);
    framed.extend(length);
    framed.extend(masked_checksum(&length).to_le_bytes());
    framed.extend(bytes);
    framed.extend(masked_checksum(bytes).to_le_bytes());
    framed
}

/// How long a frame around so many bytes is.
pub(super) fn framed_length(length: usize) -> u64 {
    HEAD_BYTES + length as u64 + TAIL_BYTES
}

/// Reads the bytes of the next frame, of a file of which `remaining` bytes are left; `None` where there is no whole frame.
pub(super) fn read(reader: &mut impl Read, remaining: u64) -> io::Result<Option<Vec<u8>>> {
    if remaining < HEAD_BYTES + TAIL_BYTES {
        return Ok(None);
    }
    let (mut length, mut checksum) = ([0; 8], [0; 4]);
    reader.read_exact(&mut length)?;
    reader.read_exact(&mut checksum)?;
    let count = u64::from_le_bytes(length);
    // The length is held against the file before memory is taken for it.
    let is_whole = count <= remaining - HEAD_BYTES - TAIL_BYTES;
    if !is_whole || u32::from_le_bytes(checksum) != masked_checksum(&length) {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?];
    reader.read_exact(&mut bytes)?;
    reader.read_exact(&mut checksum)?;
    Ok((u32::from_le_bytes(checksum) == masked_checksum(&bytes)).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnoli_s() {
        // RFC 3720, B.4: 32 bytes of zeros, and of ones.
        assert_eq!(CRC_32C.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC_32C.checksum(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn every_damage_ends_the_reading() {
        let whole = framed(b"some bytes");
        assert_eq!(whole.len() as u64, framed_length(10));
        let read_all = |bytes: &[u8]| read(&mut &*bytes, bytes.len() as u64).unwrap();
        assert_eq!(read_all(&whole).as_deref(), Some(b"some bytes".as_slice()));
        for length in 0..whole.len() {
            assert_eq!(read_all(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert_eq!(read_all(&damaged), None, "{at}");
        }
    }
}
