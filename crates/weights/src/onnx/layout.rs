//! What reshapes and transposes do to a feature map, followed axis by axis.
//!
//! Exporters write pixel unshuffle and shuffle as reshape, transpose, reshape in many variants. Each axis of a value is
//! kept as the list of factors of the original axes that it runs over; two values hold the same samples in the same
//! order exactly when these lists are equal.

use crate::graph::ChannelOrder;

/// A factor of an original axis: `size` steps of `stride` along `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factor {
    axis: usize,
    stride: usize,
    size: usize,
}

/// The axes of a rearranged feature map. Factors of size 1 are left out and whole runs are merged, so equality is exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    axes: Vec<Vec<Factor>>,
}

/// A rearrangement that networks use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rearrangement {
    None,
    Unshuffle { factor: usize, order: ChannelOrder },
    Shuffle { factor: usize },
}

impl Layout {
    /// An `[N, C, H, W]` value as it is.
    pub fn plain(shape: [usize; 4]) -> Self {
        let axes = shape.iter().enumerate().map(|(axis, &size)| Factor { axis, stride: 1, size });
        Self { axes: axes.map(|factor| if factor.size == 1 { vec![] } else { vec![factor] }).collect() }
    }

    /// The length of each axis.
    pub fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|factors| factors.iter().map(|factor| factor.size).product()).collect()
    }

    /// The same samples in axes of other sizes; `None` where an axis would not consist of whole factors.
    pub fn reshape(&self, sizes: &[usize]) -> Option<Self> {
        let mut left: Vec<Factor> = self.axes.iter().flatten().rev().copied().collect();
        let mut axes = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let mut axis: Vec<Factor> = Vec::new();
            let mut missing = size;
            while missing != 1 {
                let factor = left.pop()?;
                if missing != 0 && missing.is_multiple_of(factor.size) {
                    missing /= factor.size;
                    append(&mut axis, factor);
                } else if missing != 0 && factor.size.is_multiple_of(missing) {
                    let inner = factor.size / missing;
                    append(&mut axis, Factor { stride: factor.stride * inner, size: missing, ..factor });
                    left.push(Factor { size: inner, ..factor });
                    missing = 1;
                } else {
                    return None;
                }
            }
            axes.push(axis);
        }
        left.is_empty().then_some(Self { axes })
    }

    /// Axis `i` of the result is axis `order[i]`; `None` where `order` is no permutation.
    pub fn transpose(&self, order: &[usize]) -> Option<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.axes.len()) {
            return None;
        }
        Some(Self { axes: order.iter().map(|&axis| self.axes[axis].clone()).collect() })
    }

    /// Which rearrangement of an `[N, C, H, W]` value of this shape it is.
    pub fn rearrangement(&self, shape: [usize; 4]) -> Option<Rearrangement> {
        if *self == Self::plain(shape) {
            return Some(Rearrangement::None);
        }
        let [_, _, height, _] = *self.sizes() else {
            return None;
        };
        if height == 0 || shape[2] == 0 {
            return None;
        }
        let candidates = match height < shape[2] {
            true => {
                let factor = shape[2] / height;
                [ChannelOrder::ChannelFirst, ChannelOrder::PositionFirst]
                    .map(|order| Rearrangement::Unshuffle { factor, order })
                    .to_vec()
            }
            false => vec![Rearrangement::Shuffle { factor: height / shape[2] }],
        };
        candidates.into_iter().find(|candidate| candidate.layout(shape).as_ref() == Some(self))
    }
}

impl Rearrangement {
    /// What it makes of an `[N, C, H, W]` value; `None` where the sizes are no multiples of its factor.
    pub fn layout(self, shape: [usize; 4]) -> Option<Layout> {
        let plain = Layout::plain(shape);
        let [batch, channels, height, width] = shape;
        let sizes = self.shape(shape)?;
        match self {
            Self::None => Some(plain),
            Self::Unshuffle { factor, order } => {
                let order = match order {
                    ChannelOrder::ChannelFirst => [0, 1, 3, 5, 2, 4],
                    ChannelOrder::PositionFirst => [0, 3, 5, 1, 2, 4],
                };
                let split = [batch, channels, height / factor, factor, width / factor, factor];
                plain.reshape(&split)?.transpose(&order)?.reshape(&sizes)
            }
            Self::Shuffle { factor } => {
                let split = [batch, channels / factor / factor, factor, factor, height, width];
                plain.reshape(&split)?.transpose(&[0, 1, 4, 2, 5, 3])?.reshape(&sizes)
            }
        }
    }

