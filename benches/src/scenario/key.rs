//! What only one scenario knows: `-o NAME=VALUE`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Scenario;
use crate::Failure;
use crate::plan::Load;

/// An option that one scenario knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is called.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What it is unless the user says otherwise. Empty: nothing; `about` says what that means.
    pub default: &'static str,
    /// What it decides, with its unit.
    pub about: &'static str,
}

/// What may be written as an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number, from 0 on.
    Count,
    /// A number, from 0 on.
    Number,
    /// `true` or `false`.
    Truth,
    /// Any text; the scenario's own check says which.
    Text,
}

impl Key {
    /// A whole number.
    #[must_use]
    pub const fn count(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Count, default, about)
    }

    /// A number.
    #[must_use]
    pub const fn number(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Number, default, about)
    }

    /// Yes or no.
    #[must_use]
    pub const fn truth(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Truth, default, about)
    }

    /// A text.
    #[must_use]
    pub const fn text(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Text, default, about)
    }

    const fn new(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Self {
        Self {
            name,
            kind,
            default,
            about,
        }
    }

    /// What the user wrote, or the default.
    pub fn value<T: FromStr>(&self, load: &Load) -> Result<T, Failure> {
        let text = load.options.get(self.name).map_or(self.default, String::as_str);
        text.parse().map_err(|_| self.wrong(text))
    }

    /// The same for a key that has no default: `None` if the user did not write it.
    pub fn given<T: FromStr>(&self, load: &Load) -> Result<Option<T>, Failure> {
        match load.options.get(self.name) {
            None if self.default.is_empty() => Ok(None),
            _ => self.value(load).map(Some),
        }
    }

    /// Whether `text` may be written.
    fn check(&self, text: &str) -> Result<(), Failure> {
        let right = match self.kind {
            Kind::Count => text.parse::<u32>().is_ok(),
            Kind::Number => text.parse::<f64>().is_ok_and(|it| it.is_finite() && it >= 0.0),
            Kind::Truth => text.parse::<bool>().is_ok(),
            Kind::Text => true,
        };
        if right { Ok(()) } else { Err(self.wrong(text)) }
    }

    fn wrong(&self, text: &str) -> Failure {
        let expected = match self.kind {
            Kind::Count => "a whole number",
            Kind::Number => "a number that is not negative",
            Kind::Truth => "true or false",
            Kind::Text => "something else",
        };
        Failure::usage(format!("-o {}={text}: expected {expected}", self.name))
    }
}

/// The defaults of these keys, as they stand in a [`Load`].
#[must_use]
pub fn defaults(keys: &[Key]) -> BTreeMap<String, String> {
    let keys = keys.iter().filter(|key| !key.default.is_empty());
    keys.map(|key| (key.name.to_owned(), key.default.to_owned()))
        .collect()
}

/// That a scenario knows all of a load's options, and that their values can be read.
pub(super) fn check(scenario: &dyn Scenario, load: &Load) -> Result<(), Failure> {
    let keys = scenario.keys();
    for (name, text) in &load.options {
        match keys.iter().find(|key| key.name == name) {
            Some(key) => key.check(text)?,
            None => return Err(unknown(scenario, name)),
        }
    }
    Ok(())
}

fn unknown(scenario: &dyn Scenario, name: &str) -> Failure {
    let known: Vec<_> = scenario.keys().iter().map(|key| key.name).collect();
    let known = match known.as_slice() {
        [] => "no options of its own".to_owned(),
        known => known.join(", "),
    };
    Failure::usage(format!("-o {name}: {} has {known}", scenario.name()))
}

#[cfg(test)]
mod tests {
    use super::super::{ALL, find};
    use super::*;

    fn refused(scenario: &str, name: &str, value: &str) -> String {
        let scenario = find(scenario).unwrap();
        let mut load = scenario.defaults();
        load.options.insert(name.to_owned(), value.to_owned());
        let checked = super::super::check(scenario, &load);
        checked.map_or_else(|failure| failure.to_string(), |()| String::new())
    }

    #[test]
    fn what_a_scenario_does_not_know_is_refused_with_what_it_knows() {
        let line = refused("reshard", "visitor", "5");
        assert!(
            line.starts_with("-o visitor: reshard has rounds, visitors, "),
            "{line}"
        );
        assert_eq!(
            refused("fanout", "rounds", "1"),
            "-o rounds: fanout has no options of its own"
        );
    }

    #[test]
    fn a_value_that_cannot_be_read_is_refused_before_anything_begins() {
        let line = refused("reshard", "ballast", "many");
        assert_eq!(line, "-o ballast=many: expected a whole number");
        for (scenario, name, value) in [
            ("churn", "stay", "-1"),
            ("churn", "stay", "inf"),
            ("publish", "reference", "maybe"),
            ("publish", "read", "-1"),
            ("reshard", "fault", "flood"),
            ("reshard", "add", "redis://a"),
            ("mixed", "reads", "1.5"),
        ] {
            let line = refused(scenario, name, value);
            assert!(line.starts_with(&format!("-o {name}")), "{scenario}: {line:?}");
        }
        assert_eq!(refused("reshard", "add", "a=redis://a"), "");
    }

    #[test]
    fn every_scenario_takes_its_own_defaults_and_says_what_each_key_is() {
        for scenario in ALL {
            let keys = scenario.keys();
            let mut load = scenario.defaults();
            load.options.extend(defaults(keys));
            assert_eq!(
                super::super::check(*scenario, &load),
                Ok(()),
                "{}",
                scenario.name()
            );
            for (index, key) in keys.iter().enumerate() {
                assert!(!key.about.is_empty(), "{}: {}", scenario.name(), key.name);
                assert!(
                    keys[..index].iter().all(|other| other.name != key.name),
                    "{}: {} twice",
                    scenario.name(),
                    key.name
                );
            }
        }
    }
}
