//! A seeder behind a listener on loopback, and packages for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use p2p_package::{FileName, Hasher, Metainfo, PackageId};
use p2p_seeder::{Catalog, Claim, Direction, End, FileStamp, Peer, Row, Seeder, SeederOptions, Vicinity};
use p2p_wire::{Handshake, PeerId};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What a machine that seeds consists of.
pub(crate) struct Machine {
    pub(crate) directory: TempDir,
    pub(crate) catalog: Catalog,
    pub(crate) seeder: Seeder,
    pub(crate) address: SocketAddr,
    /// How each connection ended.
    pub(crate) ends: mpsc::UnboundedReceiver<End>,
    /// What was told of claims to slots.
    pub(crate) claims: mpsc::UnboundedReceiver<Claim>,
}

impl Machine {
    pub(crate) async fn new() -> Self {
        Self::with_slots(Vicinity::Local, 8).await
    }

    /// One whose peers are all there, and that has so many slots.
    pub(crate) async fn with_slots(vicinity: Vicinity, slots: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(&directory.path().join("catalog.db"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (listen_port, peer_id) = (Some(address.port()), PeerId::ours([7; 12]));
        let options = SeederOptions { listen_port, slots, ..SeederOptions::new(peer_id) };
        let seeder = Seeder::new(catalog.clone(), options);
        let ((ends, all_ends), (claims, all_claims)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(accept(listener, seeder.clone(), vicinity, Told { ends, claims }));
        Self { directory, catalog, seeder, address, ends: all_ends, claims: all_claims }
    }

    /// A package of this many bytes, in the catalog.
    pub(crate) fn package(&self, name: &str, bytes: usize) -> Arc<Row> {
        let path = self.directory.path().join(name);
        fs_err::write(&path, content(bytes)).expect("a file");
        self.catalog.insert(hash(name, path))
    }

    pub(crate) fn torrent(&self, row: &Row) -> PathBuf {
        self.torrent_with(row, Vec::new())
    }

    pub(crate) fn torrent_with(&self, row: &Row, trackers: Vec<String>) -> PathBuf {
        let path = self.directory.path().join("package.torrent");
        let metainfo = Metainfo { info: row.info.clone(), trackers, webseeds: Vec::new() };
        fs_err::write(&path, metainfo.encode()).expect("a file");
        path
    }
}

/// Bytes that no piece has twice.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(bytes).collect()
}

fn hash(name: &str, path: PathBuf) -> Row {
    let content = fs_err::read(&path).expect("the file");
    let file_name: FileName = name.parse().expect("a package name");
    let mut hasher = Hasher::new(content.len() as u64).expect("a package");
    hasher.update(&content);
    let hashed = hasher.finish(file_name.clone()).expect("all bytes");
    let id = PackageId { file_name, size: content.len() as u64, sha256: hashed.sha256 };
    let stamp = FileStamp::of_path(&path).expect("a file");
    Row::new(id, hashed.info, path, stamp, "core".into())
}

/// Where what a seeder tells goes.
#[derive(Clone)]
struct Told {
    ends: mpsc::UnboundedSender<End>,
    claims: mpsc::UnboundedSender<Claim>,
}

async fn accept(listener: TcpListener, seeder: Seeder, vicinity: Vicinity, told: Told) {
    while let Ok((mut stream, address)) = listener.accept().await {
        let (seeder, Told { ends, claims }) = (seeder.clone(), told.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).expect("a socket");
            let mut theirs = [0; Handshake::BYTES];
            if stream.read_exact(&mut theirs).await.is_err() {
                return;
            }
            let Ok(theirs) = Handshake::decode(&theirs) else { return };
            let end = {
                let direction = Direction::Incoming;
                let peer = Peer { handshake: theirs, address, vicinity, direction };
                let on_claim = move |claim| {
                    let _ = claims.send(claim);
                };
                seeder.serve(stream, peer, on_claim).await
            };
            let _ = ends.send(end);
        });
    }
}
