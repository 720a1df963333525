//! Detached signatures that lie beside their files.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;

use super::MAX_SIGNATURE_BYTES;

/// The signature at `path`; none where there is no regular file, or one that is larger than any signature. Blocks.
pub(crate) fn read_signature(path: &Path) -> Option<Vec<u8>> {
    // To open a FIFO must not wait for anybody.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIGNATURE_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    (1..=MAX_SIGNATURE_BYTES).contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_signature_by_its_size_or_its_kind_is_not_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("good"), vec![0x89; MAX_SIGNATURE_BYTES]).expect("a small file");
        fs::write(at("large"), vec![0x89; MAX_SIGNATURE_BYTES + 1]).expect("a small file");
        fs::write(at("empty"), b"").expect("a small file");
        std::os::unix::fs::symlink(at("good"), at("link")).expect("a link");
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a FIFO");
        assert_eq!(read_signature(&at("good")), Some(vec![0x89; MAX_SIGNATURE_BYTES]));
        for name in ["large", "empty", "link", "fifo", "missing", "."] {
            assert_eq!(read_signature(&at(name)), None, "{name}");
        }
    }
}
