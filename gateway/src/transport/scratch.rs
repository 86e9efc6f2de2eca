//! Room for what is read, until it has been looked at, and for what is put together to be written.

use std::cell::RefCell;

/// Bytes of the buffer that all connections of a thread share; the most that is read at once.
pub(super) const SIZE: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// Lends the thread's buffer. What is in it is of no meaning.
pub(super) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}
