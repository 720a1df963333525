//! Measures one mirror: `mirror_speed plain|swarm URL FILE [MIRROR_URL…]`.
//!
//! `plain` downloads the whole file as the daemon does without peers: written to FILE, with SHA-256 and piece hashes on the
//! way. `swarm` downloads it once to learn the pieces, and then through the engine and one virtual peer per URL.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use p2p_engine::{Engine, EngineOptions, Stage};
use p2p_package::{Hashed, Hasher};
use p2p_webseed::{MirrorOptions, Mirrors, VirtualPeer, mirror_url};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, path, more @ ..] = arguments.as_slice() else {
        return Err("mirror_speed plain|swarm URL FILE [URL…]".into());
    };
    let mirrors = Mirrors::new(MirrorOptions::default())?;
    let (hashed, elapsed) = download(&mirrors, url, path).await?;
    report("plain", hashed.info.length(), elapsed)?;
    if mode == "swarm" {
        let urls: Vec<&String> = [url].into_iter().chain(more).collect();
        let elapsed = swarm(&mirrors, &urls, path, &hashed).await?;
        report("swarm", hashed.info.length(), elapsed)?;
    }
    Ok(())
}

fn report(what: &str, bytes: u64, elapsed: Duration) -> std::io::Result<()> {
    let rate = u128::from(bytes) / 1_048_576 * 1000 / elapsed.as_millis().max(1);
    writeln!(std::io::stdout(), "{what}: {bytes} bytes in {elapsed:.2?}, {rate} MiB/s")
}

async fn download(mirrors: &Mirrors, url: &str, path: &str) -> Result<(Hashed, Duration), Box<dyn Error>> {
    let begin = Instant::now();
    let mut download = mirrors.get(&mirror_url(url)?, 0).await?;
    let mut hasher = Hasher::new(download.total().ok_or("no size")?).ok_or("not a package's size")?;
    let mut file = fs_file(path)?;
    // The disk and the hashes do not wait for the network, nor it for them.
    let (sender, receiver) = std::sync::mpsc::sync_channel::<bytes::Bytes>(16);
    let writing = tokio::task::spawn_blocking(move || {
        for chunk in receiver {
            hasher.update(&chunk);
            file.write_all(&chunk)?;
        }
        Ok::<_, std::io::Error>(hasher)
    });
    while let Some(chunk) = download.chunk().await? {
        sender.send(chunk)?;
    }
    drop(sender);
    let hashed = writing.await??.finish("a-1-1-any.pkg.tar.zst".parse()?).ok_or("another size")?;
    Ok((hashed, begin.elapsed()))
}

async fn swarm(mirrors: &Mirrors, urls: &[&String], path: &str, hashed: &Hashed) -> Result<Duration, Box<dyn Error>> {
    let engine = Engine::start(EngineOptions { peer_id: *b"-P20100-mirror-speed", proxy: None }).await?;
    let begin = Instant::now();
    let swarm = engine.join(hashed.info.clone(), fs_file(path)?).await?;
    let mut peers = Vec::new();
    for url in urls {
        peers.push(VirtualPeer::call(
            mirrors.clone(),
            mirror_url(url)?,
            hashed.info.clone(),
            engine.listen_addr(),
            None,
        ));
    }
    let mut progress = swarm.progress();
    let end = progress.wait_for(|progress| matches!(progress.stage, Stage::Complete | Stage::Failed(_))).await?;
    let elapsed = begin.elapsed();
    writeln!(std::io::stdout(), "{:?}, {} peers", end.stage, swarm.peers())?;
    drop(end);
    swarm.leave().await;
    for peer in &peers {
        writeln!(std::io::stdout(), "{:?}", peer.state().borrow().clone())?;
    }
    Ok(elapsed)
}

fn fs_file(path: &str) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(path)
}
