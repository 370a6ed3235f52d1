//! What a convolution sees beyond the picture's edge.

/// What a convolution sees beyond the picture's edge. Applied by every layer, as a framework's padding mode would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Edge {
    /// Zeros: what the published networks were trained with.
    #[default]
    Zero,
    /// The edge pixel, repeated.
    Replicate,
    /// The picture mirrored at the edge pixel, which is not repeated.
    Reflect,
    /// The opposite edge: a tileable texture stays tileable.
    Wrap,
}

impl Edge {
    /// Where the value at `index` of a line of `length` is found, or `None` for zero.
    ///
    /// # Panics
    /// In debug builds where `length` is zero.
    pub fn resolve(self, index: isize, length: usize) -> Option<usize> {
        debug_assert!(length > 0);
        let last = length as isize - 1;
        if (0..=last).contains(&index) {
            return Some(index as usize);
        }
        match self {
            Self::Zero => None,
            Self::Replicate => Some(index.clamp(0, last) as usize),
            Self::Reflect if last == 0 => Some(0),
            Self::Reflect => {
                let folded = index.rem_euclid(2 * last);
                Some(folded.min(2 * last - folded) as usize)
            }
            Self::Wrap => Some(index.rem_euclid(length as isize) as usize),
        }
    }

    /// The mode in which an upsampling convolution, folded onto the small grid, sees what the enlarged picture would show.
    ///
    /// One enlarged pixel beyond the edge, reflection repeats the small edge pixel.
    pub(crate) fn folded(self) -> Self {
        if self == Self::Reflect { Self::Replicate } else { self }
    }

    /// The mode by which a picture is filled up to a multiple of the pixel-unshuffle factor.
    ///
    /// Reflection where the network itself pads with zeros, as Real-ESRGAN does.
    pub fn fill(self) -> Self {
        if self == Self::Zero { Self::Reflect } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_continue_as_their_mode_says() {
        let line = |edge: Edge, length: usize| -> Vec<Option<usize>> {
            (-4..length as isize + 4).map(|index| edge.resolve(index, length)).collect()
        };
        let some = |indices: &[usize]| indices.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(line(Edge::Replicate, 3), some(&[0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]));
        assert_eq!(line(Edge::Reflect, 3), some(&[0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]));
        assert_eq!(line(Edge::Wrap, 3), some(&[2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]));
        assert_eq!(line(Edge::Reflect, 1), some(&[0; 9]));
        assert_eq!(line(Edge::Zero, 1), [None, None, None, None, Some(0), None, None, None, None]);
    }
}
