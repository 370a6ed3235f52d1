//! Formats: how their bytes begin, what they are called, and what they can hold.

use std::fmt;
use std::path::Path;

use esrgan_core::SampleDepth;

/// A picture format that is read; most are written too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PictureFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG (JFIF, Exif, Adobe).
    Jpeg,
    /// WebP; written without loss.
    WebP,
    /// TIFF and BigTIFF.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF; read only.
    Gif,
    /// Quite OK Image.
    Qoi,
    /// OpenEXR: floating point, linear light.
    OpenExr,
    /// Netpbm: PBM, PGM, PPM, PAM.
    Pnm,
    /// Truevision TGA.
    Tga,
    /// Radiance RGBE: floating point, linear light; read only.
    Hdr,
    /// Windows icon, its largest entry; read only.
    Ico,
}

/// What a format can hold when written.
#[derive(Clone, Copy)]
pub(crate) struct Capabilities {
    pub depths: &'static [SampleDepth],
    pub alpha: bool,
    pub gray: bool,
    /// Gray together with alpha.
    pub gray_alpha: bool,
    pub icc: bool,
    pub exif: bool,
    pub xmp: bool,
    pub density: bool,
    pub max_side: u64,
}

const U8: &[SampleDepth] = &[SampleDepth::U8];
const U8_U16: &[SampleDepth] = &[SampleDepth::U8, SampleDepth::U16];
const ALL: &[SampleDepth] = &[SampleDepth::U8, SampleDepth::U16, SampleDepth::F32];

/// Eight bits, no metadata: the base that entries of the table differ from.
const PLAIN: Capabilities = Capabilities {
    depths: U8,
    alpha: true,
    gray: true,
    gray_alpha: true,
    icc: false,
    exif: false,
    xmp: false,
    density: false,
    max_side: i32::MAX as u64,
};

/// A format that carries every kind of metadata.
const RICH: Capabilities = Capabilities { icc: true, exif: true, xmp: true, density: true, ..PLAIN };

impl PictureFormat {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Png,
        Self::Jpeg,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Gif,
        Self::Qoi,
        Self::OpenExr,
        Self::Pnm,
        Self::Tga,
        Self::Hdr,
        Self::Ico,
    ];

    /// The format that a file name's extension (without dot, any case) stands for.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "png" | "apng" => Self::Png,
            "jpg" | "jpeg" | "jpe" | "jfif" => Self::Jpeg,
            "webp" => Self::WebP,
            "tif" | "tiff" => Self::Tiff,
            "bmp" | "dib" => Self::Bmp,
            "gif" => Self::Gif,
            "qoi" => Self::Qoi,
            "exr" => Self::OpenExr,
            "pnm" | "pbm" | "pgm" | "ppm" | "pam" => Self::Pnm,
            "tga" => Self::Tga,
            "hdr" => Self::Hdr,
            "ico" => Self::Ico,
            _ => return None,
        })
    }

    /// The format that a path's extension stands for.
    pub fn from_path(path: &Path) -> Option<Self> {
        path.extension().and_then(|extension| extension.to_str()).and_then(Self::from_extension)
    }

    /// The usual extension, without dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Qoi => "qoi",
            Self::OpenExr => "exr",
            Self::Pnm => "pnm",
            Self::Tga => "tga",
            Self::Hdr => "hdr",
            Self::Ico => "ico",
        }
    }

    /// Whether [`crate::encode`] writes it.
    pub fn can_encode(self) -> bool {
        self.capabilities().is_some()
    }

    /// The depth that a picture of depth `wanted` is written with: the same, or the nearest that loses least.
    ///
    /// A format that is only read answers `wanted`.
    pub fn encoded_depth(self, wanted: SampleDepth) -> SampleDepth {
        let Some(capabilities) = self.capabilities() else {
            return wanted;
        };
        let depths = capabilities.depths;
        let enough = depths.iter().copied().find(|depth| *depth >= wanted);
        enough.or(depths.last().copied()).unwrap_or(wanted)
    }

    /// Whether written files can be transparent.
    pub fn holds_alpha(self) -> bool {
        self.capabilities().is_some_and(|can| can.alpha)
    }

    /// Whether written files can have one colour channel.
    pub fn holds_gray(self) -> bool {
        self.capabilities().is_some_and(|can| can.gray)
    }

    /// Samples are linear light by the format's definition, not encoded for display as everywhere else.
    pub(crate) fn is_linear(self) -> bool {
        matches!(self, Self::OpenExr | Self::Hdr)
    }

    /// What a written file can hold; `None` where the format is only read.
    pub(crate) fn capabilities(self) -> Option<Capabilities> {
        Some(match self {
            Self::Png => Capabilities { depths: U8_U16, ..RICH },
            Self::Jpeg => Capabilities { alpha: false, max_side: 65_535, ..RICH },
            Self::WebP => Capabilities { gray: false, density: false, max_side: 16_383, ..RICH },
            Self::Tiff => Capabilities { depths: ALL, ..RICH },
            Self::Bmp => Capabilities { gray_alpha: false, ..PLAIN },
            Self::Qoi => Capabilities { gray: false, ..PLAIN },
            Self::OpenExr => Capabilities { depths: &[SampleDepth::F32], gray: false, ..PLAIN },
            Self::Pnm => Capabilities { depths: U8_U16, ..PLAIN },
            Self::Tga => Capabilities { max_side: 65_535, ..PLAIN },
            Self::Gif | Self::Hdr | Self::Ico => return None,
        })
    }

    /// Finds the format from the first bytes; the name decides only for TGA, which has no mark of its own.
    pub(crate) fn sniff(start: &[u8], path: &Path) -> Option<Self> {
        const MARKS: &[(&[u8], PictureFormat)] = &[
            (b"\x89PNG\r\n\x1a\n", PictureFormat::Png),
            (b"\xff\xd8\xff", PictureFormat::Jpeg),
            (b"GIF87a", PictureFormat::Gif),
            (b"GIF89a", PictureFormat::Gif),
            (b"II\x2a\0", PictureFormat::Tiff),
            (b"MM\0\x2a", PictureFormat::Tiff),
            (b"II\x2b\0", PictureFormat::Tiff),
            (b"MM\0\x2b", PictureFormat::Tiff),
            (b"BM", PictureFormat::Bmp),
            (b"qoif", PictureFormat::Qoi),
            (b"\x76\x2f\x31\x01", PictureFormat::OpenExr),
            (b"#?RADIANCE", PictureFormat::Hdr),
            (b"#?RGBE", PictureFormat::Hdr),
            (b"\0\0\x01\0", PictureFormat::Ico),
        ];
        if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
            return Some(Self::WebP);
        }
        if let [b'P', b'1'..=b'7', separator, ..] = start
            && separator.is_ascii_whitespace()
        {
            return Some(Self::Pnm);
        }
        MARKS
            .iter()
            .find(|(mark, _)| start.starts_with(mark))
            .map(|(_, format)| *format)
            .or_else(|| Self::from_path(path).filter(|format| *format == Self::Tga))
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

