//! The binary as a process. That this package has such a test also makes cargo build the binary before the tests of the
//! workspace run, which start it.

use std::process::Command;

#[test]
fn the_binary_tells_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_campanile"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains(env!("CARGO_PKG_VERSION")));
}
