//! The macro that turns the definition of a message into its three forms.

/// Defines messages: structs with `prost` attributes on their fields, which also become serde's.
///
/// All that the macro adds is the list of derives and, on each field, the serde attributes that hand it to
/// [`Field`](super::field::Field). A field whose wire name is a Rust keyword carries its own
/// `#[serde(rename = "…")]`. A message with a secret has `#[prost(skip_debug)]` and a `Debug` of its own, in
/// [`secret`](super::secret).
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
        }
    )*) => { $(
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(
                    with = "crate::message::field",
                    skip_serializing_if = "crate::message::field::is_absent"
                )]
                pub $field: $type,
            )*
        }

        impl crate::message::field::Object for $name {}

        #[cfg(test)]
        impl crate::message::sample::Sample for $name {
            fn sample(rng: &mut proptest::test_runner::TestRng, depth: u32) -> Self {
                let _ = (&rng, depth);
                Self { $( $field: crate::message::sample::field(rng, depth), )* }
            }
        }
    )* };
}

pub(crate) use messages;
