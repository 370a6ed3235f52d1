//! Kinds of devices that compute beside the processor.

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor, which shares its memory.
    Integrated,
    /// A share of a card in a virtual machine.
    Virtual,
    /// The processor, which a driver shows as a device: slow, for tests.
    Cpu,
    /// Something else.
    Other,
}

impl DeviceKind {
    /// Its name: `discrete`, `integrated`, `virtual`, `cpu`, `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
            Self::Other => "other",
        }
    }
}
