//! Tells the binary which compiler has built it.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = said.ok().filter(|version| !version.is_empty());
    println!(
        "cargo:rustc-env=BUILT_WITH_RUSTC={}",
        version.as_deref().unwrap_or("an unknown rustc")
    );
}
