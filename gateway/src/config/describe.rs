//! What the definition of a key says about it: its type, its unit, its meaning.

use campanile_common::HumanDuration;
use serde::Serialize;

use super::bytes::ByteCount;
use super::list::TextList;

/// What a key's value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A length of time, with its unit.
    Duration,
    /// A number of bytes, with a unit or without.
    Bytes,
    /// A list of texts.
    Texts,
    /// Further keys.
    Section(&'static [Field]),
    /// A list, each of whose elements has these keys.
    Sections(&'static [Field]),
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What its value counts.
    pub unit: Option<&'static str>,
    /// The lines of its documentation, each with the blank before it.
    pub meaning: &'static [&'static str],
}

/// A type that a key may have.
pub trait Described {
    /// Which kind it is.
    const KIND: Kind;
}

impl Kind {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Text => "text",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::Texts => "list of texts",
            Self::Section(_) => "section",
            Self::Sections(_) => "list of sections",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

macro_rules! kinds {
    ($($type:ty => $kind:expr,)*) => { $(
        impl Described for $type {
            const KIND: Kind = $kind;
        }
    )* };
}

kinds! {
    bool => Kind::Boolean,
    u8 => Kind::Number,
    u16 => Kind::Number,
    u32 => Kind::Number,
    u64 => Kind::Number,
    i64 => Kind::Number,
    String => Kind::Text,
    HumanDuration => Kind::Duration,
    ByteCount => Kind::Bytes,
    TextList => Kind::Texts,
}

impl<T: Described> Described for Vec<T> {
    const KIND: Kind = match T::KIND {
        Kind::Section(fields) => Kind::Sections(fields),
        // There are lists of sections and of texts, and no others.
        _ => Kind::Texts,
    };
}

/// Defines a section: a struct whose fields are keys, which are [`Described`] by what is said of them anyway.
///
/// All that the macro adds is that description: names (`#[serde(rename = "…")]` counts), types and documentation. What a
/// number counts stands behind its type: `pub limit: u32 as "connections"`.
macro_rules! section {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident [serde(rename = $name:literal)] $($rest:tt)*) => { $name };
    (@name $field:ident [$($other:tt)*] $($rest:tt)*) => { section!(@name $field $($rest)*) };
    (@meaning doc = $text:literal) => { $text };
    (@meaning $($other:tt)*) => { "" };
    (@unit) => { None };
    (@unit $unit:literal) => { Some($unit) };
    (
        $(#[$($outer:tt)*])*
        pub struct $section:ident {
            $( $(#[$($attribute:tt)*])* pub $field:ident: $type:ty $(as $unit:literal)?, )*
        }
    ) => {
        $(#[$($outer)*])*
        pub struct $section {
            $( $(#[$($attribute)*])* pub $field: $type, )*
        }

        impl $crate::config::describe::Described for $section {
            const KIND: $crate::config::describe::Kind = $crate::config::describe::Kind::Section(&[
                $( $crate::config::describe::Field {
                    name: section!(@name $field $([$($attribute)*])*),
                    kind: <$type as $crate::config::describe::Described>::KIND,
                    unit: section!(@unit $($unit)?),
                    meaning: &[$( section!(@meaning $($attribute)*) ),*],
                }, )*
            ]);
        }
    };
}

pub(super) use section;
