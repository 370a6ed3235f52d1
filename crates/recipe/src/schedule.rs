//! Learning rates over the steps of a run.

use std::f64::consts::PI;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// How learning rates change over a run. In a file, `kind` says which, and `warm_up_steps` may be left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// Steps over which the rate grows evenly up to its first value. Papers: 0.
        #[serde(default)]
        warm_up_steps: u64,
    },
    /// Multiplied at some steps: PyTorch's `MultiStepLR`.
    MultiStep {
        /// The steps, ascending. ESRGAN: 50000, 100000, 200000, 300000.
        milestones: Vec<u64>,
        /// The factor. ESRGAN, Real-ESRGAN: 0.5.
        gamma: f64,
        /// Steps over which the rate grows evenly up to its first value. Papers: 0.
        #[serde(default)]
        warm_up_steps: u64,
    },
    /// Down half a cosine, and up again at once: BasicSR's `CosineAnnealingRestartLR`.
    CosineRestart {
        /// Steps of each way down. BasicSR: four times 250000.
        periods: Vec<u64>,
        /// Height of each way's beginning, as a factor of the base rate. BasicSR: all 1.
        restart_weights: Vec<f64>,
        /// The rate at the end of each way. BasicSR: 1e-7.
        minimum: f64,
        /// Steps over which the rate grows evenly up to its first value. Papers: 0.
        #[serde(default)]
        warm_up_steps: u64,
    },
}

impl Schedule {
    /// What `kind` says in a file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Constant { .. } => "constant",
            Self::MultiStep { .. } => "multi-step",
            Self::CosineRestart { .. } => "cosine-restart",
        }
    }

    /// Steps over which the rate grows evenly.
    pub fn warm_up_steps(&self) -> u64 {
        match self {
            Self::Constant { warm_up_steps }
            | Self::MultiStep { warm_up_steps, .. }
            | Self::CosineRestart { warm_up_steps, .. } => *warm_up_steps,
        }
    }

    /// The rate of a step.
    ///
    /// ```text
    /// warming up:      base * (step + 1) / warm_up_steps    while step + 1 < warm_up_steps
    /// multi-step:      base * gamma^(milestones that are no later than step)
    /// cosine-restart:  minimum + weight * (base - minimum) * (1 + cos(pi * steps of the period / period)) / 2
    /// ```
    ///
    /// # Values
    /// `base`: the optimiser's `learning_rate`; `step`: steps taken before this one, so the first is 0. A period's last step is
    /// the one at which the cosine reaches the minimum; behind the last period the rate stays at `minimum`.
    ///
    /// # Source
    /// Behaviour of BasicSR's `lr_scheduler.py` and of its linear warm-up, whose iterations count from 1. Differs: BasicSR has no
    /// rate behind the last period.
    pub fn learning_rate(&self, base: f64, step: u64) -> f64 {
        let warm_up_steps = self.warm_up_steps();
        if step.saturating_add(1) < warm_up_steps {
            return base / warm_up_steps as f64 * (step + 1) as f64;
        }
        match self {
            Self::Constant { .. } => base,
            Self::MultiStep { milestones, gamma, .. } => {
                let passed = milestones.iter().filter(|milestone| **milestone <= step).count();
                base * gamma.powf(passed as f64)
            }
            Self::CosineRestart { periods, restart_weights, minimum, .. } => {
                let mut start = 0u64;
                for (period, weight) in periods.iter().zip(restart_weights) {
                    if step <= start.saturating_add(*period) {
                        let way = (step - start) as f64 / *period as f64;
                        return minimum + weight * 0.5 * (base - minimum) * (1.0 + (PI * way).cos());
                    }
                    start = start.saturating_add(*period);
                }
                *minimum
            }
        }
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_map(None)?;
        table.serialize_entry("kind", self.kind())?;
        match self {
            Self::Constant { .. } => {}
            Self::MultiStep { milestones, gamma, .. } => {
                table.serialize_entry("milestones", milestones)?;
                table.serialize_entry("gamma", gamma)?;
            }
            Self::CosineRestart { periods, restart_weights, minimum, .. } => {
                table.serialize_entry("periods", periods)?;
                table.serialize_entry("restart_weights", restart_weights)?;
                table.serialize_entry("minimum", minimum)?;
            }
        }
        table.serialize_entry("warm_up_steps", &self.warm_up_steps())?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    fn assert_rates(schedule: &Schedule, base: f64, cases: &[(u64, f64)]) {
        let wrong: Vec<_> = cases
            .iter()
            .map(|(step, expected)| (step, *expected, schedule.learning_rate(base, *step)))
            .filter(|(_, expected, found)| (expected - found).abs() > 4.0 * f64::EPSILON * expected.abs())
            .collect();
        assert!(wrong.is_empty(), "step, expected, found: {wrong:?}");
    }

    #[test]
    fn constant_after_a_warm_up() {
        let schedule = Schedule::Constant { warm_up_steps: 4 };
        assert_rates(&schedule, 8.0, &[(0, 2.0), (1, 4.0), (2, 6.0), (3, 8.0), (4, 8.0), (u64::MAX, 8.0)]);
        assert_rates(&Schedule::Constant { warm_up_steps: 0 }, 8.0, &[(0, 8.0)]);
    }

    #[test]
    fn multi_step_halves_at_its_milestones() {
        let schedule = Schedule::MultiStep { milestones: vec![10, 20, 40], gamma: 0.5, warm_up_steps: 0 };
        let cases = [(0, 8.0), (9, 8.0), (10, 4.0), (19, 4.0), (20, 2.0), (39, 2.0), (40, 1.0), (99, 1.0)];
        assert_rates(&schedule, 8.0, &cases);
    }

    #[test]
    fn milestones_pass_while_it_warms_up() {
        let schedule = Schedule::MultiStep { milestones: vec![2], gamma: 0.5, warm_up_steps: 4 };
        assert_rates(&schedule, 8.0, &[(1, 4.0), (2, 6.0), (3, 4.0)]);
    }

    #[test]
    fn cosine_falls_and_restarts() {
        let schedule = Schedule::CosineRestart {
            periods: vec![6, 4],
            restart_weights: vec![1.0, 0.5],
            minimum: 1.0,
            warm_up_steps: 0,
        };
        // cos(pi / 3) = 1/2, cos(pi / 4) = sqrt(1/2): 1 + 0.5 * 8 * (1 + cos), then 1 + 0.25 * 8 * (1 + cos).
        let cases = [
            (0, 9.0),
            (2, 7.0),
            (3, 5.0),
            (4, 3.0),
            (6, 1.0),
            (7, 3.0 + 2.0 * 0.5f64.sqrt()),
            (8, 3.0),
            (10, 1.0),
            (11, 1.0),
        ];
        assert_rates(&schedule, 9.0, &cases);
    }
}
