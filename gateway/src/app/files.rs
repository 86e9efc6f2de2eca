//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the process may give itself. Service managers and container runtimes mostly start programs with
/// 1024, for the sake of those that use `select`, and allow far more.
pub(super) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // If it cannot be raised it stays as it is, which the metric `process_max_fds` tells.
    let _ = setrlimit(Resource::Nofile, raised);
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::raise_limit;

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let before = getrlimit(Resource::Nofile);
        // Lower by little: other tests have files open.
        let lower = before.maximum.map_or(1 << 16, |maximum| maximum - 1);
        let limit = Rlimit {
            current: Some(lower),
            ..before
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
