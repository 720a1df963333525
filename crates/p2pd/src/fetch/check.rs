//! Whether a `.torrent` can be true: a few pieces of it are compared with what a mirror sends.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fs_err::File;
use p2p_package::{Info, PieceHash};
use p2p_webseed::Mirrors;
use rand::RngExt;
use url::Url;

/// Pieces of the file that are compared, at most: a lie in the others is found when the mirror comes to them.
const MOST_PIECES: u32 = 256;
/// Packages above this have one random piece fetched for comparison, in bytes.
const RANDOM_PIECE_ABOVE: u64 = 4 * 1024 * 1024;
/// How long the random piece may take; a mirror that is slower says nothing.
const RANDOM_PIECE_WITHIN: Duration = Duration::from_secs(1);

/// Whether nothing that a mirror has sent contradicts `info`: neither the first `contiguous` bytes of the file at `path` nor
/// a random piece from `mirror`.
pub(crate) async fn agrees(
    info: Info,
    path: Arc<Path>,
    contiguous: u64,
    client: &Mirrors,
    mirror: Option<&Url>,
) -> bool {
    let random = random_piece_agrees(&info, client, mirror).await;
    let prefix = tokio::task::spawn_blocking({
        let info = info.clone();
        move || prefix_agrees(&info, &path, contiguous)
    });
    random && prefix.await.unwrap_or(true)
}

fn prefix_agrees(info: &Info, path: &Path, contiguous: u64) -> bool {
    let Ok(file) = File::open(path) else { return true };
    let complete = u32::try_from(contiguous / u64::from(info.piece_length().bytes())).unwrap_or(MOST_PIECES);
    (0..complete.min(MOST_PIECES)).all(|piece| {
        let range = info.piece_range(piece);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("a piece fits into memory")];
        let read = file.file().read_exact_at(&mut bytes, range.start);
        read.is_err() || PieceHash::of(&bytes) == info.pieces()[piece as usize]
    })
}

async fn random_piece_agrees(info: &Info, client: &Mirrors, mirror: Option<&Url>) -> bool {
    let Some(mirror) = mirror.filter(|_| info.length() > RANDOM_PIECE_ABOVE) else { return true };
    let piece = rand::rng().random_range(0..u32::try_from(info.pieces().len()).expect("pieces are counted in 32 bits"));
    let fetched = client.range(mirror, info.piece_range(piece), info.length());
    match tokio::time::timeout(RANDOM_PIECE_WITHIN, fetched).await {
        Ok(Ok(bytes)) => PieceHash::of(&bytes) == info.pieces()[piece as usize],
        _ => true,
    }
}
