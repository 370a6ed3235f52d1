//! A small training run in a process of its own, which can be killed.
//!
//! The process is this test binary again, told by a variable to do the run instead of nothing.

use std::path::Path;
use std::process::{Command, Output};

use esrgan_checkpoint::{Best, CheckpointError, Checkpoints};

use crate::samples::{checkpoint, large_checkpoint};

/// Where the run has its checkpoints.
const FOLDER: &str = "ESRGAN_CHECKPOINT_TEST_FOLDER";
/// The size of an extra file of the last checkpoint.
const LARGE_BYTES: &str = "ESRGAN_CHECKPOINT_TEST_LARGE_BYTES";
/// The exit code of a run that stopped with an error.
pub(crate) const STOPPED: i32 = 3;
/// The last step of a run.
pub(crate) const LAST_STEP: u64 = 4;

/// What the process of a run does; in the test run proper there is nothing for it to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let large_bytes = std::env::var(LARGE_BYTES).ok().map(|bytes| bytes.parse().unwrap());
    if let Err(error) = train(Path::new(&folder), large_bytes) {
        eprintln!("stopped: {error}");
        std::process::exit(STOPPED);
    }
}

fn train(folder: &Path, large_bytes: Option<usize>) -> Result<(), CheckpointError> {
    let checkpoints = Checkpoints::open(folder)?;
    let mut step = checkpoints.newest_valid()?.map_or(0, |found| found.step);
    // What a killed run may not have come to.
    finish(&checkpoints, step)?;
    while step < LAST_STEP {
        step += 1;
        match large_bytes.filter(|_| step == LAST_STEP) {
            Some(bytes) => checkpoints.save(&large_checkpoint(step, bytes))?,
            None => checkpoints.save(&checkpoint(step))?,
        };
        finish(&checkpoints, step)?;
    }
    Ok(())
}

fn finish(checkpoints: &Checkpoints, step: u64) -> Result<(), CheckpointError> {
    if step == 2 {
        checkpoints.set_best(&Best { metric: "psnr_y_db".to_owned(), value: 27.1, step })?;
    }
    checkpoints.prune(1, &[]).map(drop)
}

/// A folder with the checkpoint of step 0.
pub(crate) fn started() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Checkpoints::open(folder.path()).unwrap().save(&checkpoint(0)).unwrap();
    folder
}

/// The command of a run's process; behind a shell's script that ends in `exec "$@"`, if there is one.
pub(crate) fn command(folder: &Path, script: Option<&str>) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match script {
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(program);
            shell
        }
        None => Command::new(program),
    };
    command.args(["--exact", "run::child", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    for name in ["ESRGAN_FAIL_SAVE", "ESRGAN_FAIL_SAVE_ERROR", LARGE_BYTES] {
        command.env_remove(name);
    }
    command
}

/// Runs to the end, or to the failure that `variable` asks for.
pub(crate) fn run(folder: &Path, variable: Option<(&str, &str)>) -> Output {
    command(folder, None).envs(variable).output().unwrap()
}

/// A command whose last checkpoint has another file of this size.
pub(crate) fn large_command(folder: &Path, script: &str, large_bytes: usize) -> Command {
    let mut command = command(folder, Some(script));
    command.env(LARGE_BYTES, large_bytes.to_string());
    command
}
