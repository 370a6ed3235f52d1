//! What other programs find in our outputs: Pillow, ImageMagick and exiftool look at pictures that the command has made.

use std::path::Path;

use esrgan_testkit::shared_data;

use crate::run::{Folder, esrgan, python, text};

/// A 16-bit PNG with alpha and profile, a CMYK JPEG, gray TIFFs and a turned JPEG go through the real network; their outputs
/// have the depth, channels, profile, size, orientation and colours that their inputs ask for.
#[test]
fn other_programs_find_what_was_put_in() {
    let Some(model) = shared_data("weights/realesrgan-x4plus.param") else { return };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/tests/data");
    let folder = Folder::new();
    let names =
        ["rgba16_icc.png", "cmyk.jpg", "gray8.tiff", "gray16.tiff", "gray_f32.tiff", "orientation_6.jpg"];
    let mut arguments = vec!["upscale".to_owned()];
    arguments.extend(names.map(|name| text(&fixtures.join(name))));
    arguments.extend(["-m".to_owned(), text(&model), "-o".to_owned(), text(folder.path())]);
    let ended = esrgan(&arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let Some(said) = python("check_pictures.py", &[text(&fixtures), text(folder.path())]) else { return };
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), names.len(), "{said}");
}
