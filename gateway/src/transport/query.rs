//! What a client says in the query of the URL that it connects to.

use campanile_common::Codec;

/// The codec that a client asks for with `cf_protocol`; JSON, if it does not. `None`: there is no such codec.
#[must_use]
pub fn choose_codec(query: &str) -> Option<Codec> {
    let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
    match parameters.find(|(name, _)| *name == "cf_protocol") {
        Some((_, value)) => Codec::from_query(value),
        None => Some(Codec::Json),
    }
}
