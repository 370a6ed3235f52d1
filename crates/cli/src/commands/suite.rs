//! `esrgan bench --suite`: a table of models, sizes, precisions and numbers of threads, each row in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use esrgan_upscale::{
    Activation, DeviceChoice, EncodeOptions, Engine, Family, Metadata, Model, ModelSpec, PictureFormat,
    Precision, Raster, Samples, SaveOptions, SpecParts, Tensor, WeightMap, encode, save,
};
use serde_json::{Value, json};

use super::isa_from_environment;
use crate::Outcome;
use crate::flags::{BenchFlags, PrecisionFlag};
use crate::talk;

/// Sides of the square pictures.
const SIZES: [usize; 3] = [64, 128, 256];

/// Runs the command.
pub(crate) fn run(flags: &BenchFlags) -> anyhow::Result<Outcome> {
    if !matches!(flags.device, DeviceChoice::Auto | DeviceChoice::Cpu) {
        anyhow::bail!("a suite measures the processor; `bench --device` times one model on a GPU");
    }
    // Asked first: where the instruction set is not to be had, nothing starts.
    let isa = Engine::new(Some(1), isa_from_environment()?)?.isa();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let folder = Scratch::new()?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = rows(flags, &folder.path, processors)?;
    let (reports, ceilings) = measure_all(&rows, &stop)?;
    if flags.json {
        let machine = json!({
            "processor": processor(),
            "processors": processors,
            "isa": isa.name(),
            "ceilings": ceilings.json(),
        });
        talk::data(json!({ "machine": machine, "rows": reports }))?;
    } else {
        talk::data(table(&reports, processors))?;
    }
    if stop.load(Ordering::Relaxed) {
        eprintln!("stopped: {} of {} rows were measured", reports.len(), rows.len());
        return Ok(Outcome::Interrupted);
    }
    let has_failed = reports.iter().any(|report| report.get("error").is_some());
    Ok(if has_failed { Outcome::SomeFailed } else { Outcome::Done })
}

/// Measures row by row, until all are done or the user asks to stop.
fn measure_all(rows: &[Row], stop: &AtomicBool) -> anyhow::Result<(Vec<Value>, Ceilings)> {
    let mut ceilings = Ceilings::default();
    let mut reports = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        talk::step(index + 1, rows.len(), &row.title());
        let measured = row.measure();
        // Ctrl-C ends a row's process as well, which is no failure of the row.
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut report = measured.unwrap_or_else(|error| {
            talk::error(&error);
            json!({ "error": talk::chain(&error) })
        });
        row.describe(&mut report);
        ceilings.compare(&mut report, row.threads)?;
        reports.push(report);
    }
    Ok((reports, ceilings))
}

/// What is to be measured, in the order of the table.
fn rows(flags: &BenchFlags, folder: &Path, processors: usize) -> anyhow::Result<Vec<Row>> {
    let models = if flags.model.is_empty() { made_models(folder)? } else { flags.model.clone() };
    let mut threads = flags.threads.map_or_else(|| vec![1, processors], |threads| vec![threads]);
    threads.dedup();
    let precisions = match flags.precision {
        PrecisionFlag::Auto => vec![PrecisionFlag::F32, PrecisionFlag::Bf16],
        one => vec![one],
    };
    let sizes = if flags.sizes.is_empty() { SIZES.to_vec() } else { flags.sizes.clone() };
    let mut rows = Vec::new();
    for model in &models {
        for &side in &sizes {
            let picture = folder.join(format!("{side}.png"));
            if !picture.exists() {
                write_picture(&picture, side)?;
            }
            for &precision in &precisions {
                rows.extend(threads.iter().map(|&threads| Row {
                    model: model.clone(),
                    picture: picture.clone(),
                    side,
                    precision,
                    threads,
                    repeat: flags.repeat,
                    scale: flags.scale,
                }));
            }
        }
    }
    Ok(rows)
}

/// One measurement.
struct Row {
    model: PathBuf,
    picture: PathBuf,
    side: usize,
    precision: PrecisionFlag,
    threads: usize,
    repeat: u32,
    /// The model's, where its file does not say it.
    scale: Option<usize>,
}

impl Row {
    fn title(&self) -> String {
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        format!("{name}, {0}x{0}, {1}, threads: {2}", self.side, self.precision_name(), self.threads)
    }

