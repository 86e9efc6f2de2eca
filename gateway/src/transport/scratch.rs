//! Room for what is read, until it has been looked at.

use std::cell::RefCell;

/// Bytes read at once, into a buffer that all connections of a thread share.
const READ_SIZE: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Lends the thread's buffer. What is in it is of no meaning.
pub(super) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}
