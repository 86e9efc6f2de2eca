//! The name of a connection.

use std::fmt;
use std::str::FromStr;

use rand::Rng;

/// A random name of one connection, unique in the whole cluster: a UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId([u8; 16]);

/// A text is not the name of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a client id")]
pub struct NotAClientId;

/// Where the text form has its dashes: after so many bytes.
const DASHES: [usize; 4] = [4, 6, 8, 10];

impl ClientId {
    /// A new name. Those of others cannot be guessed from it.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes: [u8; 16] = rand::rng().random();
        bytes[6] = bytes[6] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if DASHES.contains(&index) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClientId {
    type Err = NotAClientId;

    /// Reads exactly what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NotAClientId> {
        let digits: String = text.chars().filter(|&char| char != '-').collect();
        let number = u128::from_str_radix(&digits, 16).map_err(|_| NotAClientId)?;
        let id = Self(number.to_be_bytes());
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NotAClientId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_a_uuid_of_version_4() {
        let id = ClientId::random();
        let text = id.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(text.parse(), Ok(id));
        assert_ne!(id, ClientId::random());
    }

    #[test]
    fn only_the_one_form_is_read() {
        for text in [
            "",
            "42",
            "00000000000040008000000000000000",
            "+0000000-0000-4000-8000-000000000000",
            "A0000000-0000-4000-8000-000000000000",
            "00000000-0000-4000-8000-0000000000000",
        ] {
            assert_eq!(text.parse::<ClientId>(), Err(NotAClientId), "{text}");
        }
    }
}
