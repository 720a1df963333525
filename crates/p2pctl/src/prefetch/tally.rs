//! What has come of a prefetch.

use std::fmt;

use bytesize::ByteSize;
use p2p_api::TransactionProgress;

use crate::report::{count, percent};

/// How many files came to which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The daemon's last word.
    pub(crate) record: TransactionProgress,
    /// Files that the daemon could not get.
    pub(crate) failed: u64,
    /// URLs that it was not even asked for.
    pub(crate) refused: u64,
    /// Packages that pacman has already.
    pub(crate) cached: u64,
}

impl Tally {
    /// Files that should be there and are not.
    pub(crate) const fn missing(&self) -> u64 {
        self.failed + self.refused
    }

    /// Files that should be there, but for those that were before.
    pub(crate) const fn all(&self) -> u64 {
        self.record.files + self.refused
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, there) = (self.all(), self.all().saturating_sub(self.missing()));
        match all {
            0 => write!(formatter, "nothing to fetch")?,
            _ if there == all => write!(formatter, "{}", count(all, "file"))?,
            _ => write!(formatter, "{there} of {}", count(all, "file"))?,
        }
        if there > 0 {
            let TransactionProgress { done, from_peers, .. } = self.record;
            write!(formatter, ", {}, {} from peers", ByteSize(done), percent(from_peers, done))?;
        }
        if self.cached > 0 {
            write!(formatter, "; {} in pacman's cache before", self.cached)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(files: u64, failed: u64, refused: u64, cached: u64) -> String {
        let done = 3 << 20;
        let record = TransactionProgress { files_done: files, files, done, total: done, from_peers: done / 3 };
        Tally { record, failed, refused, cached }.to_string()
    }

    #[test]
    fn the_last_line_counts_what_is_there() {
        assert_eq!(line(0, 0, 0, 0), "nothing to fetch");
        assert_eq!(line(0, 0, 0, 7), "nothing to fetch; 7 in pacman's cache before");
        assert_eq!(line(1, 0, 0, 0), "1 file, 3.0 MiB, 33 % from peers");
        assert_eq!(line(12, 1, 1, 2), "11 of 13 files, 3.0 MiB, 33 % from peers; 2 in pacman's cache before");
        assert_eq!(line(0, 0, 1, 0), "0 of 1 file");
    }
}
