//! The head of an HTTP request, as far as it matters here.

/// What a request's first lines say.
pub(super) struct Head {
    /// The method and the path, as they stand there.
    pub(super) request: String,
    fields: Vec<(String, String)>,
    /// How long the head is.
    pub(super) length: usize,
}

impl Head {
    /// The head at the beginning of `bytes`, once all of it is there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let end = bytes.windows(END.len()).position(|window| window == END)?;
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.split("\r\n");
        let request = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self {
            request,
            fields: lines.filter_map(field).collect(),
            length: end + END.len(),
        })
    }

    /// The value of the field of this name, in small letters.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}
