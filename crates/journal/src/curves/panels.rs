//! Which scalars are drawn together, and how many of their points.

use crate::record::{Record, RecordKind};

/// Values further from 0 than this are drawn as if they were infinite.
const LARGEST_DRAWN: f64 = 1e100;

/// Scalars of one kind whose names begin alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    pub(super) kind: RecordKind,
    pub(super) group: String,
    pub(super) series: Vec<Series>,
}

/// One scalar over its steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
    /// Where its value is not finite.
    pub(super) broken_steps: Vec<f64>,
}

/// A value, or the mean of several and their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) step: f64,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Series {
    /// The points, parted where a value in between is not finite.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &[Point]> {
        let is_joined = |left: &Point, right: &Point| {
            let next_broken = self.broken_steps.partition_point(|step| *step < left.step);
            self.broken_steps.get(next_broken).is_none_or(|step| *step > right.step)
        };
        self.points.chunk_by(is_joined)
    }
}

/// The panels of all records: of training, then of validation, each in the order in which they first appear.
pub(super) fn panels(records: &[Record]) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for record in records {
        for (name, value) in &record.scalars {
            let series = series_of(&mut panels, record.kind, name);
            let (step, value) = (record.step as f64, *value);
            if value.abs() <= LARGEST_DRAWN {
                series.points.push(Point { step, value, low: value, high: value });
            } else {
                series.broken_steps.push(step);
            }
        }
    }
    panels.sort_by_key(|panel| panel.kind == RecordKind::Validation);
    panels
}

fn series_of<'a>(panels: &'a mut Vec<Panel>, kind: RecordKind, name: &str) -> &'a mut Series {
    let group = group_of(name);
    let panel = panels.iter().position(|panel| panel.kind == kind && panel.group == group);
    let panel = panel.unwrap_or_else(|| {
        panels.push(Panel { kind, group: group.to_owned(), series: Vec::new() });
        panels.len() - 1
    });
    let all = &mut panels[panel].series;
    let series = all.iter().position(|series| series.name == name).unwrap_or_else(|| {
        all.push(Series { name: name.to_owned(), points: Vec::new(), broken_steps: Vec::new() });
        all.len() - 1
    });
    &mut all[series]
}

/// The beginning of a name by which it is put beside others.
fn group_of(name: &str) -> &str {
    let end = name.find('/').or_else(|| name.find('_')).filter(|end| *end > 0);
    &name[..end.unwrap_or(name.len())]
}

/// Where there are more points than columns from the first to the last: one for each column that has any.
pub(super) fn thinned(points: &[Point], column_of: impl Fn(f64) -> usize) -> Vec<Point> {
    let column = |point: Option<&Point>| point.map_or(0, |point| column_of(point.step));
    if points.len() <= column(points.last()).saturating_sub(column(points.first())) + 1 {
        return points.to_vec();
    }
    let same_column = |left: &Point, right: &Point| column_of(left.step) == column_of(right.step);
    points.chunk_by(same_column).map(merged).collect()
}

fn merged(points: &[Point]) -> Point {
    let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    Point {
        step: mean(|point| point.step),
        value: mean(|point| point.value),
        low: points.iter().map(|point| point.low).fold(f64::INFINITY, f64::min),
        high: points.iter().map(|point| point.high).fold(f64::NEG_INFINITY, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        let record =
            |(step, value): (usize, &f64)| Record::new(step as u64, RecordKind::Train).with("loss_a", *value);
        let records: Vec<_> = values.iter().enumerate().map(record).collect();
        panels(&records)[0].series[0].clone()
    }

    #[test]
    fn names_that_begin_alike_share_a_panel() {
        let records = [
            Record::new(1, RecordKind::Validation).with("psnr/set_5", 1.0).with("psnr/set_14", 2.0),
            Record::new(1, RecordKind::Train).with("loss_a", 1.0).with("rate", 2.0).with("loss_b", 3.0),
            Record::new(2, RecordKind::Train).with("loss_a", 1.0).with("_odd", 2.0),
        ];
        let found: Vec<_> = panels(&records)
            .iter()
            .map(|panel| {
                (panel.group.clone(), panel.series.iter().map(|one| one.points.len()).collect::<Vec<_>>())
            })
            .collect();
        let expected = [("loss", vec![2, 1]), ("rate", vec![1]), ("_odd", vec![1]), ("psnr", vec![1, 1])];
        assert_eq!(found, expected.map(|(group, counts)| (group.to_owned(), counts)));
    }

    #[test]
    fn lines_are_parted_at_values_that_are_not_finite() {
        let series = series(&[1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 1e200, 4.0, 5.0]);
        let stretches: Vec<Vec<f64>> =
            series.stretches().map(|stretch| stretch.iter().map(|point| point.value).collect()).collect();
        assert_eq!(stretches, [vec![1.0, 2.0], vec![3.0], vec![4.0, 5.0]]);
        assert_eq!(series.broken_steps, [2.0, 4.0, 5.0]);
    }

    #[test]
    fn many_points_become_one_for_each_column() {
        let series = series(&[1.0, 5.0, 3.0, 2.0, 4.0]);
        let thin = thinned(&series.points, |step| step as usize / 2);
        assert_eq!(thin[0], Point { step: 0.5, value: 3.0, low: 1.0, high: 5.0 });
        assert_eq!(thin.len(), 3);
        assert_eq!(thinned(&series.points, |step| step as usize), series.points);
    }
}
