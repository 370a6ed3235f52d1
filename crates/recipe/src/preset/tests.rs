use super::{PRESETS, preset};
use crate::recipe::Recipe;

#[test]
fn every_preset_is_right_and_round_trips() {
    for preset in PRESETS {
        let recipe = Recipe::from_preset(preset.name, &[]).unwrap();
        assert_eq!(recipe.check(), [], "{}", preset.name);
        let written = recipe.to_toml().unwrap();
        let again = Recipe::from_toml(&written, &[]).unwrap();
        assert_eq!(again, recipe, "{}: {written}", preset.name);
        assert_eq!(again.differences(&recipe).unwrap(), []);
    }
}

#[test]
fn presets_open_with_command_source_and_what_to_expect() {
    for preset in PRESETS {
        let opening = preset.toml.split("\n\n").next().unwrap();
        assert!(opening.lines().all(|line| line.starts_with('#')), "{opening}");
        let command = format!("esrgan train {}.toml", preset.name);
        for part in [command.as_str(), "Source:", "Published:"] {
            assert!(opening.contains(part), "{}: no {part}", preset.name);
        }
    }
}

/// A key that is commented out is an example: with it, the file must still be TOML that is understood.
#[test]
fn keys_in_comments_are_known() {
    let mut count = 0;
    for preset in PRESETS {
        let mut section = "";
        for line in preset.toml.lines() {
            section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(section);
            let Some((key, value)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")) else {
                continue;
            };
            let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            Recipe::from_preset(preset.name, &[(key, value.to_owned())]).unwrap();
            count += 1;
        }
    }
    assert!(count > 40, "{count} keys in comments");
}

/// No key stands without a comment.
#[test]
fn every_key_of_a_preset_has_a_comment() {
    for preset in PRESETS {
        let lines: Vec<_> = preset.toml.lines().collect();
        for pair in lines.windows(2) {
            let is_key = pair[1].contains(" = ") && !pair[1].starts_with('#');
            assert!(!is_key || pair[0].starts_with("# "), "{}: {}", preset.name, pair[1]);
        }
    }
}

#[test]
fn figures_of_the_papers() {
    let read = |name| Recipe::from_preset(name, &[]).unwrap();
    let esrgan = read("esrgan-x4");
    assert_eq!(esrgan.losses.pixel.weight, 0.01);
    assert_eq!(esrgan.losses.adversarial.unwrap().weight, 0.005);
    let rates =
        [0, 49_999, 50_000, 100_000, 200_000, 300_000].map(|step| esrgan.schedule.learning_rate(1e-4, step));
    assert_eq!(rates, [1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 6.25e-6]);
    let article = read("esrgan-article-x4");
    assert_eq!(article.data.crop_px / article.scale, 64);
    assert_eq!(article.optimizer.generator.betas, [0.9, 0.999]);
    let psnr = read("esrgan-psnr-x4");
    assert_eq!(psnr.schedule.learning_rate(2e-4, 250_000), 1e-7);
    let real = read("realesrgan-x4");
    assert_eq!(real.data.batch * real.data.accumulation, 48);
    assert_eq!(real.losses.perceptual.unwrap().layers["conv1_2"], 0.1);
}

#[test]
fn only_presets_have_their_names() {
    assert!(preset("tiny-x4").is_some_and(|text| text.contains("[losses.adversarial]")));
    assert!(preset("tiny").is_none());
    let error = Recipe::from_preset("esrgan_psnr_x4", &[]).unwrap_err().to_string();
    assert_eq!(error, "preset `esrgan_psnr_x4`: there is none of this name: did you mean `esrgan-psnr-x4`?");
}
