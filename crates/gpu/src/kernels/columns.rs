//! Maps as matrices: what each pixel sees, in a row.
//!
//! Training multiplies matrices where inference convolves, since the same columns serve a convolution's output and, turned, the
//! gradients of its input and weights. One launch writes them, padding, order and rounding included.

use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::VECTOR;

/// Units of a cube.
const UNITS: u32 = 256;
/// Cubes along a dimension at most: what every device allows.
const MOST_CUBES: u32 = 65_535;
/// Pixels that a 3x3 convolution sees.
const TAPS: u32 = 9;

/// A map, `[sample][row][column][channel]`, in device memory.
#[derive(Clone, Debug)]
pub struct MapBuffer {
    /// Its numbers, in a row.
    pub handle: Handle,
    /// Their type.
    pub element: ElemType,
    /// Samples, height, width, channels.
    pub shape: [usize; 4],
}

impl MapBuffer {
    /// Numbers of its columns.
    pub fn column_numbers(&self) -> usize {
        self.shape.iter().product::<usize>() * TAPS as usize
    }
}

/// Writes what each pixel of a map sees: `[pixel][tap][channel]`, zeros beyond the edge.
///
/// Taps come as filters have them, row by row; `is_turned` puts the opposite pixel in each place.
///
/// # Panics
/// Where a map has 2^32 columns or more.
pub fn write_columns(
    client: &Client,
    map: &MapBuffer,
    is_turned: bool,
    (columns, element): (&Handle, ElemType),
) {
    let [samples, height, width, channels] = map.shape;
    let numbers = samples * height * width * channels;
    let vector = if channels.is_multiple_of(VECTOR) { VECTOR } else { 1 };
    let items = u32::try_from(map.column_numbers() / vector).expect("fewer than 2^32 columns");
    if items == 0 {
        return;
    }
    let cubes = items.div_ceil(UNITS);
    let count = CubeCount::Static(cubes.min(MOST_CUBES), cubes.div_ceil(MOST_CUBES), 1);
    // SAFETY: both buffers are bound with the numbers that they were made with; the kernel reads pixels of the map alone and writes
    // no item behind the last.
    unsafe {
        columns::launch_unchecked(
            client,
            count,
            CubeDim::new_1d(UNITS),
            vector,
            BufferArg::from_raw_parts(map.handle.clone(), numbers),
            BufferArg::from_raw_parts(columns.clone(), map.column_numbers()),
            height as u32,
            width as u32,
            (channels / vector) as u32,
            items,
            is_turned,
            map.element,
            element,
        );
    }
}

#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers come one by one")]
fn columns<I: Float, O: Float, N: Size>(
    map: &[Vector<I, N>],
    columns: &mut [Vector<O, N>],
    height: u32,
    width: u32,
    vectors: u32,
    items: u32,
    #[comptime] is_turned: bool,
    #[define(I)] _from: ElemType,
    #[define(O)] _into: ElemType,
) {
    let item = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS;
    if item < items {
        let (vector, tap, pixel) = (item % vectors, item / vectors % TAPS, item / vectors / TAPS);
        let mut seen = tap;
        if comptime!(is_turned) {
            seen = TAPS - 1 - tap;
        }
        let (sample, row, column) = (pixel / width / height, pixel / width % height, pixel % width);
        let y = row as i32 + (seen / 3) as i32 - 1;
        let x = column as i32 + (seen % 3) as i32 - 1;
        let mut found = Vector::<I, N>::cast_from(0.0f32);
        if y >= 0 && y < height as i32 && x >= 0 && x < width as i32 {
            let place = (sample * height + y as u32) * width + x as u32;
            found = map[(place * vectors + vector) as usize];
        }
        columns[item as usize] = Vector::<O, N>::cast_from(found);
    }
}

#[cfg(test)]
mod tests {
    use cubecl::bytes::Bytes;

    use super::*;
    use crate::device::tests::gpu;
    use crate::kernels::Storage;
    use crate::kernels::tests::Numbers;

    #[test]
    fn columns_are_what_each_pixel_sees() {
        let Some(gpu) = gpu() else { return };
        let client = gpu.client();
        for (shape, is_turned) in
            [([1, 1, 1, 1], false), ([2, 3, 5, 4], false), ([2, 3, 5, 4], true), ([1, 4, 2, 3], true)]
        {
            let [samples, height, width, channels] = shape;
            let values = Numbers(3).many(shape.iter().product());
            let handle = client.create(Bytes::from_bytes_vec(Storage::F32.encode(&values)));
            let map = MapBuffer { handle, element: Storage::F32.element(), shape };
            let poison = vec![f32::NAN; map.column_numbers()];
            let columns = client.create(Bytes::from_bytes_vec(Storage::F32.encode(&poison)));
            write_columns(client, &map, is_turned, (&columns, Storage::F32.element()));
            let bytes = client.read_one(columns).unwrap();
            let mut found = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            for sample in 0..samples {
                for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                    for tap in 0..9 {
                        let seen = if is_turned { 8 - tap } else { tap };
                        let (row, column) = ((y + seen / 3).wrapping_sub(1), (x + seen % 3).wrapping_sub(1));
                        for channel in 0..channels {
                            let is_inside = row < height && column < width;
                            let place =
                                ((sample * height + row.min(height)) * width + column.min(width)) * channels;
                            let expected = if is_inside { values[place + channel] } else { 0.0 };
                            assert_eq!(found.next(), Some(expected), "{shape:?} {sample} {y} {x} {tap}");
                        }
                    }
                }
            }
        }
    }
}