    fn precision_name(&self) -> &'static str {
        self.precision.wanted().unwrap_or_default().name()
    }

    /// Runs `bench` in a process of its own, so that the peak of its memory is this row's.
    fn measure(&self) -> anyhow::Result<Value> {
        let program = std::env::current_exe().context("this program's own file")?;
        let (model, picture) = (self.model.as_os_str(), self.picture.as_os_str());
        let mut command = Command::new(program);
        command
            .args(["bench", "--json", "--device", "cpu", "--precision", self.precision_name()])
            .args(["--threads", &self.threads.to_string(), "--repeat", &self.repeat.to_string()])
            .args(["--model".as_ref(), model, "--input".as_ref(), picture])
            .args(self.scale.map(|scale| format!("--scale={scale}")))
            .stdin(Stdio::null());
        let output = command.output().context("bench in a process of its own")?;
        if !output.status.success() {
            anyhow::bail!("{}: {}", self.title(), failure(&output));
        }
        serde_json::from_slice(&output.stdout).context("the report of bench")
    }

    /// Adds what was asked for.
    fn describe(&self, report: &mut Value) {
        report["model"] = self.model.file_stem().unwrap_or_default().to_string_lossy().into();
        report["lr_side"] = self.side.into();
        report["precision_asked"] = self.precision_name().into();
        report["threads"] = self.threads.into();
    }
}

/// Why a process failed: the error that it named behind any notes, or else how it ended.
fn failure(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    match said.split_once("error: ").map_or(&*said, |(_, error)| error).trim() {
        // A process that the system ends, for lack of memory perhaps, says nothing.
        "" => output.status.to_string(),
        error => error.to_owned(),
    }
}

/// Ceilings that have been measured: threads, precision, operations in a second.
#[derive(Default)]
struct Ceilings(Vec<(usize, Precision, f64)>);

impl Ceilings {
    fn json(&self) -> Vec<Value> {
        let ceiling = |(threads, precision, flop_per_second): &(usize, Precision, f64)| json!({ "threads": threads, "precision": precision.name(), "gflops": flop_per_second / 1e9 });
        self.0.iter().map(ceiling).collect()
    }

    /// Adds a row's share of the ceiling of its threads and precision.
    fn compare(&mut self, report: &mut Value, threads: usize) -> anyhow::Result<()> {
        let Some(gflops) = report["gflops"].as_f64() else { return Ok(()) };
        let is_bf16 = report["precision"] == Precision::Bf16.name();
        let precision = if is_bf16 { Precision::Bf16 } else { Precision::F32 };
        let known = self.0.iter().find(|(count, of, _)| (*count, *of) == (threads, precision));
        let ceiling = match known {
            Some((_, _, ceiling)) => *ceiling,
            None => {
                let engine = Engine::new(Some(threads), isa_from_environment()?)?;
                let ceiling = engine.ceiling_flop_per_second(precision);
                self.0.push((threads, precision, ceiling));
                ceiling
            }
        };
        report["ceiling_gflops"] = (ceiling / 1e9).into();
        report["share_of_ceiling"] = (gflops * 1e9 / ceiling).into();
        Ok(())
    }
}

/// The table, in GitHub's Markdown.
fn table(reports: &[Value], processors: usize) -> String {
    let mut lines = vec![
        ["model", "LR", "precision", "set", "threads", "seconds", "GFLOP/s", "of ceiling", "peak memory"]
            .map(str::to_owned),
    ];
    lines.extend(reports.iter().map(cells));
    let widths: [usize; 9] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    let line = |cells: &[String; 9]| {
        let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if is_number(column) { format!(" {cell:>width$} |") } else { format!(" {cell:width$} |") }
        });
        format!("|{}", padded.collect::<String>())
    };
    let rules = widths.iter().enumerate().map(|(column, width)| {
        let end = if is_number(column) { ':' } else { '-' };
        format!("{}{end}|", "-".repeat(width + 1))
    });
    let rule = format!("|{}", rules.collect::<String>());
    let mut text = format!(
        "{}, {processors} processors. GFLOP/s count the network as published, whatever shortcuts are taken, so that \
         more than the ceiling of multiplications in registers is possible.\n\n",
        processor().unwrap_or_else(|| "unknown processor".to_owned())
    );
    text.push_str(&line(&lines[0]));
    text.push('\n');
    text.push_str(&rule);
    for cells in &lines[1..] {
        text.push('\n');
        text.push_str(&line(cells));
    }
    text
}

/// Whether a column of the table is aligned to the right: all but the model, the precision and the instruction set.
fn is_number(column: usize) -> bool {
    ![0, 2, 3].contains(&column)
}

