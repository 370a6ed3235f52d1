//! Which rows of each layer a strip of the result needs.

use std::ops::Range;

/// The rows that each layer of a tail computes for the rows `wanted` of its last: `factors` and `heights` are each layer's enlargement
/// and its output's height. The first entry are the rows that the first layer reads of the trunk.
pub(super) fn rows_needed(
    factors: &[usize],
    heights: &[usize],
    wanted: Range<usize>,
) -> (Range<usize>, Vec<Range<usize>>) {
    let mut needed = wanted;
    let mut rows = vec![0..0; factors.len()];
    for layer in (0..factors.len()).rev() {
        rows[layer] = needed.clone();
        let first = needed.start.saturating_sub(1) / factors[layer];
        let end = ((needed.end + 1).min(heights[layer]) - 1) / factors[layer] + 1;
        needed = first..end;
    }
    (needed, rows)
}

/// A height cut into strips of at most `most` rows.
pub(super) fn strips(height: usize, most: usize) -> Vec<Range<usize>> {
    let count = height.div_ceil(most.max(1));
    let rows = height.div_ceil(count.max(1));
    (0..height).step_by(rows.max(1)).map(|first| first..height.min(first + rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_reaches_one_row_further_at_each_layer() {
        // Two enlargements by two, then two layers at the large size, over 10 rows.
        let (trunk, rows) = rows_needed(&[1, 2, 2, 1, 1], &[10, 20, 40, 40, 40], 16..24);
        assert_eq!(rows, [2..8, 6..14, 14..26, 15..25, 16..24]);
        assert_eq!(trunk, 1..9);
    }

    #[test]
    fn rows_end_with_the_picture() {
        let (trunk, rows) = rows_needed(&[1, 3, 1], &[2, 6, 6], 0..6);
        assert_eq!((trunk, rows), (0..2, vec![0..2, 0..6, 0..6]));
    }

    #[test]
    fn strips_cover_all_rows() {
        assert_eq!(strips(10, 4), [0..4, 4..8, 8..10]);
        assert_eq!(strips(5, 100), vec![0..5; 1]);
        assert_eq!(strips(9, 0), (0..9).map(|row| row..row + 1).collect::<Vec<_>>());
    }
}
