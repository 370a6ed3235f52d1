use super::*;
use crate::record::RecordKind;

fn thresholds() -> Thresholds {
    Thresholds {
        discriminator_window_steps: 10,
        color_window_steps: 10,
        calm_steps: 20,
        color_names: vec!["red".to_owned(), "blue".to_owned()],
        ..Thresholds::default()
    }
}

/// The records of steps 1 and following, each with the value of its stretch: `(value, steps)`.
fn stretches(name: &str, stretches: &[(f64, u64)]) -> Vec<Record> {
    let values = stretches.iter().flat_map(|(value, steps)| (0..*steps).map(|_| *value));
    let record = |(index, value)| Record::new(index as u64 + 1, RecordKind::Train).with(name, value);
    values.enumerate().map(record).collect()
}

#[test]
fn thresholds_go_with_the_game() {
    let hinge = Thresholds::for_coin(2.0);
    assert!((hinge.discriminator_loses_above - 1.99).abs() < 0.01, "{hinge:?}");
    assert!((hinge.discriminator_wins_below - 0.144).abs() < 0.001, "{hinge:?}");
    assert_eq!(Thresholds::for_coin(std::f64::consts::LN_2), Thresholds::default());
}

fn warnings(records: &[Record]) -> Vec<Warning> {
    let mut monitor = Monitor::new(thresholds());
    records.iter().flat_map(|record| monitor.observe(record)).collect()
}

fn steps(warnings: &[Warning]) -> Vec<u64> {
    let step = |warning: &Warning| match warning {
        Warning::NotFinite { step, .. }
        | Warning::DiscriminatorWins { step, .. }
        | Warning::DiscriminatorLoses { step, .. }
        | Warning::ColorDrift { step, .. } => *step,
    };
    warnings.iter().map(step).collect()
}

#[test]
fn a_value_that_is_not_finite_is_named_once_an_episode() {
    let records = stretches(
        "loss_l1",
        &[(1.0, 3), (f64::NAN, 2), (1.0, 5), (f64::INFINITY, 1), (1.0, 20), (f64::NAN, 3)],
    );
    let warnings = warnings(&records);
    // The infinity at step 11 belongs to the episode that began at 4; the calm from 12 to 31 ends it.
    assert_eq!(steps(&warnings), [4, 32]);
    assert_eq!(warnings[0].to_string(), "step 4: `loss_l1` is NaN");
}

#[test]
fn each_name_has_its_own_episode() {
    let record = Record::new(1, RecordKind::Validation).with("a", f64::NEG_INFINITY).with("b", f64::NAN);
    let warnings = warnings(&[record]);
    assert_eq!(warnings[0], Warning::NotFinite { step: 1, name: "a".to_owned(), value: f64::NEG_INFINITY });
    assert_eq!(warnings.len(), 2);
}

#[test]
fn a_discriminator_that_wins_is_told_when_its_window_is_full() {
    let warnings = warnings(&stretches("loss_d", &[(0.01, 30)]));
    let [Warning::DiscriminatorWins { step: 10, mean, threshold: 0.05, window_steps: 10 }] = warnings[..]
    else {
        panic!("{warnings:?}")
    };
    assert!((mean - 0.01).abs() < 1e-15);
}

#[test]
fn the_mean_counts_and_not_the_value() {
    // Of ten values nine are 0.01 and one is 0.5, until that has left the window at step 21.
    assert_eq!(steps(&warnings(&stretches("loss_d", &[(0.01, 5), (0.5, 1), (0.01, 20)]))), [16]);
    assert_eq!(steps(&warnings(&stretches("loss_d", &[(0.5, 50)]))), [0; 0]);
}

#[test]
fn winning_and_losing_are_episodes_of_their_own() {
    let records = stretches("loss_d", &[(0.7, 30), (0.01, 20), (0.3, 60), (0.01, 20)]);
    let warnings = warnings(&records);
    // 0.01 has the window for itself but for one 0.7 at step 39: a mean of 0.079; and alone at 40. The second time one 0.3
    // beside nine of them is below already.
    assert_eq!(steps(&warnings), [10, 40, 119]);
    assert!(matches!(warnings[0], Warning::DiscriminatorLoses { .. }));
    assert!(matches!(warnings[1..], [Warning::DiscriminatorWins { .. }, Warning::DiscriminatorWins { .. }]));
}

#[test]
fn a_short_calm_does_not_end_an_episode() {
    assert_eq!(steps(&warnings(&stretches("loss_d", &[(0.7, 30), (0.3, 5), (0.7, 30)]))), [10]);
}

#[test]
fn records_that_are_far_apart_fill_a_window_by_their_steps() {
    let record = |step| Record::new(step, RecordKind::Train).with("loss_d", 0.7);
    // 4 to 12 are nine steps, 16 the thirteenth.
    assert_eq!(steps(&warnings(&[4, 8, 12, 16, 20].map(record))), [16]);
    // After a gap as long as the window it begins anew.
    assert_eq!(steps(&warnings(&[1, 2, 30, 35, 39].map(record))), [39]);
}

#[test]
fn colours_drift_to_either_side() {
    let record = |step| Record::new(step, RecordKind::Train).with("red", -0.01).with("blue", 0.007);
    let warnings = warnings(&(1..40).map(record).collect::<Vec<_>>());
    let [Warning::ColorDrift { step: 10, name, window_steps: 10, .. }] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(name, "red");
    assert!(warnings[0].to_string().contains("`red` is -0.0100 over 10 steps"), "{}", warnings[0]);
    // Noise around nothing is none.
    let noise =
        |step| Record::new(step, RecordKind::Train).with("red", if step % 2 == 0 { 0.1 } else { -0.1 });
    assert_eq!(steps(&self::warnings(&(1..40).map(noise).collect::<Vec<_>>())), [0; 0]);
}

#[test]
fn values_that_are_not_finite_do_not_end_the_means() {
    let records = stretches("loss_d", &[(0.7, 9), (f64::NAN, 1), (0.7, 1)]);
    assert_eq!(steps(&warnings(&records)), [10, 11]);
}

#[test]
fn resumed_anywhere_it_warns_of_the_same() {
    let records = stretches("loss_d", &[(0.7, 30), (f64::NAN, 3), (0.01, 20), (0.3, 60), (0.01, 20)]);
    let undisturbed = warnings(&records);
    assert_eq!(undisturbed.len(), 4);
    for at in 0..=records.len() {
        let mut resumed = Monitor::resume(thresholds(), &records[..at]);
        let later: Vec<_> = records[at..].iter().flat_map(|record| resumed.observe(record)).collect();
        let expected = undisturbed.iter().filter(|warning| steps(&[(*warning).clone()])[0] > at as u64);
        // NaN is not equal to itself.
        let text = |warning: &Warning| warning.to_string();
        assert_eq!(
            later.iter().map(text).collect::<Vec<_>>(),
            expected.map(text).collect::<Vec<_>>(),
            "{at}"
        );
    }
}
