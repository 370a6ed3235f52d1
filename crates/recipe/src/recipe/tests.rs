use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};
use esrgan_degrade::Preset;

use super::*;
use crate::keys::KEYS;
use crate::sections::losses::PixelKind;

/// No more than must be there.
const LEAST: &str = r#"
stage = "psnr"
scale = 4
steps = 10
data = { hr = ["pictures"], degradation = "mild" }
losses.pixel.weight = 1
optimizer.generator.learning_rate = 1e-4
schedule.kind = "constant"
"#;

/// Overrides that set every key that `esrgan-x4` leaves out, but for those of other schedules.
const MORE: [(&str, &str); 14] = [
    ("threads", "2"),
    ("generator.edge", "\"replicate\""),
    ("generator.widen", "true"),
    ("discriminator.start", "d"),
    ("discriminator.patch_features", "8"),
    ("losses.checkerboard.weight", "1"),
    ("losses.autocorrelation.weight", "1"),
    ("data.lr", "lr"),
    ("data.workers", "2"),
    ("validation.lr", "lr"),
    ("validation.lpips_backbone", "b"),
    ("validation.lpips_heads", "h"),
    ("checkpoints.best_by", "niqe"),
    (
        "optimizer",
        "{ generator = { learning_rate = 1, clip_norm = 1 }, discriminator = { learning_rate = 1, clip_norm = 1 } }",
    ),
];

