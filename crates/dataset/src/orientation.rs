//! The eight orientations of a square crop.

/// What is done to a crop: first it is mirrored, then turned upside down, then its columns become rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Orientation {
    /// Left becomes right.
    pub is_mirrored: bool,
    /// The first row becomes the last.
    pub is_upside_down: bool,
    /// Columns become rows.
    pub is_transposed: bool,
}

impl Orientation {
    /// Where the pixel comes from that lies at column `x` and row `y` afterwards, in a square of `side`.
    pub fn source(self, (x, y): (usize, usize), side: usize) -> (usize, usize) {
        let (x, y) = if self.is_transposed { (y, x) } else { (x, y) };
        (if self.is_mirrored { side - 1 - x } else { x }, if self.is_upside_down { side - 1 - y } else { y })
    }
}

#[cfg(test)]
impl Orientation {
    /// All eight.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            is_mirrored: bits & 1 != 0,
            is_upside_down: bits & 2 != 0,
            is_transposed: bits & 4 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of two, row by row, after an orientation.
    fn turned(bits: [bool; 3]) -> [u8; 4] {
        let [is_mirrored, is_upside_down, is_transposed] = bits;
        let orientation = Orientation { is_mirrored, is_upside_down, is_transposed };
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|place| {
            let (x, y) = orientation.source(place, 2);
            [1, 2, 3, 4][y * 2 + x]
        })
    }

    #[test]
    fn steps_are_done_in_their_order() {
        assert_eq!(turned([false, false, false]), [1, 2, 3, 4]);
        assert_eq!(turned([true, false, false]), [2, 1, 4, 3]);
        assert_eq!(turned([false, true, false]), [3, 4, 1, 2]);
        assert_eq!(turned([false, false, true]), [1, 3, 2, 4]);
        assert_eq!(turned([true, false, true]), [2, 4, 1, 3], "mirrored before transposed");
        assert_eq!(turned([false, true, true]), [3, 1, 4, 2]);
    }

    #[test]
    fn the_eight_differ() {
        let squares: std::collections::HashSet<Vec<_>> = Orientation::all()
            .map(|orientation| (0..9).map(|place| orientation.source((place % 3, place / 3), 3)).collect())
            .collect();
        assert_eq!(squares.len(), 8);
    }
}
