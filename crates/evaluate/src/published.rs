//! Figures that others have published, to stand beside one's own.

/// A published figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// What was measured.
    pub method: &'static str,
    /// What it was trained on.
    pub trained_on: &'static str,
    /// The set of pictures.
    pub set: &'static str,
    /// `Y` (BT.601, 16 to 235) or `RGB`; four pixels cut off at each side either way.
    pub channels: &'static str,
    /// PSNR.
    pub psnr_db: f64,
    /// SSIM.
    pub ssim: f64,
    /// Where it stands.
    pub source: &'static str,
}

const PAPER: &str = "Wang et al., ESRGAN, 2018, table 2";
const MMAGIC: &str = "mmagic, configs/esrgan; its SSIM is computed otherwise";

/// A row of a table: one method over several sets.
struct Row {
    method: &'static str,
    trained_on: &'static str,
    channels: &'static str,
    source: &'static str,
    sets: &'static [(&'static str, f64, f64)],
}

const ROWS: &[Row] = &[
    Row {
        method: "bicubic",
        trained_on: "",
        channels: "Y",
        source: PAPER,
        sets: &[
            ("Set5", 28.42, 0.8104),
            ("Set14", 26.00, 0.7027),
            ("BSD100", 25.96, 0.6675),
            ("Urban100", 23.14, 0.6577),
            ("Manga109", 24.89, 0.7866),
        ],
    },
    Row {
        method: "RRDB (PSNR)",
        trained_on: "DIV2K",
        channels: "Y",
        source: PAPER,
        sets: &[
            ("Set5", 32.60, 0.9002),
            ("Set14", 28.88, 0.7896),
            ("BSD100", 27.76, 0.7432),
            ("Urban100", 26.73, 0.8072),
            ("Manga109", 31.16, 0.9164),
        ],
    },
    Row {
        method: "RRDB (PSNR)",
        trained_on: "DIV2K, Flickr2K",
        channels: "Y",
        source: PAPER,
        sets: &[
            ("Set5", 32.73, 0.9011),
            ("Set14", 28.99, 0.7917),
            ("BSD100", 27.85, 0.7455),
            ("Urban100", 27.03, 0.8153),
            ("Manga109", 31.66, 0.9196),
        ],
    },
    Row {
        method: "RRDB (PSNR)",
        trained_on: "DIV2K",
        channels: "RGB",
        source: MMAGIC,
        sets: &[("Set5", 30.6428, 0.8559), ("Set14", 27.0543, 0.7447)],
    },
    Row {
        method: "ESRGAN",
        trained_on: "DIV2K",
        channels: "RGB",
        source: MMAGIC,
        sets: &[("Set5", 28.2700, 0.7778), ("Set14", 24.6328, 0.6491)],
    },
];

/// What has been published for a set of pictures, four times enlarged; nothing for sets that are not known.
pub fn published(set: &str) -> Vec<Published> {
    let of_row = |row: &'static Row| {
        let figures = row.sets.iter().filter(move |(name, ..)| name.eq_ignore_ascii_case(set));
        figures.map(move |&(set, psnr_db, ssim)| Published {
            method: row.method,
            trained_on: row.trained_on,
            set,
            channels: row.channels,
            psnr_db,
            ssim,
            source: row.source,
        })
    };
    ROWS.iter().flat_map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sets_have_figures() {
        assert_eq!(published("set5").iter().filter(|figure| figure.channels == "Y").count(), 3);
        assert!(
            published("Set14")
                .iter()
                .all(|figure| (20.0..40.0).contains(&figure.psnr_db) && figure.ssim < 1.0)
        );
        assert!(published("holidays").is_empty());
    }
}