fn owned(overrides: &[(&str, &str)]) -> Vec<(String, String)> {
    overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn error_of(text: &str, overrides: &[(&str, &str)]) -> String {
    Recipe::from_toml(text, &owned(overrides)).unwrap_err().to_string()
}

#[test]
fn what_is_left_out_has_the_papers_values() {
    let recipe = Recipe::from_toml(LEAST, &[]).unwrap();
    assert_eq!(recipe.check(), []);
    assert_eq!(recipe.data.degradation, Some(Preset::Mild));
    assert_eq!((recipe.generator.features, recipe.generator.blocks, recipe.generator.growth), (64, 23, 32));
    assert_eq!((recipe.data.crop_px, recipe.data.batch, recipe.data.accumulation), (128, 16, 1));
    assert_eq!((recipe.data.flips, recipe.data.cache_bytes), (true, 1 << 30));
    assert_eq!((recipe.losses.pixel.kind, recipe.losses.pixel.weight), (PixelKind::L1, 1.0));
    assert_eq!(recipe.optimizer.generator.betas, [0.9, 0.999]);
    assert_eq!((recipe.average, recipe.validation.is_some()), (None, false));
    let again = Recipe::from_toml(&recipe.to_toml().unwrap(), &[]).unwrap();
    assert_eq!(again, recipe);
}

#[test]
fn typos_are_answered_with_the_nearest_key() {
    for (line, expected) in [
        ("data.bacth = 8", "recipe:2: `data.bacth`: unknown key: did you mean `data.batch`?"),
        ("sede = 8", "recipe:2: `sede`: unknown key: did you mean `seed`?"),
        ("batch = 8", "recipe:2: `batch`: unknown key: did you mean `data.batch`?"),
        (
            "generator.kind = 'x'",
            "recipe:2: `generator.kind`: unknown key: did you mean `discriminator.kind`?",
        ),
        ("average.x = 1", "recipe:2: `average.x`: unknown key: expected one of `decay`"),
        (
            "schedule.warmup_steps = 1",
            "recipe:2: `schedule.warmup_steps`: unknown key: did you mean `schedule.warm_up_steps`?",
        ),
        ("schedule.gamma = 1", "recipe:2: `schedule.gamma`: unknown key: expected one of `warm_up_steps`"),
    ] {
        let text = format!(
            "\n{line}\n{}",
            LEAST.replace("data = { hr = [\"pictures\"], degradation = \"mild\" }", "data.hr = ['a']")
        );
        assert_eq!(error_of(&text, &[]), expected, "{line}");
    }
}

#[test]
fn unknown_words_and_wrong_types_name_key_and_line() {
    for (replaced, by, expected) in [
        (
            "\"psnr\"",
            "'pnsr'",
            "recipe:2: `stage`: unknown word `pnsr`: expected one of `psnr`, `gan`: did you mean `psnr`?",
        ),
        ("\"psnr\"", "3", "recipe:2: `stage`: expected a word, found `3`"),
        ("\"psnr\"", "{ kind = 'psnr' }", "recipe:2: `stage`: expected a word, found a table"),
        ("scale = 4", "scale = -4", "recipe:3: `scale`: expected a whole number from 0, found `-4`"),
        ("scale = 4", "scale = 4.0", "recipe:3: `scale`: expected a whole number from 0, found `4.0`"),
        (
            "scale = 4",
            "scale = 99999999999999999999",
            "recipe:3: `scale`: expected a number of 64 bits, found 99999999999999999999",
        ),
        (
            "steps = 10",
            "steps = 'ten'",
            "recipe:4: `steps`: expected a whole number from 0, found the text `ten`",
        ),
        ("steps = 10", "", "recipe:1: `steps` is missing"),
        ("[\"pictures\"]", "'pictures'", "recipe:5: `data.hr`: expected a list, found the text `pictures`"),
        (
            "\"mild\"",
            "'mlid'",
            "recipe:5: `data.degradation`: unknown word `mlid`: expected one of `real-esrgan`, `mild`, `bicubic`: did you mean `mild`?",
        ),
        ("\"mild\"", "'mild', flips = 1", "recipe:5: `data.flips`: expected `true` or `false`, found `1`"),
        (
            "\"mild\"",
            "'mild', cache = 'much'",
            "recipe:5: `data.cache`: `much` is not a size: expected a number with KiB, MiB, GiB, K, M or G, such as `800M` or `1.5GiB`",
        ),
        (
            "weight = 1",
            "weight = 'a'",
            "recipe:6: `losses.pixel.weight`: expected a number, found the text `a`",
        ),
        (
            "pixel.weight",
            "weight",
            "recipe:6: `losses.weight`: unknown key: did you mean `losses.pixel.weight`?",
        ),
        (
            "learning_rate",
            "betas = [0.9]\noptimizer.generator.learning_rate",
            "recipe:7: `optimizer.generator.betas`: expected a list of 2, found a list of 1",
        ),
        (
            "\"constant\"",
            "'constnat'",
            "recipe:8: `schedule.kind`: unknown word `constnat`: expected one of `constant`, `multi-step`, `cosine-restart`: did you mean `constant`?",
        ),
        ("\"constant\"", "'multi-step'", "recipe:8: `schedule.milestones` is missing"),
        (
            "schedule.kind = \"constant\"",
            "schedule = 'constant'",
            "recipe:8: `schedule`: expected a table with `kind`, found the text `constant`",
        ),
        ("scale = 4", "scale =", "recipe:3: string values must be quoted, expected literal string"),
    ] {
        assert!(LEAST.contains(replaced), "{replaced}");
        let found = error_of(&LEAST.replacen(replaced, by, 1), &[]);
        let is_syntax = by == "scale =";
        assert!(found == expected || (is_syntax && found.starts_with("recipe:3: ")), "{found}\n{expected}");
    }
}

#[test]
fn overrides_set_replace_and_remove() {
    let overrides = owned(&[
        ("data.batch", "8"),
        ("data.hr", "[\"a\", 'b c']"),
        ("data.cache", "800M"),
        ("optimizer.generator.learning_rate", "3"),
        ("generator.start", "models/some x4.pth"),
        ("losses.pixel.kind", "charbonnier"),
        ("data.rotations", "false"),
        ("schedule", "{ kind = 'multi-step', milestones = [2, 4], gamma = 0.5 }"),
        ("average.decay", "0.5"),
        ("average", ""),
    ]);
    let recipe = Recipe::from_toml(LEAST, &overrides).unwrap();
    assert_eq!((recipe.data.batch, recipe.data.cache_bytes), (8, 800 << 20));
    assert_eq!(recipe.data.hr, [PathBuf::from("a"), PathBuf::from("b c")]);
    assert_eq!(recipe.optimizer.generator.learning_rate, 3.0);
    assert_eq!(recipe.generator.start.as_deref(), Some(Path::new("models/some x4.pth")));
    assert_eq!((recipe.losses.pixel.kind, recipe.data.rotations), (PixelKind::Charbonnier, false));
    assert_eq!(recipe.schedule.kind(), "multi-step");
    assert_eq!(recipe.average, None);
}

#[test]
fn wrong_overrides_are_refused() {
    for (key, value, expected) in [
        ("data.bacth", "8", "override: `data.bacth`: unknown key: did you mean `data.batch`?"),
        (
            "data.batch",
            "eight",
            "override: `data.batch`: expected a whole number from 0, found the text `eight`",
        ),
        ("data.hr", "[1]", "override: `data.hr`: expected text, found `1`"),
        (
            "stage",
            "gna",
            "override: `stage`: unknown word `gna`: expected one of `psnr`, `gan`: did you mean `gan`?",
        ),
        ("seed.x", "1", "override: `seed`: expected a whole number from 0, found a table"),
        ("scale.x", "1", "override `scale.x=1`: `scale` has no keys: it is no table"),
        ("data.hrr", "", "override `data.hrr=`: there is no `hrr` to take out: did you mean `hr`?"),
        ("dtaa.hr", "", "override `dtaa.hr=`: there is no `dtaa` to take something out of"),
        ("data.", "1", "override: `data.`: unknown key"),
        ("", "1", "override: ``: unknown key"),
    ] {
        let found = error_of(LEAST, &[(key, value)]);
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    assert!(error_of(LEAST, &[("data.hr", "['a")]).starts_with("override `data.hr=['a`: "));
}

#[test]
fn paths_start_at_the_files_folder_and_overrides_at_the_current_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, LEAST).unwrap();
    let absolute = folder.path().join("absolute");
    let overrides = owned(&[("generator.start", "model.pth"), ("validation.hr", absolute.to_str().unwrap())]);
    let recipe = Recipe::read(&file, &overrides).unwrap();
    assert_eq!(recipe.data.hr, [folder.path().join("pictures")]);
    assert_eq!(recipe.generator.start, Some(PathBuf::from("model.pth")));
    assert_eq!(recipe.validation.unwrap().hr, absolute);
    let recipe = Recipe::read(&file, &owned(&[("data", "{ hr = ['here'], lr = 'there' }")])).unwrap();
    assert_eq!((recipe.data.hr, recipe.data.lr), (vec!["here".into()], Some("there".into())));
}

