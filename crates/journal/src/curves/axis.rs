//! Scales from values to fractions of an axis, and their marks at round values.

/// About how many marks an axis has.
const MARKS: f64 = 7.0;
/// Room between the outermost values and the ends of an axis of values.
const MARGIN: f64 = 0.05;
/// Digits behind the point beyond which marks are written with an exponent.
const MOST_DECIMALS: i32 = 5;

/// A scale with its marks.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    /// Fractions and labels.
    marks: Vec<(f64, String)>,
}

impl Axis {
    /// Steps of a run.
    pub(super) fn steps(low: f64, high: f64) -> Self {
        // One step alone lies in the middle; none at all must not be an error.
        let margin = (high * 1e-9).max(1.0);
        let (low, high) = if low < high { (low, high) } else { (high - margin, high + margin) };
        let marks = round_values(low, high).into_iter().filter(|value| value.fract() == 0.0);
        Self::new(low, high, false, marks.map(|value| (value, step_label(value))).collect())
    }

    /// Values at equal distances.
    pub(super) fn values(low: f64, high: f64) -> Self {
        let margin = if low < high { (high - low) * MARGIN } else { (low.abs() * MARGIN).max(1e-9) };
        let (low, high) = (low - margin, high + margin);
        Self::new(low, high, false, labelled(low, high))
    }

    /// Positive values at equal ratios.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let ratio = (high / low).powf(MARGIN).clamp(1.01, 1e10);
        let (low, high) = ((low / ratio).max(f64::MIN_POSITIVE), high * ratio);
        // Within a decade round values are those of a linear scale.
        let marks = if high / low < 10.0 { labelled(low, high) } else { decade_marks(low, high) };
        Self::new(low, high, true, marks)
    }

    fn new(low: f64, high: f64, is_log: bool, values: Vec<(f64, String)>) -> Self {
        let mut axis = Self { low, high, is_log, marks: Vec::new() };
        let placed = values.into_iter().map(|(value, label)| (axis.fraction(value), label));
        let marks = placed.filter(|(at, _)| (-1e-9..=1.0 + 1e-9).contains(at)).collect();
        axis.marks = marks;
        axis
    }

    pub(super) fn is_log(&self) -> bool {
        self.is_log
    }

    pub(super) fn marks(&self) -> &[(f64, String)] {
        &self.marks
    }

    /// Where a value lies between the ends: 0 to 1.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let place = |value: f64| if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        (place(value) - place(self.low)) / (place(self.high) - place(self.low))
    }
}

/// The distance of round values: 1, 2 or 5 times a power of ten.
fn round_distance(low: f64, high: f64) -> f64 {
    let rough = (high - low) / MARKS;
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors.map(|factor| factor * power).into_iter().find(|distance| *distance >= rough).unwrap_or(rough)
}

fn round_values(low: f64, high: f64) -> Vec<f64> {
    let distance = round_distance(low, high);
    let (first, last) = ((low / distance).ceil(), (high / distance).floor());
    let count = (last - first).clamp(0.0, 2.0 * MARKS) as usize;
    // Distances below 1 are better divided by, so that a tenth is as near to 0.1 as a number can be.
    let value = |index: f64| if distance < 1.0 { index / (1.0 / distance).round() } else { index * distance };
    let is_exact = distance >= 1e-15;
    (0..=count)
        .map(|index| first + index as f64)
        .map(|index| if is_exact { value(index) } else { index * distance })
        .collect()
}

fn labelled(low: f64, high: f64) -> Vec<(f64, String)> {
    let exponent = round_distance(low, high).log10().floor() as i32;
    let largest = low.abs().max(high.abs());
    let label = |value: f64| {
        if exponent < -MOST_DECIMALS || largest >= 1e6 {
            let own = if value == 0.0 { exponent } else { value.abs().log10().floor() as i32 };
            return format!("{value:.0$e}", (own - exponent).clamp(0, 15) as usize);
        }
        format!("{value:.0$}", exponent.min(0).unsigned_abs() as usize)
    };
    round_values(low, high).into_iter().map(|value| (value, label(value))).collect()
}

/// Powers of ten, with 2 and 5 in between where there are few, and some passed over where there are many.
fn decade_marks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let mantissas: &[u32] = if high / low < 500.0 { &[1, 2, 5] } else { &[1] };
    let stride = ((last - first) / 8 + 1).unsigned_abs() as usize;
    let exponents = (first..=last).step_by(stride);
    exponents
        .flat_map(|exponent| mantissas.iter().map(move |mantissa| format!("{mantissa}e{exponent}")))
        .filter_map(|text| {
            let value: f64 = text.parse().ok()?;
            let is_plain = (1e-4..1e6).contains(&value);
            Some((value, if is_plain { value.to_string() } else { text }))
        })
        .collect()
}

/// `500`, `20k`, `1.5M`.
fn step_label(step: f64) -> String {
    match step {
        _ if step >= 1e6 => format!("{}M", step / 1e6),
        _ if step >= 1e4 => format!("{}k", step / 1e3),
        _ => step.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn marks_are_round() {
        let cases = [
            (Axis::steps(0.0, 400_000.0), vec!["0", "100k", "200k", "300k", "400k"]),
            (Axis::steps(1.0, 3.0), vec!["1", "2", "3"]),
            (Axis::steps(7.0, 7.0), vec!["6", "7", "8"]),
            (Axis::values(0.0, 1.0), vec!["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (Axis::values(-0.3, 0.3), vec!["-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3"]),
            (Axis::values(0.0, 1e-7), vec!["0e0", "2e-8", "4e-8", "6e-8", "8e-8", "1.0e-7"]),
            (Axis::logarithmic(0.02, 0.9), vec!["0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
            (Axis::logarithmic(1e-5, 1e-1), vec!["1e-5", "0.0001", "0.001", "0.01", "0.1"]),
            (Axis::logarithmic(0.031, 0.034), vec!["0.031", "0.032", "0.033", "0.034"]),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(axis, expected)| labels(axis) != *expected).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn any_range_has_an_axis() {
        let values = [-1e100, -1.0, 0.0, f64::MIN_POSITIVE, 1e-300, 1.0, 1.0 + f64::EPSILON, 1e16, 1e100];
        for (index, low) in values.iter().enumerate() {
            for high in &values[index..] {
                let mut axes = vec![Axis::values(*low, *high)];
                if *low > 0.0 {
                    axes.push(Axis::logarithmic(*low, *high));
                }
                for axis in axes {
                    let (from, to) = (axis.fraction(*low), axis.fraction(*high));
                    assert!(
                        (-1e-9..=to + 1e-9).contains(&from) && to <= 1.0 + 1e-9,
                        "{low} {high}: {from} {to}"
                    );
                    assert!(axis.marks.len() <= 14, "{low} {high}: {:?}", labels(&axis));
                }
            }
        }
    }
}
