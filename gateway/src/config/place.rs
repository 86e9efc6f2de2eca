//! Where a key is set: the line of the file, the variable, or the command line.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Where a key is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this line of the file, counted from 1.
    File(String, usize),
    /// By this variable.
    Variable(String),
    /// On the command line.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line) => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The line of `text`, the contents of `file`, in which the key of this path is set: `channel.namespaces[2].presence`.
/// Where it is not, the line of the section that it would be in.
pub(super) fn line(file: &Path, text: &str, path: &str) -> Option<usize> {
    let steps = steps(path)?;
    (1..=steps.len())
        .rev()
        .find_map(|length| find(file, text, &steps[..length]))
}

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The parts of a path; `None`: it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        let plain = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        steps.push(Step::Key(name.to_owned()));
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
        }
    }
    Some(steps)
}

/// Reads the file once more, which is known to be well-formed, and stops with an error where the path ends: such an error
/// knows its line in each of the three formats.
fn find(file: &Path, text: &str, steps: &[Step]) -> Option<usize> {
    let search = Search(steps);
    match file.extension().and_then(|extension| extension.to_str())? {
        "json" => {
            let mut document = serde_json::Deserializer::from_str(text);
            let stopped = search.deserialize(&mut document).err()?;
            Some(stopped.line())
        }
        "yaml" | "yml" => {
            let document = serde_yaml_ng::Deserializer::from_str(text);
            let stopped = search.deserialize(document).err()?;
            stopped.location().map(|location| location.line())
        }
        "toml" => {
            let document = toml::Deserializer::parse(text).ok()?;
            let stopped = search.deserialize(document).err()?;
            let before = text.get(..stopped.span()?.start)?;
            Some(before.matches('\n').count() + 1)
        }
        _ => None,
    }
}

/// What the error says that ends a search; nobody sees it.
const FOUND: &str = "found";

/// Looks for a path in a value. An error is its being found; success its not being there.
struct Search<'a>(&'a [Step]);

/// Looks for a key; an error where it is the last one of the path.
struct KeySearch<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What is neither map nor list ends a search: that is the value, or stands in its place.
impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FOUND)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(FOUND));
        };
        loop {
            let search = KeySearch {
                wanted,
                is_last: rest.is_empty(),
            };
            match map.next_key_seed(search)? {
                None => return Ok(()),
                Some(true) => map.next_value_seed(Search(rest))?,
                Some(false) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(FOUND));
        };
        for _ in 0..*wanted {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        list.next_element_seed(Search(rest))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for KeySearch<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySearch<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.is_last => Err(E::custom(FOUND)),
            is_wanted => Ok(is_wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
# a comment
log: {level: loud}
channel:
  namespaces:
    - name: a
      presence: true
    -
      name: b
      x: 1
engine:
  redis:
    address:
      - 'redis://a'
      - nowhere
";

    const TOML: &str = "\
shards = [
  { name = \"a\" },
  { name = \"b\", x = 1 },
]
[log]
level = \"loud\"
[[channel.namespaces]]
name = \"a\"
[[channel.namespaces]]
name = \"b\"
x = 1
";

    const JSON: &str = "{
  \"log\": {
    \"level\": \"loud\", \"format\": 1
  },
  \"shards\": [
    {\"name\": \"a\"},
    {\"name\": \"b\",
     \"x\": 1}
  ]
}";

    #[test]
    fn keys_are_found_in_each_format() {
        for (file, text, path, expected) in [
            ("c.yaml", YAML, "log", 2),
            ("c.yaml", YAML, "log.level", 2),
            ("c.yaml", YAML, "channel.namespaces[0].presence", 6),
            ("c.yml", YAML, "channel.namespaces[1].x", 9),
            ("c.yaml", YAML, "engine.redis.address[1]", 14),
            ("c.toml", TOML, "shards[1].x", 3),
            ("c.toml", TOML, "log.level", 6),
            ("c.toml", TOML, "channel.namespaces[1].x", 11),
            ("c.json", JSON, "log.level", 3),
            ("c.json", JSON, "shards[0].name", 6),
            ("c.json", JSON, "shards[1].x", 8),
        ] {
            assert_eq!(line(Path::new(file), text, path), Some(expected), "{file} {path}");
        }
    }

    #[test]
    fn what_is_not_set_is_in_its_section_or_nowhere() {
        for (path, expected) in [
            ("log.format", Some(2)),
            ("channel.namespaces[1].presence", Some(7)),
            ("engine.redis.address[1].x", Some(14)),
            ("node.name", None),
            ("cannot read c.yaml", None),
            ("", None),
        ] {
            let found = line(Path::new("c.yaml"), YAML, path);
            // The line of a list's element may be that of its dash or of what is in it.
            let near = found
                .zip(expected)
                .is_some_and(|(found, expected)| found.abs_diff(expected) <= 1);
            assert!(found == expected || near, "{path}: {found:?}");
        }
        assert_eq!(line(Path::new("c.json"), "{}", "log.level"), None);
        assert_eq!(line(Path::new("c.toml"), "", "log.level"), None);
    }
}
