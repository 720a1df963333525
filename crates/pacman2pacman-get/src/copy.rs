//! Bytes from the daemon's file to the stage: shared on a file system that can, else copied by the kernel, else by us.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{copy_file_range, ioctl_ficlone};

use crate::interruption::{Interruption, Stop};
use crate::source::SourceFault;
use crate::stage::{Stage, TargetFault};

/// So much is copied between two looks at the signals: some milliseconds.
const STEP: u64 = 8 << 20;

const BUFFER: usize = 256 << 10;

/// Why a copy ended early.
#[derive(Debug)]
pub(crate) enum CopyFault {
    Source(SourceFault),
    Target(TargetFault),
    Stopped(Stop),
}

/// Copies `range` of `source` to the same place in the stage.
pub(crate) fn copy(
    source: &File,
    stage: &Stage,
    range: Range<u64>,
    interruption: &Interruption,
) -> Result<(), CopyFault> {
    let mut at = range.start;
    let mut by_kernel = true;
    while at < range.end {
        interruption.check().map_err(CopyFault::Stopped)?;
        let end = range.end.min(at + STEP);
        let reached = if by_kernel { kernel_step(source, stage.file(), at..end) } else { None };
        by_kernel = reached.is_some();
        at = reached.map_or_else(|| buffered_step(source, stage, at..end), Ok)?;
    }
    Ok(())
}

/// Makes the empty stage share the blocks of the whole source; false where the file system can't.
pub(crate) fn share(source: &File, stage: &Stage) -> bool {
    ioctl_ficlone(stage.file(), source).is_ok()
}

/// None when the kernel won't: across file systems, at the end of a file that is too short, on any error. Reading and
/// writing by ourselves then tells what is wrong, and with which of the two files.
fn kernel_step(source: &File, target: &File, range: Range<u64>) -> Option<u64> {
    let (mut from, mut to) = (range.start, range.start);
    let length = usize::try_from(range.end - range.start).ok()?;
    match copy_file_range(source, Some(&mut from), target, Some(&mut to), length) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(to),
    }
}

fn buffered_step(source: &File, stage: &Stage, range: Range<u64>) -> Result<u64, CopyFault> {
    let mut buffer = vec![0; BUFFER];
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).map_or(BUFFER, |left| left.min(BUFFER));
        let count = match source.read_at(&mut buffer[..wanted], at) {
            Ok(0) => return Err(CopyFault::Source(SourceFault::Contradicts)),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyFault::Source(SourceFault::Unread(error))),
        };
        let written = stage.file().write_all_at(&buffer[..count], at);
        written.map_err(|error| CopyFault::Target(stage.fault(error)))?;
        at += count as u64;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_copied_one_after_another_are_the_file_by_kernel_and_by_hand() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
        fs_err::write(directory.path().join("source"), &bytes).unwrap();
        let source = fs_err::File::open(directory.path().join("source")).unwrap().into_parts().0;
        let end = bytes.len() as u64;
        let target = directory.path().join("target");
        let stage = Stage::new(&target).unwrap();
        let interruption = Interruption::watch();
        for range in [0..1, 1..1_000_000, 1_000_000..end] {
            copy(&source, &stage, range, &interruption).unwrap();
        }
        stage.publish(None).unwrap();
        assert_eq!(fs_err::read(&target).unwrap(), bytes);

        let stage = Stage::new(&target).unwrap();
        assert_eq!(buffered_step(&source, &stage, 0..end).unwrap(), end);
        stage.publish(None).unwrap();
        assert_eq!(fs_err::read(&target).unwrap(), bytes);
    }

    #[test]
    fn a_source_that_is_shorter_than_promised_is_a_contradiction() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("source"), "short").unwrap();
        let source = fs_err::File::open(directory.path().join("source")).unwrap().into_parts().0;
        let stage = Stage::new(&directory.path().join("target")).unwrap();
        let result = copy(&source, &stage, 0..6, &Interruption::watch());
        assert!(matches!(result, Err(CopyFault::Source(SourceFault::Contradicts))));
    }
}