/// Names pictures that are not read, for a better refusal.
pub(crate) fn looks_like(start: &[u8]) -> Option<&'static str> {
    const OTHERS: &[(usize, &[u8], &str)] = &[
        (4, b"ftypavif", "an AVIF picture"),
        (4, b"ftypheic", "a HEIC picture"),
        (4, b"ftypmif1", "a HEIF picture"),
        (0, b"\xff\x0a", "a JPEG XL picture"),
        (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
        (0, b"8BPS", "a Photoshop document"),
        (0, b"%PDF", "a PDF document"),
        (0, b"<svg", "an SVG drawing"),
    ];
    if start.is_empty() {
        return Some("an empty file");
    }
    OTHERS
        .iter()
        .find(|(at, mark, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(mark)))
        .map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_leads_back_to_its_format() {
        for format in PictureFormat::ALL {
            assert_eq!(PictureFormat::from_extension(format.extension()), Some(format));
        }
        assert_eq!(PictureFormat::from_path(Path::new("Ünï/写真.JPEG")), Some(PictureFormat::Jpeg));
        assert_eq!(PictureFormat::from_path(Path::new("no-extension")), None);
    }

    #[test]
    fn the_depth_written_is_the_nearest_that_loses_least() {
        use SampleDepth::{F32, U8, U16};
        for (format, wanted, written) in [
            (PictureFormat::Png, U8, U8),
            (PictureFormat::Png, F32, U16),
            (PictureFormat::Jpeg, U16, U8),
            (PictureFormat::Tiff, F32, F32),
            (PictureFormat::OpenExr, U8, F32),
        ] {
            assert_eq!(format.encoded_depth(wanted), written, "{format} {wanted:?}");
        }
    }

    #[test]
    fn content_decides_and_not_the_name() {
        let path = Path::new("liar.png");
        assert_eq!(PictureFormat::sniff(b"\xff\xd8\xff\xe0", path), Some(PictureFormat::Jpeg));
        assert_eq!(PictureFormat::sniff(b"P6 2 2 255\n", path), Some(PictureFormat::Pnm));
        assert_eq!(PictureFormat::sniff(b"hello", path), None);
        assert_eq!(PictureFormat::sniff(b"\0\0\x02", Path::new("a.tga")), Some(PictureFormat::Tga));
    }
}
