//! What a PromQL expression asks for: metrics, labels and what they are compared with. Not what it means.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};

/// What an expression asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Its metrics, in their order.
    pub selectors: Vec<Selector>,
    /// The labels by which it aggregates and matches.
    pub grouped: BTreeSet<String>,
}

/// A metric of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Its name, with the suffix of a histogram's part.
    pub metric: String,
    /// What its labels are compared with.
    pub matchers: Vec<Matcher>,
}

/// A label and what it is compared with, whether for being that or for not being that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// The value, or the alternatives of the regular expression.
    pub values: Vec<String>,
}

/// Words that stand between operands or before lists of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

impl Query {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is not what this understands of PromQL.
    pub fn parse(expression: &str) -> Result<Self> {
        let mut query = Self::default();
        let mut rest = Rest(expression);
        while let Some(first) = rest.skip_space().chars().next() {
            match first {
                '"' | '\'' => drop(rest.string()?),
                '[' => rest.skip_past(']')?,
                // A number or a duration.
                '0'..='9' => drop(rest.take_while(|letter| letter.is_alphanumeric() || letter == '.')),
                _ if is_name(first) => query.add(&rest.take_while(is_name), &mut rest)?,
                _ => rest.0 = &rest.0[first.len_utf8()..],
            }
        }
        Ok(query)
    }

    fn add(&mut self, name: &str, rest: &mut Rest<'_>) -> Result<()> {
        let next = rest.skip_space().chars().next();
        let is_aggregation = ["by", "without"].contains(&rest.next_name());
        if GROUPING.contains(&name) {
            if next == Some('(') {
                self.grouped.extend(rest.labels()?);
            }
        } else if next != Some('(') && !is_aggregation && !OPERATORS.contains(&name) {
            let matchers = match next {
                Some('{') => rest.matchers()?,
                _ => Vec::new(),
            };
            self.selectors.push(Selector {
                metric: name.to_owned(),
                matchers,
            });
        }
        Ok(())
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn skip_space(&mut self) -> &str {
        self.0 = self.0.trim_start();
        self.0
    }

    /// The name that comes next, if one does.
    fn next_name(&self) -> &str {
        let end = self.0.find(|letter| !is_name(letter)).unwrap_or(self.0.len());
        &self.0[..end]
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.0.find(|letter| !wanted(letter)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken.to_owned()
    }

    fn skip_past(&mut self, last: char) -> Result<()> {
        let (_, rest) = self
            .0
            .split_once(last)
            .with_context(|| format!("no {last} in {}", self.0))?;
        self.0 = rest;
        Ok(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Result<String> {
        let quote = self.0.chars().next().context("a quote")?;
        let (text, rest) = self.0[1..].split_once(quote).context("an open string")?;
        ensure!(!text.contains('\\'), "escapes are not understood: {text}");
        self.0 = rest;
        Ok(text.to_owned())
    }

    /// `(a, b)`
    fn labels(&mut self) -> Result<Vec<String>> {
        let inside = self.0[1..].split(')').next().unwrap_or_default().to_owned();
        self.skip_past(')')?;
        let labels = inside.split(',').map(|label| label.trim().to_owned());
        Ok(labels.filter(|label| !label.is_empty()).collect())
    }

    /// `{a="b", c=~"d|e"}`
    fn matchers(&mut self) -> Result<Vec<Matcher>> {
        self.skip_past('{')?;
        let mut matchers = Vec::new();
        loop {
            if self.skip_space().starts_with('}') {
                self.skip_past('}')?;
                return Ok(matchers);
            }
            let label = self.take_while(is_name);
            let operator = self.take_while(|letter| "=!~".contains(letter));
            let value = self.string()?;
            let values = match operator.as_str() {
                "=" | "!=" => vec![value],
                "=~" | "!~" => value.split('|').map(str::to_owned).collect(),
                other => bail!("{other:?} is no operator"),
            };
            matchers.push(Matcher { label, values });
            if self.skip_space().starts_with(',') {
                self.skip_past(',')?;
            }
        }
    }
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_labels_and_values_are_found() {
        let query = Query::parse(
            "histogram_quantile(0.99, sum by (job, le) (rate(a_bucket{x=\"y\", z=~\"u|v\"}[$__rate_interval])))\n\
             / on (job) group_left job:b:sum offset 5m > 2 and c unless time() - 1e3 < max(d{}[1h:5m])",
        )
        .unwrap();
        let names: Vec<_> = query.selectors.iter().map(|it| it.metric.as_str()).collect();
        assert_eq!(names, ["a_bucket", "job:b:sum", "c", "d"]);
        let matcher = |label: &str, values: &[&str]| Matcher {
            label: label.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        let matchers = [matcher("x", &["y"]), matcher("z", &["u", "v"])];
        assert_eq!(query.selectors[0].matchers, matchers);
        assert_eq!(query.grouped, BTreeSet::from(["job".to_owned(), "le".to_owned()]));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bad in ["a{b=\"c}", "a{b~\"c\"}", "a[5m", "sum by (a"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }
}
