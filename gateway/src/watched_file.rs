//! A file that is looked at again and again.
//!
//! Looking is cheap while nothing happens: the content is read only when the file's metadata have changed. These are
//! those of the file that a symbolic link leads to, so that a link which is turned elsewhere, as Kubernetes does with the
//! files of a ConfigMap, counts as a change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file, and what is known of it.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    print: Option<Print>,
    /// What counts.
    known: Option<Vec<u8>>,
    /// What was found and is not believed yet: somebody may be in the middle of writing it.
    candidate: Option<Vec<u8>>,
}

/// What tells that a file is another one, or has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a look at the file has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// What counts already.
    Same,
    /// Something else, which the next look must confirm.
    Unsettled,
    /// Something new, which counts from now on.
    Changed,
}

impl WatchedFile {
    /// The file at `path`, of which nothing is known yet: the first content found is new.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            print: None,
            known: None,
            candidate: None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What counts: the content that was found last and believed; empty as long as there is none.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.known.as_deref().unwrap_or_default()
    }

    /// Looks. New content counts once it is found twice in a row.
    ///
    /// # Errors
    ///
    /// If the file cannot be read; what was known of it stays.
    pub fn look(&mut self) -> io::Result<Look> {
        let print = Print::of(&self.path)?;
        if self.print == Some(print) && self.candidate.is_none() {
            return Ok(Look::Same);
        }
        let found = fs::read(&self.path)?;
        // That of before reading: what was written since then is seen by the next look.
        self.print = Some(print);
        Ok(self.judge(found))
    }

    /// Reads the file, whose content counts at once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read; what was known of it stays.
    pub fn insist(&mut self) -> io::Result<Look> {
        let print = Print::of(&self.path)?;
        let found = fs::read(&self.path)?;
        self.print = Some(print);
        self.candidate = Some(found.clone());
        Ok(self.judge(found))
    }

    /// Whatever is found next is new.
    pub fn forget(&mut self) {
        (self.print, self.known, self.candidate) = (None, None, None);
    }

    fn judge(&mut self, found: Vec<u8>) -> Look {
        if self.known.as_ref() == Some(&found) {
            self.candidate = None;
            Look::Same
        } else if self.candidate.as_ref() == Some(&found) {
            self.known = self.candidate.take();
            Look::Changed
        } else {
            self.candidate = Some(found);
            Look::Unsettled
        }
    }
}

impl Print {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A folder with a file whose content is `before`, which has been taken note of.
    fn watched() -> (TempDir, WatchedFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        fs::write(&path, "before").unwrap();
        let mut file = WatchedFile::new(path);
        assert_eq!(file.look().unwrap(), Look::Unsettled);
        assert_eq!(file.look().unwrap(), Look::Changed, "nothing was known of it");
        assert_eq!(file.look().unwrap(), Look::Same);
        (dir, file)
    }

    #[test]
    fn new_content_counts_once_it_is_found_twice() {
        let (_dir, mut file) = watched();
        fs::write(file.path(), "half").unwrap();
        assert_eq!(file.look().unwrap(), Look::Unsettled);
        fs::write(file.path(), "half of it").unwrap();
        assert_eq!(file.look().unwrap(), Look::Unsettled, "it is still being written");
        assert_eq!(file.look().unwrap(), Look::Changed);
        assert_eq!(file.look().unwrap(), Look::Same);
    }

    #[test]
    fn a_file_that_was_written_anew_with_the_same_content_has_not_changed() {
        let (_dir, mut file) = watched();
        let other = file.path().with_extension("tmp");
        fs::write(&other, "before").unwrap();
        fs::rename(other, file.path()).unwrap();
        assert_eq!(file.look().unwrap(), Look::Same);
    }

    #[test]
    fn a_symbolic_link_that_is_turned_elsewhere_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let in_dir = |name: &str| dir.path().join(name);
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            fs::create_dir(in_dir(version)).unwrap();
            fs::write(in_dir(version).join("c.yaml"), text).unwrap();
        }
        // As Kubernetes does it: the file is a link into `..data`, which is a link that is replaced.
        symlink("v1", in_dir("..data")).unwrap();
        symlink("..data/c.yaml", in_dir("c.yaml")).unwrap();
        let mut file = WatchedFile::new(in_dir("c.yaml"));
        file.insist().unwrap();
        symlink("v2", in_dir("..data_tmp")).unwrap();
        fs::rename(in_dir("..data_tmp"), in_dir("..data")).unwrap();
        assert_eq!(file.look().unwrap(), Look::Unsettled);
        assert_eq!(file.look().unwrap(), Look::Changed);
    }

    #[test]
    fn who_insists_gets_the_content_at_once() {
        let (_dir, mut file) = watched();
        assert_eq!(file.insist().unwrap(), Look::Same);
        fs::write(file.path(), "after").unwrap();
        assert_eq!(file.insist().unwrap(), Look::Changed);
        assert_eq!(file.content(), b"after");
        assert_eq!(file.look().unwrap(), Look::Same);
    }

    #[test]
    fn a_file_that_is_gone_for_a_while_changes_nothing() {
        let (_dir, mut file) = watched();
        fs::remove_file(file.path()).unwrap();
        assert!(file.look().is_err() && file.insist().is_err());
        fs::write(file.path(), "before").unwrap();
        assert_eq!(file.look().unwrap(), Look::Same);
    }

    #[test]
    fn what_was_written_and_taken_back_has_not_changed() {
        let (_dir, mut file) = watched();
        fs::write(file.path(), "after").unwrap();
        assert_eq!(file.look().unwrap(), Look::Unsettled);
        fs::write(file.path(), "before").unwrap();
        assert_eq!(file.look().unwrap(), Look::Same);
        assert_eq!(file.look().unwrap(), Look::Same);
    }
}
