//! What 3x3 convolutions see beyond the edge of a map.
//!
//! Kernels see zeros there. Where it is to be anything else, a layer computes over maps with a ring of pixels around them, which is
//! written before a convolution reads it, and whose gradient is added to that of the pixels it was made of.

use esrgan_kernels::ChannelBlock;
use rayon::prelude::*;

use crate::map::FeatureMap;

/// What a 3x3 convolution sees beyond the edge of its map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Zeros: what the published networks were trained with.
    #[default]
    Zero,
    /// The edge pixel, repeated: PyTorch's padding mode of that name.
    Replicate,
}

impl Edge {
    /// Pixels of the ring on each side.
    pub fn ring(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::Replicate => 1,
        }
    }

    /// A map as convolutions read it.
    pub(crate) fn around<'m>(self, map: &'m FeatureMap<'_>) -> FeatureMap<'m> {
        let mut ringed = ringed(map, self.ring());
        self.write(&mut ringed);
        ringed
    }

    /// Writes the ring of a map.
    pub(crate) fn write(self, map: &mut FeatureMap<'_>) {
        if self == Self::Replicate {
            repeat_edges(map);
        }
    }

    /// The gradient of a map, from that of the map with its ring, whose ring becomes zero: the transpose of [`Edge::write`].
    pub(crate) fn fold(self, gradient: &mut FeatureMap<'_>) {
        if self == Self::Replicate {
            fold_ring(gradient);
        }
    }
}

/// A map in a ring of zeros.
pub(crate) fn ringed<'m>(map: &'m FeatureMap<'_>, ring: usize) -> FeatureMap<'m> {
    let [samples, channels, height, width] = map.shape();
    if ring == 0 {
        return map.borrowed();
    }
    let mut larger = FeatureMap::to_overwrite(samples, channels, height + 2 * ring, width + 2 * ring);
    let (blocks, rows) = (larger.blocks(), height + 2 * ring);
    larger.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) = (index / rows / blocks, index / rows % blocks, index % rows);
        row.fill(ChannelBlock::ZERO);
        if (ring..ring + height).contains(&y) {
            row[ring..ring + width].copy_from_slice(map.pixels(sample, block, y - ring));
        }
    });
    larger
}

/// A map without its ring.
pub(crate) fn without_ring(map: FeatureMap<'static>, ring: usize) -> FeatureMap<'static> {
    let [samples, channels, height, width] = map.shape();
    if ring == 0 {
        return map;
    }
    let (height, width) = (height - 2 * ring, width - 2 * ring);
    let mut smaller = FeatureMap::to_overwrite(samples, channels, height, width);
    let blocks = smaller.blocks();
    smaller.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        row.copy_from_slice(&map.pixels(sample, block, y + ring)[ring..ring + width]);
    });
    smaller
}

/// Writes the nearest pixel within into each pixel of a ring.
fn repeat_edges(map: &mut FeatureMap<'_>) {
    let length = map.row_length();
    map.par_planes_mut().for_each(|plane| {
        for row in plane.chunks_exact_mut(length) {
            // One more pixel at both ends is the layout's.
            (row[1], row[length - 2]) = (row[2], row[length - 3]);
        }
        let last = plane.len() - length;
        plane.copy_within(length..2 * length, 0);
        plane.copy_within(last - length..last, last);
    });
}

/// Adds each pixel of a ring to the nearest within, and clears it.
fn fold_ring(map: &mut FeatureMap<'_>) {
    let length = map.row_length();
    let take = |to: &mut ChannelBlock, from: &mut ChannelBlock| {
        to.0.iter_mut().zip(from.0).for_each(|(to, from)| *to += from);
        *from = ChannelBlock::ZERO;
    };
    let fold = |to: &mut [ChannelBlock], from: &mut [ChannelBlock]| {
        to.iter_mut().zip(from).for_each(|(to, from)| take(to, from));
    };
    map.par_planes_mut().for_each(|plane| {
        let (first, within) = plane.split_at_mut(length);
        fold(within, first);
        let (within, last) = within.split_at_mut(within.len() - length);
        let below = within.len() - length;
        fold(&mut within[below..], last);
        for row in within.chunks_exact_mut(length) {
            let (left, rest) = row.split_at_mut(2);
            take(&mut rest[0], &mut left[1]);
            let (rest, right) = rest.split_at_mut(length - 4);
            take(&mut rest[length - 5], &mut right[0]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_repeats_the_edge_and_folds_back_to_it() {
        for (height, width) in [(1, 1), (1, 4), (3, 1), (2, 5)] {
            let (ringed_height, ringed_width) = (height + 2, width + 2);
            let values: Vec<f32> = (1..=2 * 17 * height * width).map(|value| value as f32).collect();
            let map = FeatureMap::from_planar(&values, [2, 17, height, width]);
            let nearest = |y: usize, x: usize| (y.clamp(1, height) - 1) * width + x.clamp(1, width) - 1;
            let places =
                || (0..ringed_height * ringed_width).map(|at| (at / ringed_width, at % ringed_width));
            let seen = Edge::Replicate.around(&map);
            for (plane, values) in values.chunks(height * width).enumerate() {
                let found = &seen.to_planar()[plane * ringed_height * ringed_width..];
                assert!(places().zip(found).all(|((y, x), found)| *found == values[nearest(y, x)]));
            }
            let mut gradient = FeatureMap::zeros(2, 17, ringed_height, ringed_width);
            gradient.par_rows_mut().for_each(|row| row.fill(ChannelBlock::splat(1.0)));
            Edge::Replicate.fold(&mut gradient);
            let mut expected = vec![0.0; height * width];
            places().for_each(|(y, x)| expected[nearest(y, x)] += 1.0);
            let inner = without_ring(gradient.clone(), 1).to_planar();
            assert!(inner.chunks(height * width).all(|plane| plane == expected));
            let total: f32 = gradient.to_planar().iter().sum();
            assert_eq!(total, (2 * 17 * ringed_height * ringed_width) as f32, "a ring that is not cleared");
            assert_eq!(Edge::Zero.around(&map).to_planar(), values);
        }
    }
}
