//! The mapping is pinned: another one would look for every stored stream in the wrong place.

use super::*;

#[test]
fn golden_vectors_hold() {
    let golden = include_str!("../../golden/partitions.txt");
    let mapped = |line: &str| {
        let (channel, _) = line.rsplit_once(' ').unwrap();
        format!("{channel} {}\n", Partition::of(channel))
    };
    let actual: String = golden.lines().map(mapped).collect();
    assert_eq!(
        golden, actual,
        "channels change their partition; where they are now:\n{actual}"
    );
}

#[test]
fn there_are_exactly_as_many_as_said() {
    assert_eq!(Partition::all().len(), 4096);
    assert_eq!(Partition::from_index(4095).map(Partition::index), Some(4095));
    assert_eq!(Partition::from_index(4096), None);
}
