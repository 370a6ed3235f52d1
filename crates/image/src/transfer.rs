//! Linear light to sRGB encoding and back, for the formats that hold linear light.
//!
//! IEC 61966-2-1, continued above 1 by the same power and below 0 by symmetry, so that highlights survive a round trip.

use esrgan_core::Picture;

/// Linear light to the sRGB encoding.
pub(crate) fn encode(linear: f32) -> f32 {
    let magnitude = f64::from(linear.abs());
    let encoded =
        if magnitude <= 0.003_130_8 { magnitude * 12.92 } else { 1.055 * magnitude.powf(1.0 / 2.4) - 0.055 };
    (encoded as f32).copysign(linear)
}

/// The sRGB encoding to linear light.
pub(crate) fn decode(encoded: f32) -> f32 {
    let magnitude = f64::from(encoded.abs());
    let linear =
        if magnitude <= 0.040_45 { magnitude / 12.92 } else { ((magnitude + 0.055) / 1.055).powf(2.4) };
    (linear as f32).copysign(encoded)
}

/// Encodes the colours of a linear picture with premultiplied alpha, as OpenEXR has it, and divides alpha out.
pub(crate) fn encode_picture(picture: &mut Picture) {
    let Picture { color, alpha } = picture;
    for plane in color {
        match alpha {
            Some(alpha) => {
                for (sample, alpha) in plane.samples_mut().iter_mut().zip(alpha.samples()) {
                    *sample = encode(if *alpha > 0.0 { *sample / *alpha } else { *sample });
                }
            }
            None => plane.samples_mut().iter_mut().for_each(|s| *s = encode(*s)),
        }
    }
}

/// Undoes [`encode_picture`] for interleaved samples; alpha is the fourth channel, if there is one.
pub(crate) fn decode_interleaved(samples: &mut [f32], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let (color, alpha) = pixel.split_at_mut(3);
        let alpha = alpha.first().copied().unwrap_or(1.0);
        for sample in color {
            let linear = decode(*sample);
            *sample = if alpha > 0.0 { linear * alpha } else { linear };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_standard() {
        assert_eq!(encode(0.0), 0.0);
        assert!((encode(0.214_041_14) - 0.5).abs() < 1e-6);
        assert!((encode(1.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn highlights_and_negatives_survive_a_round_trip() {
        for linear in [-2.0_f32, -0.001, 0.0, 1e-6, 0.18, 1.0, 7.5, 60_000.0] {
            let back = decode(encode(linear));
            // Two roundings to f32, the second of a value whose error the power 2.4 magnifies.
            let bound = 4.0 * f32::EPSILON * linear.abs();
            assert!((back - linear).abs() <= bound, "{linear} came back as {back}");
        }
    }
}
