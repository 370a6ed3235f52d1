//! Netpbm: PGM and PPM, and PAM where there is alpha; 8 or 16 bits, row by row.

use std::io::Write;

use esrgan_core::SampleDepth;

use super::Output;
use crate::error::Failure;
use crate::{Raster, Samples};

pub(super) fn write(raster: &Raster, out: &mut Output) -> Result<(), Failure> {
    let largest = match raster.samples.depth() {
        SampleDepth::U8 => 255,
        _ => 65_535,
    };
    let (width, height) = (raster.width, raster.height);
    let header = match raster.channels {
        1 => format!("P5\n{width} {height}\n{largest}\n"),
        3 => format!("P6\n{width} {height}\n{largest}\n"),
        channels => {
            let kind = if raster.is_gray() { "GRAYSCALE_ALPHA" } else { "RGB_ALPHA" };
            format!(
                "P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {largest}\nTUPLTYPE {kind}\nENDHDR\n"
            )
        }
    };
    out.write_all(header.as_bytes())?;
    match &raster.samples {
        Samples::U8(samples) => out.write_all(samples)?,
        Samples::U16(samples) => {
            for sample in samples {
                out.write_all(&sample.to_be_bytes())?;
            }
        }
        Samples::F32(_) => return Err(Failure::Unsupported("floating-point samples".to_owned())),
    }
    Ok(())
}
