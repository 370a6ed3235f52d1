//! How much alike a picture is to itself, shifted.

use std::ops::RangeInclusive;

/// The Laplacian of `[row][column]` values times itself, shifted along rows, columns and both diagonals, averaged, as a part of its
/// mean square and `floor`: for each shift its four directions.
///
/// # Panics
/// Where there is a shift as long as a side less two.
pub fn autocorrelations(
    values: &[f64],
    [height, width]: [usize; 2],
    shifts: RangeInclusive<usize>,
    floor: f64,
) -> Vec<f64> {
    let at = |row: usize, column: usize| values[row * width + column];
    let (rows, columns) = (height - 2, width - 2);
    let laplacian = |(row, column): (usize, usize)| {
        let around =
            at(row, column + 1) + at(row + 2, column + 1) + at(row + 1, column) + at(row + 1, column + 2);
        4.0 * at(row + 1, column + 1) - around
    };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let details: Vec<f64> = places.map(laplacian).collect();
    let power = details.iter().map(|detail| detail * detail).sum::<f64>() / details.len() as f64 + floor;
    let alike = |(down, right): (usize, isize)| {
        let from = usize::try_from(-right).unwrap_or(0);
        let to = columns - usize::try_from(right).unwrap_or(0);
        let pairs = (0..rows - down).flat_map(|row| (from..to).map(move |column| (row, column)));
        let products = pairs.map(|(row, column)| {
            details[row * columns + column]
                * details[(row + down) * columns + column.strict_add_signed(right)]
        });
        products.sum::<f64>() / ((rows - down) * (to - from)) as f64 / power
    };
    let directions = |shift: usize| {
        let sideways = isize::try_from(shift).expect("a shift is short");
        [(0, sideways), (shift, 0), (shift, sideways), (shift, -sideways)]
    };
    shifts.flat_map(directions).map(alike).collect()
}
