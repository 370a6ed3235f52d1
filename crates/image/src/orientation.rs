//! The eight orientations of EXIF, applied to planes.

use crate::error::Failure;
use crate::memory;

/// How stored pixels are turned to be seen upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Rows become columns; the flips below then speak of stored columns and rows.
    transpose: bool,
    /// Stored columns are read from right to left.
    flip_x: bool,
    /// Stored rows are read from bottom to top.
    flip_y: bool,
}

impl Orientation {
    /// From the value of EXIF tag 0x0112; values outside 1..=8 leave the picture as it is.
    pub(crate) fn from_exif(value: u16) -> Self {
        let (transpose, flip_x, flip_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        Self { transpose, flip_x, flip_y }
    }

    pub(crate) fn transposes(self) -> bool {
        self.transpose
    }

    /// Width and height as seen.
    pub(crate) fn size(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// Turns one plane of `width` stored columns.
    pub(crate) fn apply(self, mut samples: Vec<f32>, width: usize) -> Result<Vec<f32>, Failure> {
        if width == 0 || samples.is_empty() {
            return Ok(samples);
        }
        if self.transpose {
            return self.transposed(&samples, width);
        }
        match (self.flip_x, self.flip_y) {
            (false, false) => {}
            (true, true) => samples.reverse(),
            (true, false) => samples.chunks_exact_mut(width).for_each(<[f32]>::reverse),
            (false, true) => {
                let mut rows = samples.chunks_exact_mut(width);
                while let (Some(top), Some(bottom)) = (rows.next(), rows.next_back()) {
                    top.swap_with_slice(bottom);
                }
            }
        }
        Ok(samples)
    }

    /// `out[y][x] = in[flip_y(x)][flip_x(y)]`, in blocks so that both sides stay in cache.
    fn transposed(self, samples: &[f32], width: usize) -> Result<Vec<f32>, Failure> {
        const BLOCK: usize = 32;
        let height = samples.len() / width;
        let mut turned = memory::zeroed::<f32>(samples.len() as u64)?;
        for block_y in (0..width).step_by(BLOCK) {
            for block_x in (0..height).step_by(BLOCK) {
                for y in block_y..width.min(block_y + BLOCK) {
                    let stored_x = if self.flip_x { width - 1 - y } else { y };
                    let row = &mut turned[y * height..(y + 1) * height];
                    for (x, out) in row.iter_mut().enumerate().take(height.min(block_x + BLOCK)).skip(block_x)
                    {
                        let stored_y = if self.flip_y { height - 1 - x } else { x };
                        *out = samples[stored_y * width + stored_x];
                    }
                }
            }
        }
        Ok(turned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the stored corner pixels `a b / c d` of a 2 x 2 picture, and the size of a 3 x 2 one, come to lie.
    #[test]
    fn all_eight_against_the_table_of_the_exif_standard() {
        // EXIF 2.32, tag Orientation: which visual edges row 0 and column 0 lie at.
        let expected = [
            (1, "abcdef", 3),
            (2, "cbafed", 3),
            (3, "fedcba", 3),
            (4, "defabc", 3),
            (5, "adbecf", 2),
            (6, "daebfc", 2),
            (7, "fcebda", 2),
            (8, "cfbead", 2),
        ];
        let stored: Vec<f32> = b"abcdef".iter().map(|b| f32::from(*b)).collect();
        for (value, seen, width) in expected {
            let orientation = Orientation::from_exif(value);
            let turned = orientation.apply(stored.clone(), 3).expect("six samples fit in memory");
            let text: String = turned.iter().map(|v| *v as u8 as char).collect();
            assert_eq!(text, seen, "orientation {value}");
            assert_eq!(orientation.size(3, 2).0, width, "orientation {value}");
        }
    }

    #[test]
    fn blocks_do_not_show_in_a_large_plane() {
        let (width, height) = (70, 45);
        let stored: Vec<f32> = (0..width * height).map(|i| i as f32).collect();
        let turned = Orientation::from_exif(6).apply(stored, width).expect("memory for a small plane");
        for y in 0..width {
            for x in 0..height {
                assert_eq!(turned[y * height + x], ((height - 1 - x) * width + y) as f32);
            }
        }
    }
}
