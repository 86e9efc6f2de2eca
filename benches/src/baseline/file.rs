//! `baseline.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// What the file says of itself to whoever opens it.
const ABOUT: &str = "Figures that `make bench` compares with. Written by `make bench-baseline`; not by hand. \
    `instructions` and `allocations` are counts of one operation, `ratio` is processor time in multiples of a reference loop. \
    All of them are better when lower. A figure may stray from its value by its tolerance.";

/// The figures of one machine on one day.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    about: String,
    /// Where they were measured.
    pub machine: Machine,
    /// By name.
    pub figures: BTreeMap<String, Kept>,
}

/// A figure and how far it strays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The figure; lower is better.
    pub value: f64,
    /// How far others may be from it, as a part of it.
    pub tolerance: f64,
}

/// What figures depend on beside the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many processors there are.
    pub processors: usize,
    /// The compiler.
    pub compiler: String,
    /// The day, in UTC.
    pub date: String,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file cannot be read or written.
    #[error("{path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a baseline.
    #[error("{path} is not a baseline")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Baseline {
    /// These figures, measured here and now.
    #[must_use]
    pub fn new(figures: BTreeMap<String, Kept>) -> Self {
        Self {
            about: ABOUT.into(),
            machine: Machine::here(),
            figures,
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let io = |source| BaselineError::Io {
            path: path.to_owned(),
            source,
        };
        let text = fs::read(path).map_err(io)?;
        serde_json::from_slice(&text).map_err(|source| BaselineError::Malformed {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes a file, a line for each figure, so that its history can be read.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        fs::write(path, self.to_text()).map_err(|source| BaselineError::Io {
            path: path.to_owned(),
            source,
        })
    }

    fn to_text(&self) -> String {
        let line = |(name, kept): (&String, &Kept)| format!("    {}: {}", json(name), json(kept));
        let figures: Vec<_> = self.figures.iter().map(line).collect();
        format!(
            "{{\n  \"about\": {},\n  \"machine\": {},\n  \"figures\": {{\n{}\n  }}\n}}\n",
            json(&self.about),
            json(&self.machine),
            figures.join(",\n"),
        )
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

impl Machine {
    /// This one, today.
    #[must_use]
    pub fn here() -> Self {
        Self {
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            compiler: said_by("rustc", &["--version"]),
            date: said_by("date", &["-u", "+%F"]),
        }
    }

    /// Whether counts of one say something about the other.
    #[must_use]
    pub fn compiles_like(&self, other: &Self) -> bool {
        self.compiler == other.compiler
    }

    /// Whether times of one say something about the other.
    #[must_use]
    pub fn runs_like(&self, other: &Self) -> bool {
        self.processor == other.processor && self.compiles_like(other)
    }
}

/// The processor's name in the text of `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> String {
    let name = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    };
    cpuinfo.lines().find_map(name).unwrap_or_else(|| "unknown".into())
}

/// What a program prints; `unknown` where there is no such program.
fn said_by(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let kept = |value, tolerance| Kept { value, tolerance };
        Baseline::new(BTreeMap::from([
            ("b".into(), kept(1.5, 0.2)),
            ("a".into(), kept(1234.0, 0.02)),
        ]))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        baseline().write(&path).unwrap();
        let read = Baseline::read(&path).unwrap();
        assert_eq!(read.figures, baseline().figures);
        assert_eq!(read.machine, baseline().machine);
    }

    #[test]
    fn each_figure_has_a_line_in_the_order_of_their_names() {
        let text = baseline().to_text();
        let figures: Vec<_> = text
            .lines()
            .filter(|line| line.contains("tolerance\":"))
            .collect();
        assert_eq!(
            figures,
            [
                r#"    "a": {"value":1234.0,"tolerance":0.02},"#,
                r#"    "b": {"value":1.5,"tolerance":0.2}"#,
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_baseline_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.json");
        fs::write(&path, "{}").unwrap();
        let error = Baseline::read(&path).unwrap_err();
        assert!(
            error.to_string().ends_with("other.json is not a baseline"),
            "{error}"
        );
        assert!(Baseline::read(&folder.path().join("missing.json")).is_err());
    }

    #[test]
    fn a_processor_is_known_by_its_name() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A Processor @ 2 GHz\nmodel name\t: another\n";
        assert_eq!(processor(cpuinfo), "A Processor @ 2 GHz");
        assert_eq!(processor(""), "unknown");
    }
}
