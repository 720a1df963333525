//! Which compression a file has, told by its first bytes: the name of a database says nothing.

use std::io::{self, BufRead, Read};

use super::SyncDatabaseError;

/// Decompresses `file` as it is read, bounded in memory, and fails where the compressed data end early.
pub(super) fn decompressed<'a>(mut file: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, SyncDatabaseError> {
    // A pipe may give fewer bytes than the longest magic number; a file gives a whole buffer.
    let start = file.fill_buf().map_err(SyncDatabaseError::Read)?;
    if start.is_empty() {
        return Err(SyncDatabaseError::Empty);
    }
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd_decoder(file).map_err(SyncDatabaseError::Read)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(xz_decoder(file).map_err(SyncDatabaseError::Read)?),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// The most memory that a decoder may ask for: what the zstd program allows, and twice what `xz -9` needs. Without it a
/// file of some bytes could claim gigabytes.
const MEMORY_LOG: u32 = 27;

fn xz_decoder<'a>(file: impl BufRead + 'a) -> io::Result<impl Read + 'a> {
    let stream = liblzma::stream::Stream::new_stream_decoder(1 << MEMORY_LOG, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(file, stream))
}

fn zstd_decoder<'a>(file: impl BufRead + 'a) -> io::Result<impl Read + 'a> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
    decoder.window_log_max(MEMORY_LOG)?;
    Ok(decoder)
}