#[test]
fn files_that_are_no_recipes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |bytes: &[u8]| {
        let file = folder.path().join("some.toml");
        std::fs::write(&file, bytes).unwrap();
        Recipe::read(&file, &[]).unwrap_err()
    };
    let error = write(b"scale = \xff");
    assert!(error.to_string().ends_with("some.toml: byte 8 is not UTF-8"), "{error}");
    let error = write(b"scale = 4\nsteps = \n");
    assert!(error.to_string().contains("some.toml:2: "), "{error}");
    assert_eq!(error.kind(), Kind::Malformed);
    assert_eq!(write(&vec![b'#'; 1 << 21]).kind(), Kind::Limit);
    assert_eq!(write(b"").kind(), Kind::Argument);
    assert!(Recipe::from_toml(&format!("a = {}", "[".repeat(100_000)), &[]).is_err());
    assert_eq!(Recipe::read(&folder.path().join("absent"), &[]).unwrap_err().kind(), Kind::Io);
}

#[test]
fn keys_are_those_of_the_sections() {
    let mut found = std::collections::BTreeSet::new();
    for schedule in [
        "{ kind = 'multi-step', milestones = [], gamma = 1 }",
        "{ kind = 'cosine-restart', periods = [], restart_weights = [], minimum = 0 }",
    ] {
        let mut overrides = owned(&MORE);
        overrides.push(("schedule".to_owned(), schedule.to_owned()));
        let recipe = Recipe::from_preset("esrgan-x4", &overrides).unwrap();
        found.extend(crate::difference::leaves(&recipe).unwrap().into_keys());
    }
    let is_layer = |key: &String| key.starts_with("losses.perceptual.layers.");
    assert!(found.iter().any(is_layer));
    let mut found: Vec<_> = found.into_iter().filter(|key| !is_layer(key)).collect();
    found.push("losses.perceptual.layers".to_owned());
    found.sort_unstable();
    assert_eq!(found, KEYS, "{found:#?}");
}

#[test]
fn every_path_starts_at_the_folder() {
    let mut recipe = Recipe::from_preset("esrgan-x4", &owned(&MORE)).unwrap();
    recipe.start_paths_at(Path::new("folder"), &[]);
    let written = recipe.to_toml().unwrap();
    assert_eq!(written.matches("\"folder/").count(), recipe.paths_mut().len(), "{written}");
    assert_eq!(recipe.paths_mut().len(), 9);
}

#[test]
fn toml_has_no_seed_beyond_its_numbers() {
    let recipe = Recipe { seed: u64::MAX, ..Recipe::from_toml(LEAST, &[]).unwrap() };
    assert!(matches!(recipe.to_toml(), Err(RecipeError::Write { .. })));
    assert_eq!(recipe.check().len(), 1);
}
