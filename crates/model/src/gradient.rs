//! The gradient of a network's parameters.

use crate::resident::Resident;

/// The gradient of a network's parameters, in their order.
#[derive(Clone, Debug)]
pub enum NetworkGradient {
    /// On the host, a vector for each parameter; empty where it had none.
    Host(Vec<Vec<f32>>),
    /// On a device; zero where a parameter had none.
    Device(Resident),
}

impl NetworkGradient {
    /// A vector for each parameter, on the host.
    pub fn into_host(self) -> Vec<Vec<f32>> {
        match self {
            Self::Host(gradients) => gradients,
            Self::Device(gradients) => gradients.to_host(),
        }
    }

    /// The sum of two gradients of one network.
    ///
    /// # Panics
    /// Where one is on the host and one on a device.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Host(mut sum), Self::Host(other)) => {
                for (sum, other) in sum.iter_mut().zip(other) {
                    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
                }
                Self::Host(sum)
            }
            (Self::Device(sum), Self::Device(other)) => {
                Self::Device(sum.with_values(sum.values() + other.values()))
            }
            _ => unreachable!("gradients of one network are found on one device"),
        }
    }

    /// The gradient divided by a number.
    #[must_use]
    pub fn divided_by(self, number: f32) -> Self {
        match self {
            Self::Host(mut gradients) => {
                gradients.iter_mut().flatten().for_each(|value| *value /= number);
                Self::Host(gradients)
            }
            Self::Device(gradients) => {
                Self::Device(gradients.with_values(gradients.values().div_scalar(number)))
            }
        }
    }
}
