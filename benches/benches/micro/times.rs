//! Times of operations, as multiples of a reference loop.

use std::collections::BTreeMap;

use campanile_benches::baseline::Kept;
use campanile_benches::ratio;
use campanile_benches::reference::Computing;

use crate::operation::Operation;

/// The least tolerance: caches and where code happens to lie move times by so much from build to build.
const TOLERANCE: f64 = 0.15;

/// And the greatest: beyond it a figure says nothing.
const MAX_TOLERANCE: f64 = 0.25;

/// Measures all of them.
pub(crate) fn measure(operations: &[Operation]) -> BTreeMap<String, Kept> {
    let mut computing = Computing::default();
    let mut reference = || computing.step();
    let mut figures = BTreeMap::new();
    for operation in operations {
        let ratio = ratio::measure(&mut operation.prepare(), &mut reference);
        let value = ratio.median / f64::from(operation.elements);
        let kept = Kept {
            value: significant(value),
            tolerance: (2.0 * ratio.spread).clamp(TOLERANCE, MAX_TOLERANCE),
        };
        figures.insert(format!("time {}", operation.name), kept);
    }
    figures
}

/// Four digits, which is more than a time has to say.
fn significant(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
