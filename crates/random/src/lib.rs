//! Random numbers by counter: a pure function of seed, step, sample and purpose.
//!
//! What lives here: the generator and the distributions drawn from it. What does not: what is drawn for. Nothing is carried
//! from one sample to the next, so threads, their number and a resumed run change nothing.
//!
//! The generator is Philox-4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

use std::f64::consts::TAU;

use serde::Serialize;

/// What a sample's random numbers depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct SampleKey {
    /// Seed of the run.
    pub seed: u64,
    /// Training step, or any other count of rounds.
    pub step: u64,
    /// Number of the sample within the step.
    pub sample: u64,
}

/// What a stream is for: streams of one sample with different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(pub u32);

/// Multipliers and key increments of the paper's section 4.3.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Philox-4x32-10: four random words of a counter and a key.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let even = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let odd = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (odd >> 32) as u32 ^ counter[1] ^ key[0],
            odd as u32,
            (even >> 32) as u32 ^ counter[3] ^ key[1],
            even as u32,
        ];
        key = [key[0].wrapping_add(INCREMENTS[0]), key[1].wrapping_add(INCREMENTS[1])];
    }
    counter
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The numbers of one sample for one purpose, one after the other.
#[derive(Clone, Debug)]
pub struct RandomStream {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    used: usize,
    spare_normal: Option<f64>,
}

impl RandomStream {
    /// The stream from its beginning.
    pub fn new(key: SampleKey, purpose: Purpose) -> Self {
        // Seed and step share the 64 bits of the key; sample, purpose and position are the counter.
        let hashed = mix(mix(key.seed) ^ key.step);
        Self {
            key: [hashed as u32, (hashed >> 32) as u32],
            counter: [0, purpose.0, key.sample as u32, (key.sample >> 32) as u32],
            words: [0; 4],
            used: 4,
            spare_normal: None,
        }
    }

    /// The next 64 random bits. A stream repeats itself after 2^33 of them.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == 4 {
            self.words = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let value = u64::from(self.words[self.used]) | u64::from(self.words[self.used + 1]) << 32;
        self.used += 2;
        value
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[low, high)`; `low` where they are equal.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with a probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// An index, each with a probability in proportion to its weight.
    ///
    /// # Panics
    /// Where there are no weights.
    pub fn choice(&mut self, weights: &[f64]) -> usize {
        assert!(!weights.is_empty(), "a choice needs something to choose from");
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        // Rounding alone leads here.
        weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(weights.len() - 1)
    }

    /// An index below `count`, all alike.
    pub fn index(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit()).sin_cos();
        self.spare_normal = Some(radius * sine);
        radius * cosine
    }

    /// Poisson with mean `lambda`, exact in distribution; 0 where `lambda` is not above zero.
    ///
    /// Below 10 by multiplying uniforms (Knuth, The Art of Computer Programming 2, section 3.4.1); above by transformed
    /// rejection (Hörmann, "The transformed rejection method for generating Poisson random variables", 1993, PTRS).
    pub fn poisson(&mut self, lambda: f64) -> u64 {
        if lambda.is_nan() || lambda <= 0.0 {
            0
        } else if lambda < 10.0 {
            let limit = (-lambda).exp();
            let mut product = self.unit();
            let mut count = 0;
            while product > limit {
                product *= self.unit();
                count += 1;
            }
            count
        } else {
            self.poisson_by_rejection(lambda)
        }
    }

    fn poisson_by_rejection(&mut self, lambda: f64) -> u64 {
        let b = 0.931 + 2.53 * lambda.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let squeeze = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let distance = 0.5 - u.abs();
            let k = ((2.0 * a / distance + b) * u + lambda + 0.43).floor();
            if distance >= 0.07 && v <= squeeze {
                return k as u64;
            }
            if k < 0.0 || (distance < 0.013 && v > distance) {
                continue;
            }
            let left = v.ln() + inverse_alpha.ln() - (a / (distance * distance) + b).ln();
            if left <= k * lambda.ln() - lambda - ln_factorial(k) {
                return k as u64;
            }
        }
    }
}

/// `ln k!`: summed where small, else by Stirling's series, whose first left-out term is below 1e-12 there.
fn ln_factorial(k: f64) -> f64 {
    if k < 16.0 {
        return (2..=k as u32).map(|i| f64::from(i).ln()).sum();
    }
    let inverse = 1.0 / k;
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0))));
    (k + 0.5) * k.ln() - k + 0.5 * TAU.ln() + series
}

#[cfg(test)]
mod tests;
