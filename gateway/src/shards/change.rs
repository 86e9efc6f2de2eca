//! What may be asked for: a change of the list of shards, as it comes from outside.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Refusal, RefusalCode};

/// A change of the list of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take a shard into use.
    Add(Add),
    /// Empty a shard, which stays on the list; or use it again.
    Drain(Drain),
    /// Empty a shard and forget it.
    Remove(Remove),
    /// Give a shard another share.
    Weight(Weight),
}

/// A shard to take into use.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Its name.
    pub name: String,
    /// Where it is, with what is needed to get in; empty where shards live in the gateway itself.
    #[serde(default)]
    pub url: String,
    /// Its share relative to the others'.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether it keeps everything that it acknowledges.
    #[serde(default)]
    pub durable: bool,
}

/// A shard to empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Its name.
    pub name: String,
    /// Use it again instead.
    #[serde(default)]
    pub undo: bool,
}

/// A shard to forget.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Its name.
    pub name: String,
}

/// A shard's new share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// Its name.
    pub name: String,
    /// Its share relative to the others'.
    pub weight: u32,
}

/// Of `shards/plan`: one hypothetical change, or none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Hypothesis {
    add: Option<Add>,
    drain: Option<Drain>,
    remove: Option<Remove>,
    weight: Option<Weight>,
}

impl Change {
    /// The change that `shards/plan` asks about, if it does.
    ///
    /// # Errors
    ///
    /// If the parameters name several, or make no sense.
    pub fn hypothetical(params: &[u8]) -> Result<Option<Self>, Refusal> {
        let hypothesis: Hypothesis = parse(params)?;
        let mut changes = [
            hypothesis.add.map(Self::Add),
            hypothesis.drain.map(Self::Drain),
            hypothesis.remove.map(Self::Remove),
            hypothesis.weight.map(Self::Weight),
        ]
        .into_iter()
        .flatten();
        match (changes.next(), changes.next()) {
            (change, None) => Ok(change),
            _ => Err(RefusalCode::Nonsense.because("ask about one change at a time")),
        }
    }

    /// The shard that it is about.
    #[must_use]
    pub fn shard(&self) -> &str {
        match self {
            Self::Add(add) => &add.name,
            Self::Drain(drain) => &drain.name,
            Self::Remove(remove) => &remove.name,
            Self::Weight(weight) => &weight.name,
        }
    }

    /// The word for it, as in the API and on the command line.
    #[must_use]
    pub fn command(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Drain(_) => "drain",
            Self::Remove(_) => "remove",
            Self::Weight(_) => "weight",
        }
    }
}

/// Parameters from JSON. What is misspelt is refused: it may have been meant to change something.
///
/// # Errors
///
/// If they are not what they should be; says where.
pub fn parse<P: DeserializeOwned>(params: &[u8]) -> Result<P, Refusal> {
    let params = match params.trim_ascii() {
        [] => b"{}",
        params => params,
    };
    // What serde derives would take a list of values for an object.
    if params.first() != Some(&b'{') {
        return Err(RefusalCode::Nonsense.because("the parameters must be an object"));
    }
    serde_json::from_slice(params)
        .map_err(|error| RefusalCode::Nonsense.because(format!("the parameters make no sense: {error}")))
}

impl std::fmt::Debug for Add {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL, which may hold a password.
        f.debug_struct("Add")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const fn one() -> u32 {
    1
}
