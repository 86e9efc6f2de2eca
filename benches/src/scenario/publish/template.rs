//! The very command with which a gateway publishes, as its server has seen it.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use campanile_shard_router::partition::Partition;

use super::resp::{self, Resp};

/// How long the first publication may take to come by.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens to what a server is asked.
#[derive(Debug)]
pub(super) struct Monitor {
    resp: Resp,
    prefix: String,
}

/// A publishing command, which can be made for any channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    words: Vec<Vec<u8>>,
    channel: String,
    tag: String,
}

impl Monitor {
    /// Begins to listen for publications in channels whose names begin with `prefix` and end with digits.
    pub(super) fn start(address: &str, prefix: String) -> io::Result<Self> {
        let mut resp = Resp::connect(address)?;
        resp.ask(&["MONITOR"])?;
        Ok(Self { resp, prefix })
    }

    /// The first such publication; `None` if none comes by in time.
    pub(super) fn find(mut self) -> io::Result<Option<Template>> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.resp.line() {
                Ok(line) => {
                    if let Some(template) = template(&line, &self.prefix) {
                        return Ok(Some(template));
                    }
                }
                // The server has said nothing for as long as it is listened to.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

fn template(line: &str, prefix: &str) -> Option<Template> {
    let words = words(line)?;
    if !words.first()?.eq_ignore_ascii_case(b"EVALSHA") {
        return None;
    }
    let found = words.iter().find_map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        let number = &word[word.find(prefix)? + prefix.len()..];
        let digits = number.len() - number.trim_start_matches(|it: char| it.is_ascii_digit()).len();
        (digits > 0).then(|| format!("{prefix}{}", &number[..digits]))
    });
    let channel = found?;
    let tag = tag(&channel);
    Some(Template { words, channel, tag })
}

impl Template {
    /// The command for another channel, encoded.
    pub(super) fn command_for(&self, channel: &str) -> Vec<u8> {
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| self.adapted(word, channel))
            .collect();
        let mut encoded = Vec::new();
        resp::command(&mut encoded, &words);
        encoded
    }

    /// The words, with payloads that can be arguments of a program.
    pub(super) fn arguments(&self) -> Vec<String> {
        let word = |word: &Vec<u8>| match std::str::from_utf8(word) {
            Ok(text) if !text.contains('\0') => text.to_owned(),
            _ => "x".repeat(word.len()),
        };
        self.words.iter().map(word).collect()
    }

    fn adapted(&self, word: &[u8], channel: &str) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(word) else {
            return word.to_vec();
        };
        let text = text.replace(&self.tag, &tag(channel));
        text.replace(&self.channel, channel).into_bytes()
    }
}

/// The hash tag of a channel's keys.
fn tag(channel: &str) -> String {
    format!("{{{}}}", Partition::of(channel))
}

/// The words of a line of `MONITOR`: `time [db address] "word" "word"…`.
fn words(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut rest = line.split_once("] ")?.1.bytes().peekable();
    let mut words = Vec::new();
    while rest.next_if_eq(&b'"').is_some() {
        let mut word = Vec::new();
        loop {
            match rest.next()? {
                b'"' => break,
                b'\\' => word.push(match rest.next()? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'x' => {
                        let digits = [rest.next()?, rest.next()?];
                        u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                    }
                    other => other,
                }),
                byte => word.push(byte),
            }
        }
        words.push(word);
        rest.next_if_eq(&b' ');
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_seen_is_made_for_other_channels() {
        let seen = tag("ns:run-7");
        let line = format!(
            r#"+1.5 [0 127.0.0.1:9] "EVALSHA" "abc" "1" "p:{seen}:stream:ns:run-7" "\x93\x01\"\n" """#
        );
        assert_eq!(template(&line, "ns:other-"), None);
        let template = template(&line, "ns:run-").unwrap();
        assert_eq!(template.words[4], b"\x93\x01\"\n");
        let command = template.command_for("ns:run-12");
        let key = format!("p:{}:stream:ns:run-12", tag("ns:run-12"));
        let mut expected = Vec::new();
        let words: [&[u8]; 6] = [b"EVALSHA", b"abc", b"1", key.as_bytes(), b"\x93\x01\"\n", b""];
        resp::command(&mut expected, &words);
        assert_eq!(command, expected);
        let arguments = template.arguments();
        assert_eq!(arguments[3], format!("p:{seen}:stream:ns:run-7"));
        assert_eq!(arguments[4], "xxxx");
    }

    #[test]
    fn other_commands_are_none() {
        assert_eq!(
            template(r#"+1.5 [0 lua] "PUBLISH" "ns:run-1" "x""#, "ns:run-"),
            None
        );
        assert_eq!(template("+OK", "ns:run-"), None);
    }
}