fn cells(report: &Value) -> [String; 9] {
    // A bar would end the cell.
    let word = |key: &str| report[key].as_str().unwrap_or("-").replace('|', "\\|");
    let number = |key: &str, format: &dyn Fn(f64) -> String| {
        report[key].as_f64().map_or_else(|| "-".to_owned(), format)
    };
    let precision = if report["precision"].is_null() || report["precision"] == report["precision_asked"] {
        word("precision_asked")
    } else {
        format!("{}: {}", word("precision_asked"), word("precision"))
    };
    [
        word("model"),
        number("lr_side", &|side| format!("{side}x{side}")),
        precision,
        if report.get("error").is_some() { "failed".to_owned() } else { word("isa") },
        number("threads", &|threads| threads.to_string()),
        number("seconds", &|seconds| format!("{seconds:.3}")),
        number("gflops", &|gflops| format!("{gflops:.0}")),
        number("share_of_ceiling", &|share| format!("{:.0} %", share * 100.0)),
        number("peak_rss_bytes", &|bytes| format!("{:.0} MB", bytes / 1e6)),
    ]
}

/// The processor's name, where the system says it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A folder that is gone when it is no longer needed.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = format!("esrgan-suite-{}", std::process::id());
        // A process of the same number may have been killed and its folder left: in containers numbers come again.
        for attempt in 0u32.. {
            let path = std::env::temp_dir().join(format!("{name}-{attempt}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
        anyhow::bail!("{name}: every number is taken")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is lost where it stays: it lies in the system's folder for what may go.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Networks of the published shapes, with weights that mean nothing: so a suite needs no file.
fn made_models(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let rrdb = |num_blocks| SpecParts {
        family: Family::Rrdb,
        scale: 4,
        in_channels: 3,
        out_channels: 3,
        num_features: 64,
        num_blocks,
        growth_channels: 32,
        unshuffle: 1,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    };
    let compact = SpecParts {
        family: Family::Compact,
        growth_channels: 0,
        upsampling: Vec::new(),
        activation: Activation::PRelu,
        ..rrdb(32)
    };
    let shapes =
        [("rrdb-64x23x32-x4", rrdb(23)), ("rrdb-64x6x32-x4", rrdb(6)), ("compact-64x32-x4", compact)];
    let made = shapes.into_iter().map(|(name, parts)| {
        let path = folder.join(format!("{name}.safetensors"));
        save(&made_model(parts)?, &path, &SaveOptions::default())?;
        Ok(path)
    });
    made.collect()
}

fn made_model(parts: SpecParts) -> anyhow::Result<Model> {
    let spec = ModelSpec::new(parts)?;
    let mut weights = WeightMap::new();
    let mut state = 1u64;
    for (name, shape) in spec.tensors() {
        let inputs: usize = shape[1..].iter().product();
        // A tenth of Kaiming's bound keeps what comes out near what goes in.
        let bound = 0.1 * (6.0 / inputs.max(1) as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| {
                // Knuth's MMIX generator, of which the upper bits are good enough for weights that mean nothing.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * bound
            })
            .collect();
        weights.insert(name, Tensor::from_f32(shape, &values)?);
    }
    Ok(Model::in_memory(spec, weights)?)
}

/// A picture of gradients and fine texture.
fn write_picture(path: &Path, side: usize) -> anyhow::Result<()> {
    let samples = (0..side * side * 3).map(|index| {
        let (x, y, channel) = (index / 3 % side, index / 3 / side, index % 3);
        let texture = (x * x + 3 * y * y + 7 * x * y + 31 * channel) % 64;
        ((x + y) * 191 / (2 * side) + texture) as u8
    });
    let raster = Raster { width: side, height: side, channels: 3, samples: Samples::U8(samples.collect()) };
    encode(&raster, &Metadata::default(), PictureFormat::Png, &EncodeOptions::default(), path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_failed_and_what_was_replaced() {
        let done = json!({
            "model": "a|ä", "lr_side": 8, "precision_asked": "bf16", "precision": "f32", "isa": "avx2", "threads": 2,
            "seconds": 0.5, "gflops": 100.4, "share_of_ceiling": 0.5, "peak_rss_bytes": 2_000_000,
        });
        let failed =
            json!({ "model": "b", "lr_side": 8, "precision_asked": "f32", "threads": 1, "error": "no" });
        let text = table(&[done, failed], 2);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[2].split_whitespace().collect::<Vec<_>>().join(" "),
            "| a\\|ä | 8x8 | bf16: f32 | avx2 | 2 | 0.500 | 100 | 50 % | 2 MB |"
        );
        assert_eq!(
            lines[3].split_whitespace().collect::<Vec<_>>().join(" "),
            "| b | 8x8 | f32 | failed | 1 | - | - | - | - |"
        );
        let length = |line: &str| line.chars().count();
        assert!(lines.iter().all(|line| length(line) == length(lines[0])), "{text}");
        assert!(lines[1].starts_with("|-------|----:|-") && lines[1].ends_with(":|"), "{text}");
    }
}
