//! Running the command, and folders that go away again.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// How a run ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The JSON objects on stdout, a line each.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs `esrgan` with arguments, on two threads and away from the caller's environment.
pub fn esrgan<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    let output = command(arguments).output().unwrap();
    ended(&output).expect("ended by itself")
}

/// The command that [`esrgan`] runs.
pub fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = program();
    command.args(arguments).env_remove("ESRGAN_MODEL").env_remove("ESRGAN_MODELS").env("ESRGAN_THREADS", "2");
    command
}

/// The program, started by what `ESRGAN_TEST_RUNNER` says, if anything: the driver of a test device may need another C library
/// than the system's.
fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_esrgan");
    let runner = std::env::var("ESRGAN_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

/// How a process ended; none where a signal ended it.
pub fn ended(output: &Output) -> Option<Ended> {
    Some(Ended {
        code: output.status.code()?,
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A folder of one test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("esrgan-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to the system's cleaning.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The text of a path, for arguments.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs a Python script of this folder with the Python that `ESRGAN_TEST_PYTHON` names; `None` where it names none.
pub fn python(script: &str, arguments: &[String]) -> Option<String> {
    let Some(python) = std::env::var_os("ESRGAN_TEST_PYTHON") else {
        println!("SKIPPED: ESRGAN_TEST_PYTHON names no Python for {script}");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
    let output = Command::new(python).arg(&script).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", script.display());
    Some(String::from_utf8(output.stdout).unwrap())
}
