//! What is drawn for each sample, by counter: the picture, the crop's place, its orientation.
//!
//! What lives here: the order of pictures and the choices of a crop. What does not: how a crop is degraded, which has streams of
//! its own under the same key. Sample `i` of a run is place `i % pictures` of epoch `i / pictures`; each epoch takes every picture
//! once. Nothing depends on the size of a batch: two batches of four are one of eight.

use std::sync::{Arc, Mutex, PoisonError};

use esrgan_degrade::{Purpose, RandomStream, SampleKey};

use crate::orientation::Orientation;

/// Streams of an epoch's order, and of a sample's crop.
const ORDER: Purpose = Purpose(0x6461_0000);
const CROP: Purpose = Purpose(0x6461_0001);

/// Orders that are kept: threads work on the end of an epoch and on the next one's beginning at once.
const KEPT_ORDERS: usize = 2;

/// The orders in which pictures are taken.
pub(crate) struct Epochs {
    seed: u64,
    pictures: usize,
    /// Those used last, by their epochs.
    recent: Mutex<Vec<(u64, Arc<[usize]>)>>,
}

impl Epochs {
    /// # Panics
    /// Where there are no pictures.
    pub fn new(seed: u64, pictures: usize) -> Self {
        assert!(pictures > 0, "epochs of no pictures");
        Self { seed, pictures, recent: Mutex::new(Vec::new()) }
    }

    /// What all choices of a run's sample depend on: seed, epoch and place within it.
    pub fn key(&self, sample: u128) -> SampleKey {
        let pictures = self.pictures as u128;
        // 2^64 epochs are beyond any run; they would begin again.
        SampleKey { seed: self.seed, step: (sample / pictures) as u64, sample: (sample % pictures) as u64 }
    }

    /// The number of the picture that a sample is taken from.
    pub fn picture(&self, key: SampleKey) -> usize {
        self.order(key.step)[key.sample as usize]
    }

    fn order(&self, epoch: u64) -> Arc<[usize]> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = recent.iter().find(|(kept, _)| *kept == epoch) {
            return Arc::clone(order);
        }
        let order = shuffled(self.pictures, SampleKey { seed: self.seed, step: epoch, sample: 0 });
        if recent.len() == KEPT_ORDERS {
            recent.remove(0);
        }
        recent.push((epoch, Arc::clone(&order)));
        order
    }
}

/// All numbers below `count` in an order of which each is as likely (Fisher and Yates, 1938; Durstenfeld, 1964).
fn shuffled(count: usize, key: SampleKey) -> Arc<[usize]> {
    let mut stream = RandomStream::new(key, ORDER);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, stream.index(last + 1));
    }
    order.into()
}

/// A crop's place, in steps of the grid that it may lie on, and its orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CropChoice {
    pub column: usize,
    pub row: usize,
    pub orientation: Orientation,
}

/// Draws a crop among `columns` x `rows` places. All is drawn, wanted or not: the place does not depend on the flags.
pub(crate) fn draw_crop(
    key: SampleKey,
    (columns, rows): (usize, usize),
    has_flips: bool,
    has_rotations: bool,
) -> CropChoice {
    let mut stream = RandomStream::new(key, CROP);
    let (column, row) = (stream.index(columns), stream.index(rows));
    let [mirrored, upside_down, transposed] = [(); 3].map(|()| stream.chance(0.5));
    let orientation = Orientation {
        is_mirrored: has_flips && mirrored,
        is_upside_down: has_rotations && upside_down,
        is_transposed: has_rotations && transposed,
    };
    CropChoice { column, row, orientation }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn epoch(epochs: &Epochs, number: u128) -> Vec<usize> {
        let pictures = epochs.pictures as u128;
        (0..pictures).map(|place| epochs.picture(epochs.key(number * pictures + place))).collect()
    }

    #[test]
    fn every_epoch_takes_every_picture_once_and_in_another_order() {
        let epochs = Epochs::new(7, 50);
        let orders: Vec<_> = (0..20).map(|number| epoch(&epochs, number)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..50), "{order:?}");
        }
        assert_eq!(orders.iter().collect::<HashSet<_>>().len(), 20);
        assert_eq!(epoch(&epochs, 3), orders[3], "computed again after others");
        assert_ne!(epoch(&Epochs::new(8, 50), 0), orders[0], "another seed");
    }

    #[test]
    fn all_orders_are_alike() {
        // 6 orders of 3 pictures, 6000 epochs: 1000 each, with a standard deviation of 29.
        let epochs = Epochs::new(1, 3);
        let mut counts: HashMap<Vec<usize>, u32> = HashMap::new();
        for number in 0..6000 {
            *counts.entry(epoch(&epochs, number)).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn all_places_and_orientations_are_alike() {
        // 6 places and 8 orientations, 9600 samples: 1600 and 1200 of each, with standard deviations of 37 and 32.
        let mut places: HashMap<_, u32> = HashMap::new();
        let mut orientations: HashMap<_, u32> = HashMap::new();
        for sample in 0..9600 {
            let choice = draw_crop(SampleKey { seed: 3, step: 0, sample }, (3, 2), true, true);
            *places.entry((choice.column, choice.row)).or_default() += 1;
            *orientations.entry(choice.orientation).or_default() += 1;
        }
        assert!(places.len() == 6 && places.values().all(|n| (1420..1780).contains(n)), "{places:?}");
        assert_eq!(orientations.len(), 8);
        assert!(orientations.values().all(|n| (1040..1360).contains(n)), "{orientations:?}");
    }

    #[test]
    fn flags_keep_orientations_out_and_places_as_they_are() {
        for (has_flips, has_rotations, expected) in [(false, false, 1), (true, false, 2), (false, true, 4)] {
            let mut seen = HashSet::new();
            for sample in 0..200 {
                let key = SampleKey { seed: 3, step: 1, sample };
                let all = draw_crop(key, (9, 9), true, true);
                let choice = draw_crop(key, (9, 9), has_flips, has_rotations);
                assert_eq!((choice.column, choice.row), (all.column, all.row));
                seen.insert(choice.orientation);
            }
            assert_eq!(seen.len(), expected, "flips {has_flips}, rotations {has_rotations}");
        }
    }
}
