//! The real network on real pictures.

use esrgan_testkit::shared_data;
use esrgan_upscale::{Limits, Samples, decode};

use crate::run::{Folder, esrgan, text};

fn samples(path: &std::path::Path) -> Vec<u8> {
    let picture = decode(path, &Limits::default()).unwrap().picture;
    let raster = esrgan_upscale::Raster::from_picture(&picture, esrgan_core::SampleDepth::U8);
    match raster.samples {
        Samples::U8(samples) => samples,
        other => panic!("8 bits expected: {other:?}"),
    }
}

/// Nearly every sample rounds as the f64 result does; none is off by more than one level.
#[test]
fn set5_equals_the_f64_goldens() {
    let (Some(model), Some(pictures), Some(goldens)) = (
        shared_data("weights/realesrgan-x4plus.param"),
        shared_data("eval/Set5/LR"),
        shared_data("golden/x4plus_Set5"),
    ) else {
        return;
    };
    let folder = Folder::new();
    let (pictures, model, output) = (text(&pictures), text(&model), text(folder.path()));
    let ended = esrgan(&["upscale", &pictures, "-m", &model, "-o", &output, "--precision", "f32", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json().len(), 5);
    let (mut total, mut different) = (0, 0);
    for line in ended.json() {
        let output = std::path::Path::new(line["output"].as_str().unwrap());
        let (found, expected) = (samples(output), samples(&goldens.join(output.file_name().unwrap())));
        assert_eq!(found.len(), expected.len());
        total += found.len();
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.abs_diff(*expected) <= 1, "{}: {found}, not {expected}", output.display());
            different += usize::from(found != expected);
        }
    }
    println!("{different} of {total} samples differ, by one level");
    assert!(total > 1_700_000 && different * 10_000 <= total, "{different} of {total}");
}
