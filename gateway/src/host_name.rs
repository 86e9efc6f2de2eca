//! What this machine is called.

/// The machine's name, if it has one.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
    let name = name.ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}
