//! Something small that is measured: what it is called, and how it is got ready.

/// An operation that can be carried out over and over, and ends where it began.
pub(crate) struct Operation {
    /// `part/what/of which kind`.
    pub(crate) name: String,
    /// What one run does how often; figures are for one of them.
    pub(crate) elements: u32,
    prepare: Box<dyn Fn() -> Run + Sync>,
}

/// One run of an operation.
pub(crate) type Run = Box<dyn FnMut()>;

impl Operation {
    /// An operation of which `prepare` makes a run.
    pub(crate) fn new<R: FnMut() + 'static>(
        name: impl Into<String>,
        prepare: impl Fn() -> R + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            elements: 1,
            prepare: Box::new(move || Box::new(prepare())),
        }
    }

    /// The same, of which one run does `elements` things.
    pub(crate) fn of(self, elements: u32) -> Self {
        Self { elements, ..self }
    }

    /// Whether one run takes milliseconds.
    pub(crate) fn is_large(&self) -> bool {
        self.elements >= 1000 || self.name.starts_with("placement/one_shard_joins")
    }

    /// Gets it ready.
    pub(crate) fn prepare(&self) -> Run {
        (self.prepare)()
    }
}
