//! What a file must begin with: a captive portal's page is neither package, database nor signature, whatever its
//! Content-Type says.

use p2p_pacman::Kind;
use p2p_webseed::MirrorFault;

/// First bytes of what libarchive reads a database from: gzip, compress, zstd (also with a skippable frame first), xz, bzip2,
/// lz4, lzip, lzop.
const COMPRESSED: [&[u8]; 9] = [
    &[0x1f, 0x8b],
    &[0x1f, 0x9d],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x50, 0x2a, 0x4d, 0x18],
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    b"BZh",
    &[0x04, 0x22, 0x4d, 0x18],
    b"LZIP",
    &[0x89, b'L', b'Z', b'O'],
];
/// Where a tar archive that is not compressed says what it is (POSIX, pax).
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// An armored signature (RFC 9580, 6.2).
const ARMOR: &[u8] = b"-----BEGIN PGP SIGNATURE";
/// Of a page, white space or a byte order mark may come first.
const PAGE_BYTES: usize = 32;

/// What a file is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A package: its SHA-256, or pacman, tells the rest.
    Package,
    /// A sync or files database.
    Database,
    /// A detached signature.
    Signature,
    /// Nothing is known of it.
    Unknown,
}

impl Content {
    pub(crate) fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Package(_) => Self::Package,
            Kind::Database | Kind::Files => Self::Database,
            Kind::Signature(_) | Kind::DatabaseSignature => Self::Signature,
            Kind::Other => Self::Unknown,
        }
    }

    /// How many first bytes [`Self::judge`] wants to see, where the file has as many.
    pub(crate) fn first_bytes(self) -> usize {
        match self {
            Self::Package => PAGE_BYTES,
            Self::Database => TAR_MAGIC.end,
            Self::Signature => ARMOR.len(),
            Self::Unknown => 0,
        }
    }

    /// Judges a file by its first bytes.
    pub(crate) fn judge(self, first: &[u8]) -> Result<(), MirrorFault> {
        let fault = match self {
            Self::Unknown => None,
            _ if first.is_empty() => Some("an empty file"),
            _ if is_page(first) => Some("a web page"),
            Self::Package => None,
            Self::Database => (!is_archive(first)).then_some("no database"),
            // A packet begins with a byte above 127 (RFC 9580, 4.2).
            Self::Signature => (first[0] < 0x80 && !first.starts_with(ARMOR)).then_some("no signature"),
        };
        fault.map_or(Ok(()), |what| Err(MirrorFault::NotThisFile(what)))
    }
}

fn is_page(first: &[u8]) -> bool {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    text.trim_ascii_start().starts_with(b"<")
}

fn is_archive(first: &[u8]) -> bool {
    COMPRESSED.iter().any(|magic| first.starts_with(magic)) || first.get(TAR_MAGIC) == Some(b"ustar".as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar() -> Vec<u8> {
        let mut bytes = vec![b'a'; 512];
        bytes[TAR_MAGIC].copy_from_slice(b"ustar");
        bytes
    }

    #[test]
    fn pages_and_empty_files_are_nothing_that_pacman_asks_for() {
        for content in [Content::Package, Content::Database, Content::Signature] {
            for first in [b"".as_slice(), b"<!DOCTYPE html>", b"\xef\xbb\xbf<html>", b"\r\n\t <?xml"] {
                assert!(matches!(content.judge(first), Err(MirrorFault::NotThisFile(_))), "{content:?} {first:?}");
            }
        }
        assert!(Content::Unknown.judge(b"<html>").is_ok());
    }

    #[test]
    fn a_database_is_an_archive() {
        for magic in COMPRESSED {
            assert!(Content::Database.judge(magic).is_ok(), "{magic:?}");
        }
        assert!(Content::Database.judge(&tar()[..Content::Database.first_bytes()]).is_ok());
        for wrong in [vec![0; 512], b"503 Service Unavailable".to_vec(), tar()[1..].to_vec()] {
            assert!(Content::Database.judge(&wrong).is_err());
        }
    }

    #[test]
    fn a_signature_is_a_packet_or_armored() {
        assert!(Content::Signature.judge(&[0x89, 1, 2]).is_ok());
        assert!(Content::Signature.judge(b"-----BEGIN PGP SIGNATURE-----\n").is_ok());
        assert!(Content::Signature.judge(b"Not found").is_err());
    }

    #[test]
    fn a_package_is_whatever_is_no_page() {
        assert!(Content::Package.judge(&[0x28, 0xb5, 0x2f, 0xfd]).is_ok());
        assert!(Content::Package.judge(b"unknown").is_ok());
    }
}
