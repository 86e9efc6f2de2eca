//! How numbers, options and command lines are written, in ASCII.

use serde_json::Value;

use super::Report;
use crate::measure::Outcome;
use crate::plan::{Load, Plan};
use crate::scenario::{self, Scenario, Unit};

/// A number of this unit, to four digits.
#[must_use]
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => number(value),
        Unit::Seconds => seconds(value),
        Unit::Bytes => bytes(value),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::PerCpuSecond => format!("{}/CPU s", number(value)),
        Unit::Ratio => ratio(value),
    }
}

/// To four digits, and whole from a thousand on, with commas between thousands.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 999.95 || value == value.trunc() {
        return grouped(&format!("{value:.0}"));
    }
    match size {
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        0.001.. => format!("{value:.5}"),
        _ => format!("{value:.2e}"),
    }
}

/// A whole number, with commas between thousands.
#[must_use]
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A duration, in the unit that suits it.
#[must_use]
pub fn seconds(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        _ if size < 1e-6 => format!("{} ns", number((value * 1e9).round())),
        _ if size < 1e-3 => format!("{} us", number(value * 1e6)),
        _ if size < 1.0 => format!("{} ms", number(value * 1e3)),
        _ => format!("{} s", number(value)),
    }
}

/// Bytes, in the unit that suits them.
#[must_use]
pub fn bytes(value: f64) -> String {
    const KIB: f64 = 1024.0;
    let size = value.abs();
    match size {
        _ if size < KIB => format!("{} B", number(value)),
        _ if size < KIB * KIB => format!("{} KiB", number(value / KIB)),
        _ if size < KIB * KIB * KIB => format!("{} MiB", number(value / KIB / KIB)),
        _ => format!("{} GiB", number(value / KIB / KIB / KIB)),
    }
}

/// Three digits behind the point: what ratios differ by.
#[must_use]
pub fn ratio(value: f64) -> String {
    if value.abs() < 1_000.0 {
        format!("{value:.3}")
    } else {
        number(value)
    }
}

/// What a run was to do, in a line.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let load = scenario::find(&plan.scenario).map(|scenario| load(scenario, &plan.load));
    // A report may be of a scenario that this version does not have.
    let load = load.unwrap_or_else(|_| plan.scenario.clone());
    format!("{load}, seed {}", plan.seed)
}

/// How much of what a scenario does, in a line.
#[must_use]
pub fn load(scenario: &dyn Scenario, load: &Load) -> String {
    format!(
        "{}, {}, {} publications/s of {} bytes, {} after {} of warm-up",
        counted(load.connections, "connection"),
        counted(scenario.channels(load), "channel"),
        number(load.rate),
        load.size,
        seconds(load.duration.as_secs_f64()),
        seconds(load.warm_up.as_secs_f64()),
    )
}

/// So many of something.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(&count.to_string()))
}

/// All that decided about a run, by name.
#[must_use]
pub fn options(report: &Report) -> Vec<(String, String)> {
    let Outcome { plan, target, .. } = &report.outcome;
    let mut options = vec![
        ("scenario", plan.scenario.clone()),
        ("target", target.urls.join(", ")),
        ("api", target.apis.join(", ")),
        ("codec", json_words(&serde_json::json!(target.codec))),
        ("workers", report.outcome.workers.to_string()),
        ("seed", plan.seed.to_string()),
        ("prefix", plan.prefix.clone()),
    ];
    options.retain(|(_, value)| !value.is_empty());
    let mut options: Vec<_> = options
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    // In the words of the scenario, which may have other channels than the plan says.
    let channels = scenario::find(&plan.scenario).map(|it| it.channels(&plan.load));
    let load = Load {
        channels: channels.unwrap_or(plan.load.channels),
        ..plan.load.clone()
    };
    if let Ok(Value::Object(load)) = serde_json::to_value(&load) {
        options.extend(load.iter().map(|(name, value)| (name.clone(), json_words(value))));
    }
    options
}

/// A time since the Unix epoch as date and time of day in UTC.
#[must_use]
pub fn date(seconds: u64) -> String {
    const DAY: u64 = 24 * 3600;
    // Years that begin in March have their leap day at their end. 719,468 days lie between 0000-03-01 and 1970-01-01, and every
    // 400 years have 146,097.
    let days = seconds / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let minutes = seconds % DAY / 60;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        minutes / 60,
        minutes % 60
    )
}

/// A command as it is typed into a shell.
#[must_use]
pub fn command_line(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+$".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A value of JSON in words; a duration as such.
fn json_words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(digits) => digits.as_f64().map_or_else(|| digits.to_string(), number),
        Value::Object(fields) => match (fields.get("secs"), fields.get("nanos")) {
            (Some(secs), Some(nanos)) => {
                let part = |value: &Value| value.as_f64().unwrap_or_default();
                seconds(part(secs) + part(nanos) / 1e9)
            }
            _ if fields.is_empty() => "none".to_owned(),
            _ => {
                let pairs: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| format!("{key}={}", json_words(value)))
                    .collect();
                pairs.join(", ")
            }
        },
        Value::Array(_) => value.to_string(),
    }
}

/// Commas between thousands.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_a_unit_that_suits_them() {
        let written = [0.0, 7.0, 0.12345, 12.345, 999.96, 1_234_567.8, -1234.0].map(number);
        assert_eq!(
            written,
            ["0", "7", "0.123", "12.35", "1,000", "1,234,568", "-1,234"]
        );
        let written = [0.0, 5e-8, 1.5e-6, 0.0125, 2.5].map(seconds);
        assert_eq!(written, ["0", "50 ns", "1.500 us", "12.50 ms", "2.500 s"]);
        let written = [512.0, 1536.0, -3_145_728.0].map(bytes);
        assert_eq!(written, ["512 B", "1.500 KiB", "-3 MiB"]);
        assert_eq!(value(1_500_000.0, Unit::PerCpuSecond), "1,500,000/CPU s");
        assert_eq!(value(0.9999, Unit::Ratio), "1.000");
    }

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_735_689_600), "2025-01-01 00:00 UTC");
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let words = ["bench", "--api-key", "$CAMPANILE_BENCH_API_KEY", "-o", "a=it's b"].map(str::to_owned);
        assert_eq!(
            command_line(&words),
            "bench --api-key $CAMPANILE_BENCH_API_KEY -o 'a=it'\\''s b'"
        );
    }
}
