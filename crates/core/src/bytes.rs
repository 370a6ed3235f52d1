//! Sizes in bytes, as people write them.

use std::fmt;

/// A size that could not be read, with the text as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseBytesError {
    /// The text as it was given.
    pub found: String,
}

impl fmt::Display for ParseBytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a size: expected a number with KiB, MiB, GiB, K, M or G, such as `800M` or `1.5GiB`",
            self.found
        )
    }
}

impl std::error::Error for ParseBytesError {}

/// Reads `800M`, `1.5GiB`, `4096`: K, M and G are powers of 1024, as memory is counted.
///
/// # Errors
/// [`ParseBytesError`] where the text is not a non-negative finite number with one of the known units.
pub fn parse_bytes(text: &str) -> Result<u64, ParseBytesError> {
    let error = || ParseBytesError { found: text.to_owned() };
    let trimmed = text.trim();
    let digits_end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits_end);
    let number: f64 = number.parse().map_err(|_| error())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(error()),
    };
    let bytes = number * (1u64 << shift) as f64;
    if !bytes.is_finite() || bytes >= u64::MAX as f64 {
        return Err(error());
    }
    Ok(bytes as u64)
}

/// Writes a size for people: `812 B`, `33.4 MB`, `1.21 GB`, with the powers of 1000 that file managers use.
pub fn format_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("4096", 4096),
            ("1k", 1024),
            ("800M", 800 << 20),
            ("1.5GiB", 3 << 29),
            (" 2 gb ", 2 << 30),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "M", "-1", "1e9", "12 parsecs", "99999999999T", "1.2.3", "NaN"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_three_digits() {
        assert_eq!(format_bytes(812), "812 B");
        assert_eq!(format_bytes(33_424_520), "33.4 MB");
        assert_eq!(format_bytes(1_210_000_000), "1.21 GB");
    }
}
