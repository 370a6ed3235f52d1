//! Values that stand as text in a file: names of degradations, sizes in bytes.

/// A degradation by its name.
pub(crate) mod degradation {
    use std::str::FromStr;

    use esrgan_degrade::Preset;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// All names, for messages.
    pub(crate) const NAMES: &[&str] = &["real-esrgan", "mild", "bicubic"];

    pub(crate) fn serialize<S: Serializer>(
        preset: &Option<Preset>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        preset.map(Preset::name).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Preset>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        let parse =
            |name: String| Preset::from_str(&name).map_err(|_| D::Error::unknown_variant(&name, NAMES));
        name.map(parse).transpose()
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn every_preset_has_its_name_here() {
            assert_eq!(esrgan_degrade::Preset::ALL.map(esrgan_degrade::Preset::name), super::NAMES);
        }
    }
}

/// A size in bytes, as `1GiB`.
pub(crate) mod byte_size {
    use esrgan_core::parse_bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const UNITS: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

    pub(crate) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let (unit_bytes, unit) =
            UNITS.into_iter().find(|(unit_bytes, _)| bytes.is_multiple_of(*unit_bytes)).unwrap_or((1, "B"));
        serializer.collect_str(&format_args!("{}{unit}", bytes / unit_bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse_bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