    /// The shape that it gives to an `[N, C, H, W]` value; `None` where the sizes are no multiples of its factor.
    pub fn shape(self, [batch, channels, height, width]: [usize; 4]) -> Option<[usize; 4]> {
        let divide = |size: usize, by: usize| (by > 0 && size.is_multiple_of(by)).then(|| size / by);
        match self {
            Self::None => Some([batch, channels, height, width]),
            Self::Unshuffle { factor, .. } => {
                let channels = channels.checked_mul(factor.checked_mul(factor)?)?;
                Some([batch, channels, divide(height, factor)?, divide(width, factor)?])
            }
            Self::Shuffle { factor } => Some([
                batch,
                divide(channels, factor.checked_mul(factor)?)?,
                height.checked_mul(factor)?,
                width.checked_mul(factor)?,
            ]),
        }
    }
}

/// Appends a factor, merged with the last one where both are one run of their axis.
fn append(axis: &mut Vec<Factor>, factor: Factor) {
    if factor.size == 1 {
        return;
    }
    match axis.last_mut() {
        Some(last) if last.axis == factor.axis && last.stride == factor.stride * factor.size => {
            last.size *= factor.size;
            last.stride = factor.stride;
        }
        _ => axis.push(factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 4] = [1, 3, 8, 12];

    #[test]
    fn a_split_and_a_merge_change_nothing() {
        let plain = Layout::plain(SHAPE);
        let split = plain.reshape(&[3, 2, 4, 2, 6]).unwrap();
        assert_ne!(split, plain);
        assert_eq!(split.reshape(&SHAPE).unwrap().rearrangement(SHAPE), Some(Rearrangement::None));
    }

    #[test]
    fn pixel_unshuffle_is_recognised_in_both_orders() {
        let split = Layout::plain(SHAPE).reshape(&[1, 3, 4, 2, 6, 2]).unwrap();
        for (perm, order) in [
            ([0, 1, 3, 5, 2, 4], ChannelOrder::ChannelFirst),
            ([0, 3, 5, 1, 2, 4], ChannelOrder::PositionFirst),
        ] {
            let layout = split.transpose(&perm).unwrap().reshape(&[1, 12, 4, 6]).unwrap();
            assert_eq!(layout.rearrangement(SHAPE), Some(Rearrangement::Unshuffle { factor: 2, order }));
        }
    }

    #[test]
    fn other_orders_are_not() {
        let split = Layout::plain(SHAPE).reshape(&[1, 3, 4, 2, 6, 2]).unwrap();
        for perm in [[0, 1, 5, 3, 2, 4], [0, 1, 3, 5, 4, 2], [0, 1, 2, 3, 4, 5]] {
            let layout = split.transpose(&perm).unwrap().reshape(&[1, 12, 4, 6]);
            assert_eq!(layout.and_then(|layout| layout.rearrangement(SHAPE)), None, "{perm:?}");
        }
    }

    #[test]
    fn pixel_shuffle_is_recognised() {
        let shape = [1, 12, 4, 6];
        let split = Layout::plain(shape).reshape(&[1, 3, 2, 2, 4, 6]).unwrap();
        let layout = split.transpose(&[0, 1, 4, 2, 5, 3]).unwrap().reshape(&[1, 3, 8, 12]).unwrap();
        assert_eq!(layout.rearrangement(shape), Some(Rearrangement::Shuffle { factor: 2 }));
    }

    #[test]
    fn impossible_requests_are_none() {
        let plain = Layout::plain(SHAPE);
        for sizes in [&[1, 3, 8, 11][..], &[1, 3, 8], &[1, 3, 8, 12, 2], &[0, 3, 8, 12], &[7, 41]] {
            assert_eq!(plain.reshape(sizes), None, "{sizes:?}");
        }
        assert_eq!(plain.transpose(&[0, 1, 2]), None);
        assert_eq!(plain.transpose(&[0, 1, 2, 2]), None);
        assert_eq!(
            Rearrangement::Unshuffle { factor: 5, order: ChannelOrder::ChannelFirst }.layout(SHAPE),
            None
        );
        assert_eq!(Rearrangement::Shuffle { factor: 0 }.layout(SHAPE), None);
    }
}
