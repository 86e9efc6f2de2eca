//! What must not be in a report: the users and passwords of URLs, and values that are named as secrets.

use std::fmt::Write as _;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Options whose values are nobody's business, with what stands for them: the variables that they can be given by.
const OPTIONS: [(&str, &str); 4] = [
    ("--compare-api-key", "$CAMPANILE_BENCH_COMPARE_API_KEY"),
    ("--api-key", "$CAMPANILE_BENCH_API_KEY"),
    ("--token-secret", "$CAMPANILE_BENCH_TOKEN_SECRET"),
    ("--token", "$CAMPANILE_BENCH_TOKEN"),
];

/// The option whose values are configuration, `KEY=VALUE`.
const SETTING: &str = "--set";

/// Words of which one is in the name of every secret key or parameter.
const TELLING: [&str; 6] = ["key", "secret", "password", "token", "credential", "header"];

/// The words of a command, without its secrets.
pub(crate) fn command(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    // The option before, whose value comes next.
    let mut option: Option<String> = None;
    for word in words {
        let value = option.take();
        kept.push(match value.as_deref() {
            Some(SETTING) => setting(&word),
            Some(option) => standing_for(option).unwrap_or_else(|| urls(&word)),
            None => match word.split_once('=') {
                Some((SETTING, value)) => format!("{SETTING}={}", setting(value)),
                Some((name, _)) if standing_for(name).is_some() => {
                    format!("{name}={}", standing_for(name).unwrap_or_default())
                }
                _ => urls(&word),
            },
        });
        if value.is_none() && (word == SETTING || standing_for(&word).is_some()) {
            option = Some(word);
        }
    }
    kept
}

fn standing_for(option: &str) -> Option<String> {
    let found = OPTIONS.iter().find(|(name, _)| *name == option);
    found.map(|(_, variable)| (*variable).to_owned())
}

/// `KEY=VALUE` of a gateway's configuration. A value in JSON may have anything in it.
fn setting(text: &str) -> String {
    match text.split_once('=') {
        Some((key, value)) if tells(key) || value.trim_start().starts_with(['{', '[']) => {
            format!("{key}={HIDDEN}")
        }
        _ => urls(text),
    }
}

/// Whether a name is that of a secret.
fn tells(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// A text with what is secret in its URLs hidden: who logs in and with what, and parameters that are named as secrets.
pub(crate) fn urls(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        kept.push_str(before);
        kept.push_str("://");
        let end = after.find([' ', '"', '\'', '\n', '\t']).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        one_url(&mut kept, url);
        rest = behind;
    }
    kept + rest
}

/// What comes behind `://`.
fn one_url(kept: &mut String, url: &str) {
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let (mut authority, behind) = url.split_at(end);
    if let Some((_, hosts)) = authority.rsplit_once('@') {
        kept.push_str(HIDDEN);
        kept.push('@');
        authority = hosts;
    }
    kept.push_str(authority);
    let Some((path, parameters)) = behind.split_once('?') else {
        return kept.push_str(behind);
    };
    kept.push_str(path);
    let mut mark = '?';
    for parameter in parameters.split('&') {
        let name = parameter.split('=').next().unwrap_or_default();
        // Writing to a text cannot fail.
        let _ = match parameter.contains('=') && tells(name) {
            true => write!(kept, "{mark}{name}={HIDDEN}"),
            false => write!(kept, "{mark}{parameter}"),
        };
        mark = '&';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(words: &[&str]) -> String {
        command(words.iter().map(|word| (*word).to_owned())).join(" ")
    }

    #[test]
    fn keys_are_told_by_the_names_of_their_variables() {
        assert_eq!(
            kept(&[
                "bench",
                "--api-key",
                "s3cret",
                "--token-secret=t",
                "--compare-api-key",
                "--set"
            ]),
            "bench --api-key $CAMPANILE_BENCH_API_KEY --token-secret=$CAMPANILE_BENCH_TOKEN_SECRET \
             --compare-api-key $CAMPANILE_BENCH_COMPARE_API_KEY"
        );
        assert_eq!(
            kept(&["bench", "--api-key", "--set", "a=b"]),
            "bench --api-key $CAMPANILE_BENCH_API_KEY a=b"
        );
    }

    #[test]
    fn configuration_is_told_unless_it_is_named_as_a_secret_or_may_contain_one() {
        assert_eq!(
            kept(&[
                "bench",
                "--set",
                "client.ping_interval=2s",
                "--set=admin.password=p",
                "--set",
                "http_api.key=k"
            ]),
            "bench --set client.ping_interval=2s --set=admin.password=*** --set http_api.key=***"
        );
        assert_eq!(
            kept(&[
                "--set",
                "cluster.store=redis://u:p@h:1/store",
                "--set",
                "shards=[{\"url\":\"redis://:p@h\"}]"
            ]),
            "--set cluster.store=redis://***@h:1/store --set shards=***"
        );
    }

    #[test]
    fn urls_keep_their_hosts_and_lose_who_logs_in() {
        for (written, told) in [
            ("-oadd=b=redis://user:pa@ss@h:7/0", "-oadd=b=redis://***@h:7/0"),
            (
                "ws://h:8000/connection/websocket",
                "ws://h:8000/connection/websocket",
            ),
            (
                "ws://h/ws?cf_protocol=x&token=abc",
                "ws://h/ws?cf_protocol=x&token=***",
            ),
            (
                "redis+sentinel://u:p@a:1,b:2/s?sentinel_user=w&sentinel_password=p",
                "redis+sentinel://***@a:1,b:2/s?sentinel_user=w&sentinel_password=***",
            ),
            (
                "http://u:p@h/x cannot be read, nor ws://v@h",
                "http://***@h/x cannot be read, nor ws://***@h",
            ),
            ("a@b and c://", "a@b and c://"),
        ] {
            assert_eq!(urls(written), told);
        }
    }
}
