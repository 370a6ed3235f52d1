//! Manifests that lie, are damaged, or are no manifests.

use super::*;

const FILES: [(&str, &[u8]); 2] = [("generator.safetensors", b"weights"), ("schedule.json", b"{}")];

fn manifest() -> Manifest {
    let notes = BTreeMap::from([("psnr_y_db".to_owned(), "27.31 \"dB\" \u{1f600}\u{0}".to_owned())]);
    Manifest::new(500, FILES.iter().map(|(name, bytes)| Entry::new(name, bytes)).collect(), notes)
}

fn parse(bytes: &[u8]) -> Result<Manifest, CheckpointError> {
    Manifest::parse(bytes, Path::new("step-0000000500/manifest.json"))
}

/// A manifest that was changed, and sealed again by whoever changed it.
fn resealed(change: impl Fn(&mut Manifest)) -> Vec<u8> {
    let mut manifest = manifest();
    change(&mut manifest);
    manifest.seal = manifest.computed_seal();
    manifest.to_bytes()
}

/// Numbers that only have to be spread.
struct Spread(u64);

impl Spread {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn a_manifest_comes_back_and_its_bytes_are_always_the_same() {
    assert_eq!(parse(&manifest().to_bytes()).unwrap(), manifest());
    let reversed = FILES.iter().rev().map(|(name, bytes)| Entry::new(name, bytes)).collect();
    let other = Manifest::new(500, reversed, manifest().notes);
    assert_eq!(other.to_bytes(), manifest().to_bytes());
}

#[test]
fn a_hash_is_the_sha256() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Entry::new("a", b"abc").sha256, expected, "FIPS 180-2, B.1");
}

#[test]
fn names_that_are_paths_or_not_unique_are_refused() {
    for name in
        ["../x", "/etc/passwd", "a/../../b", "", ".", "..", "manifest.json", "schedule.json", "Schedule.JSON"]
    {
        let bytes = resealed(|manifest| manifest.files[0].name = name.to_owned());
        let error = parse(&bytes).unwrap_err();
        assert!(matches!(error, CheckpointError::Malformed { .. }), "{name}: {error}");
        assert!(error.to_string().to_lowercase().contains(&format!("`{}`", name.to_lowercase())), "{error}");
    }
}

#[test]
fn absurd_sizes_and_numbers_are_refused() {
    for bytes in [MAX_FILE_BYTES + 1, u64::MAX] {
        let error = parse(&resealed(|manifest| manifest.files[1].bytes = bytes)).unwrap_err();
        let found = matches!(&error, CheckpointError::Limit { found, .. } if *found == bytes);
        assert!(found && error.to_string().contains("schedule.json"), "{error}");
    }
    let many = resealed(|manifest| {
        manifest.files = (0..MAX_FILES + 1).map(|index| Entry::new(&format!("file-{index}"), b"")).collect();
    });
    assert!(matches!(parse(&many).unwrap_err(), CheckpointError::Limit { found: 257, .. }));
    let text = String::from_utf8(manifest().to_bytes()).unwrap();
    for (from, to) in
        [("500", "-1"), ("500", "5e2"), ("500", "99999999999999999999"), ("\"bytes\": 2", "\"bytes\": 2.5")]
    {
        assert!(matches!(
            parse(text.replace(from, to).as_bytes()).unwrap_err(),
            CheckpointError::Malformed { .. }
        ));
    }
}

#[test]
fn other_versions_are_named_even_where_their_form_is_unknown() {
    for text in ["{\"format_version\": 2, \"chunks\": [[1]]}", "{\"format_version\":0}"] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, CheckpointError::Version { expected: 1, .. }), "{error}");
    }
}

#[test]
fn every_changed_value_breaks_the_seal() {
    let text = String::from_utf8(manifest().to_bytes()).unwrap();
    for (from, to) in [("27.31", "28.31"), ("500", "501"), ("\"bytes\": 2", "\"bytes\": 3"), ("psnr", "ssim")]
    {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let error = parse(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("seal"), "{error}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep =
            format!("{{\"format_version\":1,\"step\":{}0{}}}", open.repeat(100_000), close.repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
    }
}

#[test]
fn truncated_manifests_are_refused_at_every_length() {
    let bytes = manifest().to_bytes();
    // The last byte is the end of a line.
    for length in 0..bytes.len() - 1 {
        let error = parse(&bytes[..length]).unwrap_err();
        assert!(matches!(error, CheckpointError::Malformed { .. }), "{length}: {error}");
    }
}

#[test]
fn random_bytes_never_panic_and_never_pass() {
    let original = manifest().to_bytes();
    let mut spread = Spread(0x5eed);
    for round in 0..20_000 {
        let mut bytes = original.clone();
        if round % 4 == 0 {
            bytes = (0..spread.below(200)).map(|_| spread.below(256) as u8).collect();
        }
        for _ in 0..=spread.below(4) {
            let at = spread.below(bytes.len().max(1));
            match spread.below(3) {
                0 if !bytes.is_empty() => bytes[at] = spread.below(256) as u8,
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => bytes.insert(at.min(bytes.len()), b"{}[],:\"\\0"[spread.below(9)]),
            }
        }
        // White space and the like may change; what it says may not.
        if let Ok(parsed) = parse(&bytes) {
            assert_eq!(parsed, manifest(), "round {round}");
        }
    }
}
