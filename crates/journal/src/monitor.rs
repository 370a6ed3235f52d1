//! Reads along with a run and warns of what usually ends badly. No files, no clock: the same records give the same warnings.
//!
//! What lives here: what is worth a warning. What does not: saying it, and deciding what to do.
//! Theory: Goodfellow et al., "Generative Adversarial Nets", 2014, section 4: a discriminator that cannot tell true pictures
//! from made ones has a loss of ln 2 in binary cross-entropy; one that always can has a loss of 0 and teaches nothing.

use std::collections::{HashMap, VecDeque};
use std::f64::consts::LN_2;
use std::fmt;

use crate::record::Record;

/// When to warn. The defaults are set by what the losses mean, not yet by runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// The scalar that is the discriminator's loss: by default binary cross-entropy, averaged over true and made pictures.
    pub discriminator_name: String,
    /// Over how many steps the discriminator's loss is averaged.
    pub discriminator_window_steps: u64,
    /// It wins where its mean loss is below. 0.05 is the loss of one that gives 95 % to the truth.
    pub discriminator_wins_below: f64,
    /// It loses where its mean loss is above. ln 2 = 0.693 is the loss of a coin; 0.69 is no better to speak of.
    pub discriminator_loses_above: f64,
    /// Scalars that are mean differences of colour between SR and the bicubically enlarged LR, in 0..1; signed or not.
    pub color_names: Vec<String>,
    /// Over how many steps differences of colour are averaged.
    pub color_window_steps: u64,
    /// Colours drift where the mean is further from 0. 0.008 is two steps of eight bits.
    pub color_drift_above: f64,
    /// An episode, which is warned of once, ends when its condition has not been seen for more steps than these.
    pub calm_steps: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            discriminator_name: "loss_d".to_owned(),
            discriminator_window_steps: 1000,
            discriminator_wins_below: 0.05,
            discriminator_loses_above: 0.69,
            color_names: vec!["color_difference".to_owned()],
            color_window_steps: 1000,
            color_drift_above: 0.008,
            calm_steps: 1000,
        }
    }
}

impl Thresholds {
    /// The defaults, for a discriminator whose loss is `coin` where it cannot tell made from true pictures; it is ln 2 in the defaults.
    #[must_use]
    pub fn for_coin(coin: f64) -> Self {
        let defaults = Self::default();
        let factor = coin / LN_2;
        Self {
            discriminator_wins_below: factor * defaults.discriminator_wins_below,
            discriminator_loses_above: factor * defaults.discriminator_loses_above,
            ..defaults
        }
    }
}

/// What is likely to end badly.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A scalar is NaN or infinite.
    NotFinite {
        /// The step.
        step: u64,
        /// The scalar.
        name: String,
        /// NaN, or an infinity.
        value: f64,
    },
    /// The discriminator tells everything apart: the generator learns nothing from it.
    DiscriminatorWins {
        /// The step.
        step: u64,
        /// The mean loss.
        mean: f64,
        /// The mean that it is below.
        threshold: f64,
        /// Over how many steps.
        window_steps: u64,
    },
    /// The discriminator is no better than a coin.
    DiscriminatorLoses {
        /// The step.
        step: u64,
        /// The mean loss.
        mean: f64,
        /// The mean that it is above.
        threshold: f64,
        /// Over how many steps.
        window_steps: u64,
    },
    /// SR has other colours than LR.
    ColorDrift {
        /// The step.
        step: u64,
        /// The scalar.
        name: String,
        /// The mean difference.
        mean: f64,
        /// The distance from 0 that it has passed.
        threshold: f64,
        /// Over how many steps.
        window_steps: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { step, name, value } => write!(formatter, "step {step}: `{name}` is {value}"),
            Self::DiscriminatorWins { step, mean, threshold, window_steps } => write!(
                formatter,
                "step {step}: the discriminator wins: its loss is {mean:.4} over {window_steps} steps, below {threshold}"
            ),
            Self::DiscriminatorLoses { step, mean, threshold, window_steps } => write!(
                formatter,
                "step {step}: the discriminator loses: its loss is {mean:.4} over {window_steps} steps, above {threshold}"
            ),
            Self::ColorDrift { step, name, mean, threshold, window_steps } => write!(
                formatter,
                "step {step}: colours drift: `{name}` is {mean:.4} over {window_steps} steps, further from 0 than {threshold}"
            ),
        }
    }
}

/// Reads records in their order.
#[derive(Clone, Debug)]
pub struct Monitor {
    thresholds: Thresholds,
    watches: Vec<Watch>,
    not_finite: HashMap<String, Episode>,
}

