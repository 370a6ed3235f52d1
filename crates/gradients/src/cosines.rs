//! The angle between the vectors of channels that two maps have at each pixel.

use esrgan_kernels::ChannelBlock;
use rayon::prelude::*;

use crate::map::FeatureMap;

/// What both vectors of a pixel come to: their product, and the square of each one's length.
#[derive(Clone, Copy, Debug, Default)]
struct Products {
    both: f32,
    found: f32,
    other: f32,
}

/// The cosines of all pixels of two maps.
#[derive(Clone, Debug)]
pub struct Cosines {
    /// For each pixel, `[sample][row][column]`.
    products: Vec<Products>,
    epsilon: f32,
}

impl Cosines {
    /// Of two maps of one shape. `epsilon` is added to the product of the squared lengths, so that the cosine is 0 where one of
    /// them is.
    ///
    /// # Panics
    /// Where the shapes are two.
    pub fn of(found: &FeatureMap<'_>, other: &FeatureMap<'_>, epsilon: f32) -> Self {
        let [samples, _, height, width] = found.shape();
        assert_eq!(found.shape(), other.shape(), "maps of one shape");
        let mut products = vec![Products::default(); samples * height * width];
        products.par_chunks_mut(width.max(1)).enumerate().for_each(|(index, row)| {
            let (sample, y) = (index / height, index % height);
            // Lanes are added up last, so that the loops before it have no order to keep.
            let mut lanes = vec![[ChannelBlock::ZERO; 3]; width];
            for block in 0..found.blocks() {
                let pixels = found.pixels(sample, block, y).iter().zip(other.pixels(sample, block, y));
                for ([both, of_found, of_other], (a, b)) in lanes.iter_mut().zip(pixels) {
                    for (lane, (a, b)) in a.0.iter().zip(&b.0).enumerate() {
                        both.0[lane] += a * b;
                        of_found.0[lane] += a * a;
                        of_other.0[lane] += b * b;
                    }
                }
            }
            for (products, lanes) in row.iter_mut().zip(lanes) {
                let [both, found, other] = lanes.map(|block| block.0.iter().sum());
                *products = Products { both, found, other };
            }
        });
        Self { products, epsilon }
    }

    /// The sum over all pixels.
    pub fn sum(&self) -> f32 {
        let cosine = |products: &Products| f64::from(products.both / self.squares(products).sqrt());
        self.products.iter().map(cosine).sum::<f64>() as f32
    }

    /// The gradient of the first map, from that of the sum.
    ///
    /// # Panics
    /// Where the maps are not of the shape that they had.
    pub fn gradient(
        &self,
        found: &FeatureMap<'_>,
        other: &FeatureMap<'_>,
        of_sum: f32,
    ) -> FeatureMap<'static> {
        let [samples, channels, height, width] = found.shape();
        assert_eq!(
            (samples * height * width, found.shape()),
            (self.products.len(), other.shape()),
            "the maps whose cosines these are"
        );
        // Of `both / sqrt(found * other + epsilon)`, as parts of both vectors.
        let parts: Vec<[f32; 2]> = self
            .products
            .iter()
            .map(|products| {
                let (squares, Products { both, other, .. }) = (self.squares(products), products);
                let of_other = of_sum / squares.sqrt();
                [of_other * (both * other / squares), of_other]
            })
            .collect();
        let mut gradient = FeatureMap::to_overwrite(samples, channels, height, width);
        let blocks = gradient.blocks();
        gradient.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let parts = &parts[(sample * height + y) * width..][..width];
            let maps = found.pixels(sample, block, y).iter().zip(other.pixels(sample, block, y));
            for ((pixel, [of_found, of_other]), (a, b)) in row.iter_mut().zip(parts).zip(maps) {
                *pixel =
                    ChannelBlock(std::array::from_fn(|lane| of_other * b.0[lane] - of_found * a.0[lane]));
            }
        });
        gradient
    }

    fn squares(&self, products: &Products) -> f32 {
        products.found * products.other + self.epsilon
    }
}
