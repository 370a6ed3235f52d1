use roxmltree::{Document, Node};

use super::*;

fn class<'a>(document: &'a Document<'_>, name: &str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.attribute("class") == Some(name)).collect()
}

fn texts<'a>(document: &'a Document<'_>, name: &str) -> Vec<&'a str> {
    class(document, name).iter().filter_map(Node::text).collect()
}

fn elements(document: &Document<'_>, name: &str) -> usize {
    document.descendants().filter(|node| node.has_tag_name(name)).count()
}

/// A run as they are: noisy losses, a discriminator, validation now and then.
fn run(steps: u64) -> Vec<Record> {
    let noise = |step: u64, salt: u64| ((step * 7919 + salt * 104_729) % 1009) as f64 / 1009.0;
    let mut records = Vec::new();
    for step in (10..=steps).step_by(10) {
        let age = step as f64 / steps as f64;
        records.push(
            Record::new(step, RecordKind::Train)
                .with("loss_l1", 0.01 + 0.05 * (-5.0 * age).exp() * (0.7 + noise(step, 1)))
                .with("loss_perceptual", 1.2 - 0.4 * age + 0.3 * noise(step, 2))
                .with("loss_gan", 0.1 + 0.6 * age * noise(step, 3))
                .with("d/real", 0.5 + 0.4 * age - 0.1 * noise(step, 4))
                .with("d/fake", 0.5 - 0.4 * age + 0.1 * noise(step, 5)),
        );
        if step % (steps / 20) == 0 {
            records.push(
                Record::new(step, RecordKind::Validation)
                    .with("psnr/set5", 25.0 + 5.0 * age.sqrt())
                    .with("psnr/set14", 23.0 + 4.0 * age.sqrt())
                    .with("lpips/set5", 0.4 - 0.2 * age),
            );
        }
    }
    records
}

#[test]
fn a_run_is_drawn_in_panels_with_axes_and_legends() {
    let drawing = draw_curves(&run(100_000));
    let document = Document::parse(&drawing).unwrap();
    assert_eq!(
        texts(&document, "title"),
        ["training: loss", "training: d", "validation: psnr", "validation: lpips"]
    );
    let axes = texts(&document, "axis");
    assert_eq!(axes, ["step", "loss (log)", "step", "d", "step", "psnr", "step", "lpips"]);
    let legend = texts(&document, "legend");
    assert_eq!(legend.len(), 8);
    assert!(legend.contains(&"psnr/set5 30.00"), "{legend:?}");
    // Lines of five noisy series lie in bands; so many points of validation need none, but dots.
    assert_eq!((elements(&document, "polygon"), elements(&document, "circle")), (5, 60));
    assert!(drawing.len() < 300_000, "{} bytes", drawing.len());
    assert_eq!(drawing, draw_curves(&run(100_000)));
}

#[test]
fn everything_lies_within_the_page() {
    let drawing = draw_curves(&run(5000));
    let document = Document::parse(&drawing).unwrap();
    let size = |name| document.root_element().attribute(name).unwrap().parse::<f64>().unwrap();
    let (width, height) = (size("width"), size("height"));
    assert_eq!(width, 1200.0);
    let mut looked_at = 0;
    for points in document.descendants().filter_map(|node| node.attribute("points")) {
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y), "{point}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 1000, "{looked_at}");
}

#[test]
fn odd_records_are_drawn_as_well() {
    let one = |value| vec![Record::new(0, RecordKind::Train).with("loss", value)];
    let cases = [
        vec![],
        vec![Record::new(5, RecordKind::Train)],
        one(f64::NAN),
        one(0.0),
        one(1e300),
        one(-1e-300),
        vec![Record::new(u64::MAX, RecordKind::Validation).with("a<b>&\"\0\u{1}\u{ffff}", 1.0)],
        (0..40).map(|step| Record::new(step, RecordKind::Train).with("x".repeat(500), step as f64)).collect(),
    ];
    for records in &cases {
        let drawing = draw_curves(records);
        Document::parse(&drawing).unwrap();
        assert!(!drawing.contains("NaN,") && !drawing.contains("inf,"), "{drawing}");
    }
    assert!(draw_curves(&[]).contains("no records yet"));
}

#[test]
fn a_loss_that_is_not_positive_has_a_linear_axis() {
    let axis_names = |value| {
        let records = [1.0, 0.5, value].into_iter().zip(1..);
        let records: Vec<_> =
            records.map(|(value, step)| Record::new(step, RecordKind::Train).with("loss_g", value)).collect();
        let drawing = draw_curves(&records);
        texts(&Document::parse(&drawing).unwrap(), "axis").join(", ")
    };
    assert_eq!(axis_names(0.1), "step, loss (log)");
    assert_eq!(axis_names(-0.1), "step, loss");
    assert_eq!(axis_names(f64::NAN), "step, loss (log)");
}

#[test]
fn values_that_are_not_finite_are_marked() {
    let mut records = run(1000);
    records[3].scalars[0].1 = f64::NAN;
    let drawing = draw_curves(&records);
    assert_eq!(class(&Document::parse(&drawing).unwrap(), "broken").len(), 1);
}

#[test]
fn last_values_have_four_digits_that_count() {
    let cases = [
        (30.0, "30.00"),
        (0.012_344, "0.01234"),
        (0.5, "0.5000"),
        (1234.56, "1235"),
        (-1.5, "-1.500"),
        (0.0, "0.0000"),
        (1e-5, "1.000e-5"),
        (2.5e7, "2.500e7"),
    ];
    for (value, expected) in cases {
        assert_eq!(significant(value), expected);
    }
}

#[test]
fn many_series_differ_by_dashes() {
    assert_ne!(look(0), look(7));
    assert_eq!(look(0).0, look(7).0);
}