impl Monitor {
    /// A monitor that has read nothing.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        let discriminator = |condition| {
            Watch::new(&thresholds.discriminator_name, thresholds.discriminator_window_steps, condition)
        };
        let mut watches = vec![discriminator(Condition::Wins), discriminator(Condition::Loses)];
        let color = |name: &String| Watch::new(name, thresholds.color_window_steps, Condition::Drifts);
        watches.extend(thresholds.color_names.iter().map(color));
        Self { thresholds, watches, not_finite: HashMap::new() }
    }

    /// The monitor as it was after these records; what it warned of then is not said again.
    ///
    /// It is fed with the records of the journal, and with nothing else, so that what [`crate::read_records`] gives brings
    /// it back.
    #[must_use]
    pub fn resume(thresholds: Thresholds, records: &[Record]) -> Self {
        let mut monitor = Self::new(thresholds);
        for record in records {
            monitor.observe(record);
        }
        monitor
    }

    /// Reads the next record, of either kind, and says what is new.
    pub fn observe(&mut self, record: &Record) -> Vec<Warning> {
        let (step, calm_steps) = (record.step, self.thresholds.calm_steps);
        let mut warnings = Vec::new();
        for (name, value) in record.scalars.iter().filter(|(_, value)| !value.is_finite()) {
            let episode = self.not_finite.entry(name.clone()).or_default();
            if episode.begins(step, calm_steps) {
                warnings.push(Warning::NotFinite { step, name: name.clone(), value: *value });
            }
        }
        for watch in &mut self.watches {
            // What is not finite has its own warning, and would end all means.
            let Some(value) = record.get(&watch.name).filter(|value| value.is_finite()) else { continue };
            let Some(mean) = watch.window.push(step, value) else { continue };
            if let Some(warning) = watch.judge(step, mean, &self.thresholds)
                && watch.episode.begins(step, calm_steps)
            {
                warnings.push(warning);
            }
        }
        warnings
    }
}

/// What is asked of a mean.
#[derive(Clone, Copy, Debug)]
enum Condition {
    Wins,
    Loses,
    Drifts,
}

/// A scalar whose moving mean is watched.
#[derive(Clone, Debug)]
struct Watch {
    name: String,
    condition: Condition,
    window: Window,
    episode: Episode,
}

impl Watch {
    fn new(name: &str, window_steps: u64, condition: Condition) -> Self {
        let window = Window { steps: window_steps.max(1), first_step: 0, values: VecDeque::new() };
        Self { name: name.to_owned(), condition, window, episode: Episode::default() }
    }

    /// The warning where the condition holds, new or not.
    fn judge(&self, step: u64, mean: f64, thresholds: &Thresholds) -> Option<Warning> {
        let window_steps = self.window.steps;
        match self.condition {
            Condition::Wins => {
                let threshold = thresholds.discriminator_wins_below;
                let warning = Warning::DiscriminatorWins { step, mean, threshold, window_steps };
                (mean < threshold).then_some(warning)
            }
            Condition::Loses => {
                let threshold = thresholds.discriminator_loses_above;
                let warning = Warning::DiscriminatorLoses { step, mean, threshold, window_steps };
                (mean > threshold).then_some(warning)
            }
            Condition::Drifts => {
                let (threshold, name) = (thresholds.color_drift_above, self.name.clone());
                let warning = Warning::ColorDrift { step, name, mean, threshold, window_steps };
                (mean.abs() > threshold).then_some(warning)
            }
        }
    }
}

/// The values of the last so many steps.
#[derive(Clone, Debug)]
struct Window {
    steps: u64,
    /// The step since which there are values without a gap as long as the window.
    first_step: u64,
    values: VecDeque<(u64, f64)>,
}

impl Window {
    /// The mean, once the window is full. It is summed anew each time, so that it depends on the window alone.
    fn push(&mut self, step: u64, value: f64) -> Option<f64> {
        while self.values.front().is_some_and(|(oldest, _)| step.saturating_sub(*oldest) >= self.steps) {
            self.values.pop_front();
        }
        if self.values.is_empty() {
            self.first_step = step;
        }
        self.values.push_back((step, value));
        let is_full = step.saturating_sub(self.first_step) + 1 >= self.steps;
        let sum: f64 = self.values.iter().map(|(_, value)| value).sum();
        is_full.then(|| sum / self.values.len() as f64)
    }
}

/// A stretch of steps over which a condition holds, interruptions included that are shorter than the calm.
#[derive(Clone, Debug, Default)]
struct Episode {
    last_step: Option<u64>,
}

impl Episode {
    /// Takes down that the condition holds at a step, and says whether this is news.
    fn begins(&mut self, step: u64, calm_steps: u64) -> bool {
        let last = self.last_step.replace(step);
        last.is_none_or(|last| step.saturating_sub(last) > calm_steps)
    }
}

#[cfg(test)]
mod tests;
