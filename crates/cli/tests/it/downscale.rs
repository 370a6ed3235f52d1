//! `esrgan downscale`.

use std::path::Path;

use esrgan_testkit::shared_data;
use esrgan_upscale::{Limits, decode};

use crate::run::{Folder, esrgan, text};

fn levels(path: &Path) -> ((usize, usize), Vec<f32>) {
    let picture = decode(path, &Limits::default()).expect("a sound picture").picture;
    let size = (picture.width(), picture.height());
    (size, picture.color.iter().flat_map(|plane| plane.samples().to_vec()).collect())
}

#[test]
fn the_benchmarks_lr_pictures_come_out_sample_for_sample() {
    for (set, count) in [("Set5", 5), ("Set14", 14)] {
        let Some(hr) = shared_data(&format!("eval/{set}/HR")) else { return };
        let folder = Folder::new();
        let ended = esrgan(&["downscale", &text(&hr), "-o", &text(&folder.join("lr")), "-s", "4", "--json"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.json().len(), count);
        for line in ended.json() {
            let output = Path::new(line["output"].as_str().unwrap()).to_owned();
            let published = hr.with_file_name("LR").join(output.file_name().unwrap());
            assert!(levels(&output) == levels(&published), "{}", output.display());
        }
    }
}

#[test]
fn what_is_cut_off_is_said_and_depth_and_alpha_stay() {
    let Some(picture) = shared_data("hostile/pngsuite/basn6a16.png") else { return };
    let folder = Folder::new();
    let output = folder.join("small.png");
    let ended =
        esrgan(&["downscale", &text(&picture), "-o", &text(&output), "-s", "3", "--edge", "symmetric"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("32x32 is no multiple of 3: cut to 30x30"), "{}", ended.stderr);
    let decoded = decode(&output, &Limits::default()).unwrap();
    assert_eq!((decoded.picture.width(), decoded.picture.height()), (10, 10));
    assert_eq!(decoded.header.depth, esrgan_core::SampleDepth::U16);
    assert!(decoded.picture.alpha.is_some());
}

#[test]
fn failures_are_named_and_the_rest_is_done() {
    let Some(picture) = shared_data("hostile/pngsuite/basn2c08.png") else { return };
    let folder = Folder::new();
    std::fs::create_dir(folder.join("in")).unwrap();
    std::fs::copy(&picture, folder.join("in/a.png")).unwrap();
    std::fs::copy(&picture, folder.join("in/c.png")).unwrap();
    std::fs::write(folder.join("in/b.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    let (input, output) = (text(&folder.join("in")), text(&folder.join("out")));
    let ended = esrgan(&["downscale", &input, "-o", &output, "-s", "2", "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let lines = ended.json();
    let has_failed: Vec<bool> = lines.iter().map(|line| line.get("error").is_some()).collect();
    assert_eq!(has_failed, [false, true, false], "lines come in the order of the pictures");
    assert!(folder.join("out/c.png").exists() && !folder.join("out/b.png").exists());
    // 32 pixels make no picture at a 64th.
    let ended = esrgan(&["downscale", &text(&picture), "-o", &text(&folder.join("d.png")), "-s", "64"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("make no picture"), "{}", ended.stderr);
    let ended = esrgan(&["downscale", &text(&folder.join("none.png")), "-o", &text(&folder.join("d.png"))]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}
