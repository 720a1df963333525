//! The engine's view of a spool file: one file, read and written in place.

use std::path::Path;
use std::sync::Arc;

// librqbit's storage traits speak anyhow; nothing else in this crate does.
use anyhow::Result;
use librqbit::storage::{BoxStorageFactory, StorageFactory, StorageFactoryExt, TorrentStorage};
use librqbit::{ManagedTorrentShared, TorrentMetadata};
use librqbit_core::lengths::ValidPieceIndex;

use crate::spool::Spool;

/// Hands the engine the storage of one torrent.
#[derive(Debug, Clone)]
pub(crate) struct SpoolStorage(pub(crate) Arc<Spool>);

impl StorageFactory for SpoolStorage {
    type Storage = Self;

    fn create(&self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> Result<Self> {
        Ok(self.clone())
    }

    fn clone_box(&self) -> BoxStorageFactory {
        self.clone().boxed()
    }
}

// There is one file, so `file_id` is always zero: `Info` admits no other torrent.
impl TorrentStorage for SpoolStorage {
    fn init(&mut self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> Result<()> {
        Ok(())
    }

    fn pread_exact(&self, _file_id: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        Ok(self.0.read(offset, buf)?)
    }

    fn pwrite_all(&self, _file_id: usize, offset: u64, buf: &[u8]) -> Result<()> {
        Ok(self.0.write(offset, buf)?)
    }

    // The caller of `Engine::join` owns the file and its directory.
    fn remove_file(&self, _file_id: usize, _filename: &Path) -> Result<()> {
        Ok(())
    }

    fn remove_directory_if_empty(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    // Called once, at the end of the initial check.
    fn ensure_file_length(&self, _file_id: usize, _length: u64) -> Result<()> {
        self.0.grow();
        Ok(())
    }

    fn take(&self) -> Result<Box<dyn TorrentStorage>> {
        Ok(Box::new(self.clone()))
    }

    fn on_piece_completed(&self, piece: ValidPieceIndex) -> Result<()> {
        self.0.mark(piece.get_usize());
        Ok(())
    }
}
