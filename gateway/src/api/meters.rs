//! What is measured about calls.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::error::ApiCode;
use super::{ApiError, Method};

/// What is measured about calls.
pub(super) struct Meters {
    /// By method, in the order of [`Method::ALL`].
    seconds: Vec<Histogram>,
    /// By the error's number.
    errors: Vec<(u32, Counter)>,
    unauthorized: Counter,
}

impl Meters {
    pub(super) fn register() -> Self {
        describe_histogram!(
            "campanile_api_call_seconds",
            Unit::Seconds,
            "How long calls of the server API took"
        );
        describe_counter!(
            "campanile_api_errors_total",
            "Calls of the server API that failed"
        );
        describe_counter!(
            "campanile_api_unauthorized_total",
            "Calls of the server API without the right key"
        );
        let seconds = |method: Method| histogram!("campanile_api_call_seconds", "method" => method.name());
        let errors = |code: ApiCode| {
            let code = code.code();
            (
                code,
                counter!("campanile_api_errors_total", "code" => code.to_string()),
            )
        };
        Self {
            seconds: Method::ALL.map(seconds).into(),
            errors: ApiCode::all().map(errors).collect(),
            unauthorized: counter!("campanile_api_unauthorized_total"),
        }
    }

    pub(super) fn called(&self, method: Method, took: Duration, error: Option<&ApiError>) {
        self.seconds[method as usize].record(took.as_secs_f64());
        if let Some(error) = error {
            self.failed(error.code);
        }
    }

    pub(super) fn failed(&self, code: ApiCode) {
        if let Some((_, counter)) = self.errors.iter().find(|(known, _)| *known == code.code()) {
            counter.increment(1);
        }
    }

    pub(super) fn unauthorized(&self) {
        self.unauthorized.increment(1);
    }
}
