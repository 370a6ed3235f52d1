use crate::error::RecipeError;
use crate::recipe::Recipe;

fn problems(preset: &str, overrides: &[(&str, &str)]) -> Vec<String> {
    let overrides: Vec<_> =
        overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let recipe = Recipe::from_preset(preset, &overrides).unwrap();
    recipe.check().iter().map(ToString::to_string).collect()
}

/// One override of a preset, and the beginning of the only problem that it makes.
fn assert_problems(preset: &str, cases: &[(&str, &str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(key, value, expected)| (problems(preset, &[(key, value)]), expected))
        .filter(|(found, expected)| found.len() != 1 || !found[0].starts_with(**expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn values_out_of_range() {
    assert_problems(
        "tiny-psnr-x4",
        &[
            ("scale", "0", "`scale` is 0: expected 1 to 16"),
            ("steps", "0", "`steps` is 0: expected 1 or more"),
            ("threads", "0", "`threads` is 0: expected 1 to 1024"),
            ("generator.features", "0", "`generator.features` is 0: expected 1 to 4096"),
            ("generator.blocks", "0", "`generator.blocks` is 0"),
            ("generator.growth", "0", "`generator.growth` is 0"),
            (
                "generator.widen",
                "true",
                "`generator.widen` is set: expected nothing without `generator.start`",
            ),
            ("data.hr", "[]", "`data.hr` is an empty list: expected at least one folder"),
            ("data.lr", "there", "`data.lr` is set beside `data.degradation`: expected either"),
            ("data.degradation", "", "`data.lr` is not set: expected either `data.lr` or `data.degradation`"),
            ("data.crop_px", "130", "`data.crop_px` is 130: expected a multiple of the scale 4"),
            ("data.crop_px", "0", "`data.crop_px` is 0: expected a multiple of the scale 4"),
            ("data.batch", "0", "`data.batch` is 0"),
            (
                "data.batch",
                "1000000",
                "`data.batch` is 1000000: expected at most 1073741824 samples in crops of 128",
            ),
            ("data.accumulation", "0", "`data.accumulation` is 0"),
            ("data.workers", "0", "`data.workers` is 0"),
            ("validation.every", "0", "`validation.every` is 0"),
            (
                "losses.pixel.weight",
                "0",
                "`losses.pixel.weight` is 0: expected more than 0, as it is the only loss",
            ),
            ("losses.pixel.weight", "-1", "`losses.pixel.weight` is -1: expected 0 or more"),
            ("losses.pixel.weight", "nan", "`losses.pixel.weight` is NaN: expected 0 or more"),
            ("optimizer.generator.learning_rate", "inf", "`optimizer.generator.learning_rate` is inf"),
            (
                "optimizer.generator.betas",
                "[0.9, 1.0]",
                "`optimizer.generator.betas` is 1: expected 0 or more and less",
            ),
            ("optimizer.generator.epsilon", "0", "`optimizer.generator.epsilon` is 0: expected more than 0"),
            ("optimizer.generator.weight_decay", "-1", "`optimizer.generator.weight_decay` is -1"),
            ("optimizer.generator.clip_norm", "0", "`optimizer.generator.clip_norm` is 0"),
            ("average.decay", "1", "`average.decay` is 1"),
            ("checkpoints.every", "0", "`checkpoints.every` is 0"),
            ("checkpoints.keep", "0", "`checkpoints.keep` is 0"),
            ("checkpoints.log_every", "0", "`checkpoints.log_every` is 0"),
            (
                "checkpoints.best_by",
                "niqe",
                "`checkpoints.best_by` is `niqe`: expected one of `validation.metrics`",
            ),
            ("validation", "", "`checkpoints.best_by` is `psnr-y`"),
        ],
    );
}

#[test]
fn metrics_and_layers_are_known() {
    assert_problems(
        "tiny-x4",
        &[
            ("validation.metrics", "[]", "`validation.metrics` is an empty list"),
            (
                "validation.metrics",
                "['psnr_y']",
                "`validation.metrics` is `psnr_y`: expected one of `psnr-y`, ",
            ),
            ("validation.metrics", "['niqe', 'niqe']", "`validation.metrics` is `niqe` twice"),
            (
                "losses.perceptual.layers.conv5_4",
                "1",
                "`losses.perceptual.layers` is `conv5_4`: expected one of",
            ),
            ("losses.checkerboard.weight", "-1", "`losses.checkerboard.weight` is -1: expected 0 or more"),
            (
                "losses.autocorrelation.weight",
                "-1",
                "`losses.autocorrelation.weight` is -1: expected 0 or more",
            ),
            ("losses.perceptual.layers", "{}", "`losses.perceptual.layers` is empty"),
            ("losses.perceptual.layers.conv5_3", "-1", "`losses.perceptual.layers.conv5_3` is -1"),
            ("losses.perceptual.weights_file", "''", "`losses.perceptual.weights_file` is empty"),
        ],
    );
    let found = problems("tiny-x4", &[("validation.metrics", "['psnr_y']")]);
    assert!(found[0].ends_with(": did you mean `psnr-y`?"), "{found:?}");
    let found = problems("tiny-x4", &[("validation.metrics", "['lpips-vgg']")]);
    assert_eq!(found[0], "`validation.lpips_backbone` is not set: expected a file, as `lpips-vgg` needs it");
    assert_eq!(found.len(), 2);
}

#[test]
fn stages_have_their_sections() {
    let found = problems("tiny-psnr-x4", &[("stage", "gan")]);
    let keys = ["discriminator", "losses.adversarial", "optimizer.discriminator", "losses.perceptual"];
    assert_eq!(found.len(), keys.len(), "{found:?}");
    for (problem, key) in found.iter().zip(keys) {
        assert!(problem.starts_with(&format!("`{key}` is not set: expected a section")), "{problem}");
    }
    for (loss, least) in [("losses.checkerboard", 6), ("losses.autocorrelation", 15)] {
        let weight = (&*format!("{loss}.weight"), "1");
        let found = problems("tiny-psnr-x4", &[weight]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("`{loss}` is set: expected nothing")), "{found:?}");
        let found = problems("realesrgan-x4", &[weight, ("data.crop_px", "4")]);
        let expected = format!("expected at least {least} for `{loss}`");
        assert!(found.iter().any(|problem| problem.ends_with(&expected)), "{found:?}");
    }
    let found = problems("tiny-x4", &[("stage", "psnr")]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|problem| problem.ends_with("stage `psnr` has no discriminator")), "{found:?}");
}

#[test]
fn discriminators_see_the_crop() {
    assert_problems(
        "tiny-x4",
        &[
            (
                "discriminator.input_px",
                "256",
                "`discriminator.input_px` is 256: expected `data.crop_px`, which is 128",
            ),
            ("discriminator.input_px", "", "`discriminator.input_px` is not set: expected 128 or 256"),
            ("data.crop_px", "256", "`discriminator.input_px` is 128: expected `data.crop_px`, which is 256"),
            (
                "discriminator.kind",
                "unet",
                "`discriminator.input_px` is 128: expected nothing for kind `unet`",
            ),
            (
                "discriminator.kind",
                "projected",
                "`discriminator.input_px` is 128: expected nothing for kind `projected`",
            ),
        ],
    );
    let head = ("discriminator.patch_features", "8");
    let found = problems("realesrgan-x4", &[head]);
    assert_eq!(found, ["`discriminator.patch_features` is 8: expected nothing but for kind `projected`"]);
    let projected = [head, ("discriminator.kind", "projected")];
    assert_eq!(problems("realesrgan-x4", &projected), Vec::<String>::new());
    let odd = [&projected[..], &[("scale", "2"), ("data.crop_px", "70")]].concat();
    let found = problems("realesrgan-x4", &odd);
    let expected = "`data.crop_px` is 70: expected a multiple of 4 for `discriminator.patch_features`";
    assert!(found.iter().any(|problem| problem == expected), "{found:?}");
    let found = problems("tiny-x4", &[("data.crop_px", "64"), ("discriminator.input_px", "64")]);
    assert_eq!(found, ["`discriminator.input_px` is 64: expected 128 or 256 for kind `vgg`"]);
    assert_problems(
        "realesrgan-x4",
        &[("data.crop_px", "36", "`data.crop_px` is 36: expected a multiple of 8")],
    );
}

#[test]
fn schedules_fit_the_run() {
    assert_problems(
        "tiny-x4",
        &[
            ("schedule.milestones", "[5, 5]", "`schedule.milestones` is [5, 5]: expected ascending steps"),
            ("schedule.gamma", "0", "`schedule.gamma` is 0"),
            ("optimizer.discriminator.learning_rate", "0", "`optimizer.discriminator.learning_rate` is 0"),
        ],
    );
    assert_problems(
        "tiny-psnr-x4",
        &[
            (
                "steps",
                "4001",
                "`schedule.periods` is [4000], 4000 in all: expected `steps` together, 4001 or more",
            ),
            (
                "schedule.restart_weights",
                "[1, 1]",
                "`schedule.restart_weights` is [1, 1]: expected one for each of 1",
            ),
            ("schedule.restart_weights", "[0]", "`schedule.restart_weights` is 0: expected more than 0"),
            (
                "schedule.minimum",
                "0.1",
                "`schedule.minimum` is 0.1: expected at most the learning rate 0.001",
            ),
        ],
    );
    let found = problems("tiny-psnr-x4", &[("schedule.periods", "[0, 4000]")]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn all_problems_come_at_once() {
    let overrides = [("steps", "0"), ("data.batch", "0"), ("average.decay", "2")];
    assert_eq!(problems("tiny-x4", &overrides).len(), 3);
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let error = Recipe::from_preset("tiny-x4", &overrides).unwrap().checked().unwrap_err();
    assert_eq!(error.to_string().lines().count(), 3);
    assert!(matches!(error, RecipeError::Problems { problems } if problems.len() == 3));
}
