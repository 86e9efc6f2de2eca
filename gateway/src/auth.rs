//! Who a client is, and what it was allowed by the application: JSON Web Tokens, and keys of the server API.
//!
//! A *connection token* says whose connection it is, a *subscription token* that this user may subscribe to one
//! channel. Only HMAC signatures (HS256, HS384, HS512) are believed; everything else, `alg: none` included, is
//! refused before its claims are looked at. Nothing here reads a clock: the present is passed in.

mod claims;
mod explain;
mod generate;
mod key;
mod verify;

#[cfg(test)]
mod tests;

pub use claims::{SubscriptionOverride, Switch};
pub use explain::{Accepted, Explained, Refusal, TokenKind, explain};
pub use generate::{TokenRequest, generate_token};
pub use key::keys_match;
pub use verify::{
    Authenticator, ConnectionToken, ServerSubscription, SubscriptionToken, TokenError, TokenFault,
};
