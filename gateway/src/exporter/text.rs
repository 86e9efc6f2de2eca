//! Prometheus' text format, as far as it is written here.

use std::fmt::Write as _;

/// Text in the making.
#[derive(Debug)]
pub struct Text(String);

/// One metric of it.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Text {
    /// What follows `before`.
    #[must_use]
    pub fn new(before: String) -> Self {
        Self(before)
    }

    /// Begins a metric whose value goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a metric whose value only grows.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// The whole text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { text: self, name }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes what is written to it");
    }
}

impl Family<'_> {
    /// Its only value.
    pub fn value(self, value: f64) {
        self.text.line(format_args!("{} {value}", self.name));
    }

    /// Its value where the labels are these, of which there is at least one.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        self.text
            .line(format_args!("{}{{{}}} {value}", self.name, labels.join(",")));
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_follow_what_was_there() {
        let mut text = Text::new("a 1\n".to_owned());
        text.counter("b", "What it is").value(0.5);
        let mut c = text.gauge("c", "What that is");
        c.sample(&[("shard", "one"), ("state", "lost")], 0.0);
        c.sample(&[("shard", "\"\\\n"), ("state", "lost")], 1e6);
        let lines = [
            "a 1",
            "# HELP b What it is",
            "# TYPE b counter",
            "b 0.5",
            "# HELP c What that is",
            "# TYPE c gauge",
            "c{shard=\"one\",state=\"lost\"} 0",
            "c{shard=\"\\\"\\\\\\n\",state=\"lost\"} 1000000",
            "",
        ];
        assert_eq!(text.into_string(), lines.join("\n"));
    }
}
