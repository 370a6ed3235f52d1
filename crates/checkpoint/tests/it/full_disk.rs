//! Disks that are full in earnest.

#![cfg(unix)]

use esrgan_checkpoint::newest_valid;

use crate::run::{STOPPED, large_command, started};
use crate::samples::names;

/// Larger than what the disks below hold.
const LARGE_BYTES: usize = 1 << 20;

#[test]
fn a_file_that_may_not_grow_stops_the_run() {
    let folder = started();
    // 200 blocks, of 512 bytes or of 1024, depending on the shell. Without the trap the signal would end the process.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let output = large_command(folder.path(), script, LARGE_BYTES).output().unwrap();
    assert_eq!(output.status.code(), Some(STOPPED), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("cannot write `") && message.contains("/large.bin`: "), "{message}");
    assert_eq!(names(folder.path()), ["best.json", "lock", "step-0000000002", "step-0000000003"]);
    assert_eq!(newest_valid(folder.path()).unwrap().unwrap().step, 3);
}

#[test]
fn a_full_file_system_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    // The file system is the process's own and goes with it, so the shell says what is left.
    let script = "exec unshare --user --map-root-user --mount sh -c '
        mount -t tmpfs -o size=512k none \"$ESRGAN_CHECKPOINT_TEST_FOLDER\" || exit
        echo mounted; \"$@\"; code=$?; ls \"$ESRGAN_CHECKPOINT_TEST_FOLDER\"; exit $code' sh \"$@\"";
    let output = large_command(folder.path(), script, LARGE_BYTES).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("mounted") {
        eprintln!("SKIPPED a_full_file_system_stops_the_run: no file system can be mounted here");
        return;
    }
    assert_eq!(output.status.code(), Some(STOPPED), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("/large.bin`: No space left on device"), "{message}");
    assert!(said.ends_with("best.json\nlock\nstep-0000000002\nstep-0000000003\n"), "{said}");
}
