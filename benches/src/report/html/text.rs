//! Text on a page.

use std::fmt::{self, Display, Formatter, Write as _};

/// Text from elsewhere, in which nothing is taken for HTML: between tags, and in attributes with quotes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Of control characters, HTML allows these.
                _ if letter.is_control() && !matches!(letter, '\n' | '\t') => f.write_char('\u{fffd}')?,
                _ => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// A number with its unit: the sign for micro instead of its ASCII stand-in, and no break in between.
pub(super) fn quantity(ascii: &str) -> String {
    let text = ascii
        .strip_suffix(" us")
        .map_or_else(|| ascii.to_owned(), |number| format!("{number} \u{b5}s"));
    Escaped(&text).to_string().replace(' ', "\u{a0}")
}
