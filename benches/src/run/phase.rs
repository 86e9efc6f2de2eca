//! The parts of a run.

/// A part of a run. All workers enter it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Clients connect and subscribe.
    Setup,
    /// Load, as it will be, to which nobody listens.
    WarmUp,
    /// What counts.
    Measure,
    /// No new load; stragglers arrive.
    Settle,
    /// Clients leave.
    Done,
}

impl Phase {
    /// Its name, in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::WarmUp => "warm_up",
            Self::Measure => "measure",
            Self::Settle => "settle",
            Self::Done => "done",
        }
    }
}
