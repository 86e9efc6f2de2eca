//! What the kernel holds for connections, at both ends.

use crate::run::Run;

/// Counters of the whole run that say how many KiB of slabs the kernel used when so many connections were there; the last one
/// adds what is in socket buffers.
pub(super) const SLAB: [&str; super::STEPS.len()] =
    ["kernel_kib_fifteenth", "kernel_kib_third", "kernel_kib_all"];
/// Pages of socket buffers at the end.
pub(super) const BUFFERS: &str = "kernel_buffer_kib";

/// Keeps account, on the machine of the first worker, if the server is there as well.
pub(super) struct Account<'a> {
    run: Option<&'a Run>,
}

impl<'a> Account<'a> {
    pub(super) fn open(run: &'a Run) -> Self {
        let here = run.share().index == 0 && run.target().is_loopback();
        Self {
            run: here.then_some(run),
        }
    }

    /// Notes what the kernel uses at a step.
    pub(super) fn note(&self, step: usize) {
        let Some(run) = self.run else {
            return;
        };
        if let Some(kib) = read("/proc/meminfo", slab_kib) {
            run.total(SLAB[step], kib);
        }
        if step + 1 == SLAB.len()
            && let Some(pages) = read("/proc/net/sockstat", buffer_pages)
        {
            run.total(BUFFERS, pages * 4);
        }
    }
}

/// `None` where there is no such file: the figure is left out.
fn read(file: &str, find: impl FnOnce(&str) -> Option<u64>) -> Option<u64> {
    find(&std::fs::read_to_string(file).ok()?)
}

/// KiB of the kernel's small objects: sockets, files, what waits on them.
fn slab_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("Slab:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Pages of TCP's buffers.
fn buffer_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(slab_kib("MemFree: 3 kB\nSlab:   12345 kB\n"), Some(12345));
        let sockstat = "sockets: used 9\nTCP: inuse 8 orphan 0 tw 7 alloc 9 mem 69\nUDP: inuse 0 mem 3\n";
        assert_eq!(buffer_pages(sockstat), Some(69));
        assert_eq!(slab_kib(""), None);
        assert_eq!(buffer_pages("TCP: inuse 8"), None);
    }
}
