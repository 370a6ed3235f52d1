//! A decoded picture as it is kept in memory, and the crops that are taken from it.

use std::hash::Hasher;
use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth, dequantise_u8, dequantise_u16, quantise_u8};
use esrgan_image::{Limits, Raster, Samples, decode};

use crate::error::DatasetError;
use crate::orientation::Orientation;

/// Channels of every crop: red, green, blue.
pub(crate) const CHANNELS: usize = 3;

/// Samples of 8 bits, or of 16 for deeper files, gray or RGB.
pub(crate) struct StoredPicture {
    raster: Raster,
}

/// Where in a picture a square crop lies, and how it is turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub left: usize,
    pub top: usize,
    pub side: usize,
    pub orientation: Orientation,
}

impl StoredPicture {
    /// Decodes a file. Alpha is left behind; what is deeper than 16 bits is rounded to them.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, DatasetError> {
        let mut decoded = decode(path, limits)?;
        decoded.picture.alpha = None;
        Ok(Self::of(&decoded.picture, decoded.header.depth))
    }

    /// Rounds a picture's samples to the depth that it is kept in.
    pub fn of(picture: &Picture, depth: SampleDepth) -> Self {
        let depth = match depth {
            SampleDepth::U8 => SampleDepth::U8,
            SampleDepth::U16 | SampleDepth::F32 => SampleDepth::U16,
        };
        Self { raster: Raster::from_picture(picture, depth) }
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.raster.width, self.raster.height)
    }

    /// Bytes that the samples occupy.
    pub fn bytes(&self) -> u64 {
        let sample_bytes = match self.raster.samples {
            Samples::U8(_) => 1,
            Samples::U16(_) => 2,
            Samples::F32(_) => 4,
        };
        self.raster.samples.len() as u64 * sample_bytes
    }

    /// Appends a crop, channel by channel, gray as three equal ones.
    ///
    /// # Panics
    /// Where the region does not lie within the picture.
    pub fn push_crop(&self, region: Region, out: &mut Vec<f32>) {
        match &self.raster.samples {
            Samples::U8(samples) => self.push(samples, region, out, dequantise_u8),
            Samples::U16(samples) => self.push(samples, region, out, dequantise_u16),
            Samples::F32(samples) => self.push(samples, region, out, |sample| sample),
        }
    }

    fn push<S: Copy>(&self, samples: &[S], region: Region, out: &mut Vec<f32>, widen: impl Fn(S) -> f32) {
        let Region { left, top, side, orientation } = region;
        let (width, height, channels) = (self.raster.width, self.raster.height, self.raster.channels);
        assert!(left + side <= width && top + side <= height, "{region:?} in {width}x{height}");
        for channel in 0..CHANNELS {
            let channel = channel.min(channels - 1);
            out.extend((0..side * side).map(|at| {
                let (column, row) = orientation.source((at % side, at / side), side);
                widen(samples[((top + row) * width + left + column) * channels + channel])
            }));
        }
    }

    /// A hash of what is seen: the size, and the samples as RGB of 8 bits. It is the same on every run and machine of a build.
    pub fn content_hash(&self) -> u64 {
        let (width, height) = self.size();
        // Its keys are fixed, unlike those of a map's.
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(width as u64);
        hasher.write_u64(height as u64);
        let row_samples = width * self.raster.channels;
        let mut row: Vec<u8> = Vec::with_capacity(width * CHANNELS);
        for y in 0..height {
            let range = y * row_samples..(y + 1) * row_samples;
            row.clear();
            match &self.raster.samples {
                Samples::U8(samples) => row.extend(&samples[range]),
                Samples::U16(samples) => {
                    row.extend(samples[range].iter().map(|sample| quantise_u8(dequantise_u16(*sample))));
                }
                Samples::F32(samples) => row.extend(samples[range].iter().map(|sample| quantise_u8(*sample))),
            }
            if self.raster.is_gray() {
                row = row.iter().flat_map(|gray| [*gray; CHANNELS]).collect();
            }
            hasher.write(&row);
        }
        hasher.finish()
    }
}

/// The planes of a square crop.
pub(crate) fn planes(samples: &[f32], side: usize) -> Vec<Plane> {
    let plane = |samples: &[f32]| {
        Plane::new(side, side, samples.to_vec()).expect("a crop has a sample for each pixel and channel")
    };
    samples.chunks_exact(side * side).map(plane).collect()
}

/// Appends the planes of a picture, gray as three equal ones.
pub(crate) fn push_planes(planes: &[Plane], out: &mut Vec<f32>) {
    for channel in 0..CHANNELS {
        out.extend(planes[channel.min(planes.len() - 1)].samples());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(width: usize, channels: usize, samples: Samples) -> StoredPicture {
        let height = samples.len() / channels / width;
        StoredPicture { raster: Raster { width, height, channels, samples } }
    }

    #[test]
    fn crops_are_cut_where_they_were_asked_for() {
        let picture = stored(3, 3, Samples::U8((0..27).collect()));
        let region = Region { left: 1, top: 1, side: 2, orientation: Orientation::default() };
        let mut out = Vec::new();
        picture.push_crop(region, &mut out);
        let expected = [12, 15, 21, 24, 13, 16, 22, 25, 14, 17, 23, 26];
        assert_eq!(out, expected.map(dequantise_u8));
        let mut again = Vec::new();
        push_planes(&planes(&out, 2), &mut again);
        assert_eq!(again, out);
    }

    #[test]
    fn gray_becomes_three_channels_and_deep_samples_keep_their_levels() {
        let picture = stored(2, 1, Samples::U16(vec![0, 1, 2, 65_535]));
        let mut out = Vec::new();
        let region = Region { left: 0, top: 0, side: 2, orientation: Orientation::default() };
        picture.push_crop(region, &mut out);
        assert_eq!(out, [[0, 1, 2, 65_535].map(dequantise_u16); 3].concat());
        assert_eq!(picture.bytes(), 8);
    }

    #[test]
    fn hashes_tell_what_is_seen_apart_and_nothing_else() {
        let gray = stored(2, 1, Samples::U8(vec![1, 2, 3, 4]));
        let same = [
            stored(2, 1, Samples::U16([1, 2, 3, 4].map(|level| level * 257).to_vec())),
            stored(2, 3, Samples::U8([1, 2, 3, 4].map(|level| [level; 3]).concat())),
        ];
        for (index, picture) in same.iter().enumerate() {
            assert_eq!(picture.content_hash(), gray.content_hash(), "{index}");
        }
        let others = [
            stored(1, 1, Samples::U8(vec![1, 2, 3, 4])),
            stored(4, 1, Samples::U8(vec![1, 2, 3, 4])),
            stored(2, 1, Samples::U8(vec![1, 2, 4, 3])),
            stored(2, 1, Samples::U8(vec![1, 2, 3])),
        ];
        for (index, picture) in others.iter().enumerate() {
            assert_ne!(picture.content_hash(), gray.content_hash(), "{index}");
        }
    }
}
