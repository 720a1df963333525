use std::path::PathBuf;

use futures_util::StreamExt;
use p2p_api::{Failed, FailureCode, Ready};
use tokio::sync::watch::Sender;

use super::super::decision::Trust;
use super::super::guests::Guests;
use super::*;

const SIZE: u64 = 600_000;

struct Scene {
    _directory: tempfile::TempDir,
    path: Arc<Path>,
    bytes: Vec<u8>,
    fetch: Sender<Snapshot>,
}

/// A file whose first half has come.
fn scene() -> Scene {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path: Arc<Path> = directory.path().join("a").into();
    let bytes: Vec<u8> = (0..SIZE).map(|n| n.to_le_bytes()[0]).collect();
    fs_err::write(&path, &bytes).expect("a temporary file");
    let source = Some(Arc::clone(&path));
    let fetch = Sender::new(Snapshot { total: Some(SIZE), source, contiguous: SIZE / 2, ..Snapshot::default() });
    Scene { _directory: directory, path, bytes, fetch }
}

impl Scene {
    async fn growing(&self, range: Range<u64>) -> Growing {
        let (file, size) = open(&self.path).await.expect("our own file");
        let visit = Guests::default().enter([127, 0, 0, 1].into()).expect("the first one");
        Growing {
            file,
            source: Arc::clone(&self.path),
            size,
            range,
            rewinds: 0,
            wish: Wish { trust: Trust::Database { shared: true }, range: None },
            awaited: Awaited::new(self.fetch.subscribe(), visit.begin_errand().expect("the first one")),
        }
    }

    fn end(&self, outcome: Outcome) {
        self.fetch.send_modify(|snapshot| (snapshot.contiguous, snapshot.outcome) = (SIZE, Some(outcome)));
    }
}

fn ready(path: PathBuf, verified: bool) -> Outcome {
    Outcome::Ready(Ready {
        path,
        size: SIZE,
        modified: None,
        verified,
        from_peers: 0,
        from_mirrors: SIZE,
        signature: None,
        transaction: None,
    })
}

/// All bytes until the end, or until it breaks.
async fn collect(body: Body) -> (Vec<u8>, bool) {
    let (mut bytes, mut stream) = (Vec::new(), body.into_data_stream());
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}

#[tokio::test]
async fn a_complete_file_is_sent_from_its_first_wanted_byte_to_its_last() {
    let scene = scene();
    for range in [0..SIZE, 70_000..SIZE, 5..6, 0..CHUNK, SIZE..SIZE] {
        let (file, size) = open(&scene.path).await.expect("our own file");
        assert_eq!(size, SIZE);
        let wanted = usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small");
        assert_eq!(collect(complete(file, range)).await, (scene.bytes[wanted].to_vec(), true));
    }
}

#[tokio::test]
async fn a_file_that_has_become_shorter_breaks_the_answer() {
    let scene = scene();
    let (file, _) = open(&scene.path).await.expect("our own file");
    fs_err::write(&scene.path, b"short").expect("our own file");
    let (bytes, is_whole) = collect(complete(file, 0..SIZE)).await;
    assert!(bytes.is_empty() && !is_whole);
}

#[tokio::test]
async fn a_link_is_not_opened_and_a_small_file_must_be_small() {
    let scene = scene();
    let link = scene.path.with_file_name("link");
    fs_err::os::unix::fs::symlink(&scene.path, &link).expect("our own directory");
    assert!(open(&link).await.is_err() && open(scene.path.parent().expect("a directory")).await.is_err());
    assert!(small(&scene.path, SIZE).await.is_ok_and(|bytes| bytes == scene.bytes));
    assert!(small(&scene.path, SIZE - 1).await.is_err());
}

#[tokio::test]
async fn a_growing_file_is_sent_as_it_comes_and_its_end_when_it_is_verified() {
    let scene = scene();
    let mut stream = scene.growing(10..SIZE).await.body().into_data_stream();
    let mut bytes = Vec::new();
    while bytes.len() as u64 + 10 < SIZE / 2 {
        bytes.extend_from_slice(&stream.next().await.expect("more").expect("no fault"));
    }
    scene.fetch.send_modify(|snapshot| snapshot.contiguous = SIZE);
    while bytes.len() as u64 + 10 < SIZE - HELD_BACK {
        bytes.extend_from_slice(&stream.next().await.expect("more").expect("no fault"));
    }
    assert_eq!(bytes.len() as u64 + 10, SIZE - HELD_BACK, "the end is held back");
    scene.end(ready(scene.path.to_path_buf(), true));
    bytes.extend_from_slice(&stream.next().await.expect("the end").expect("no fault"));
    assert!(stream.next().await.is_none());
    assert_eq!(bytes, scene.bytes[10..]);
}

#[tokio::test]
async fn a_file_that_turns_out_wrong_is_never_completed() {
    let failed = Failed { code: FailureCode::Mismatch, message: String::new(), hint: None };
    for outcome in [Outcome::Failed(failed), Outcome::Abandoned] {
        let scene = scene();
        let body = scene.growing(0..SIZE).await.body();
        scene.end(outcome);
        assert!(!collect(body).await.1);
    }
    let scene = scene();
    for (path, verified) in [(scene.path.to_path_buf(), false), ("/another".into(), true)] {
        let body = scene.growing(0..SIZE).await.body();
        scene.end(ready(path, verified));
        let (bytes, is_whole) = collect(body).await;
        assert!(bytes.is_empty() && !is_whole);
    }
}

#[tokio::test]
async fn a_fetch_that_begins_anew_or_vanishes_breaks_the_answer() {
    let changes: [fn(&mut Snapshot); 2] =
        [|snapshot| snapshot.source = Some(Path::new("/another").into()), |snapshot| snapshot.rewinds += 1];
    for change in changes {
        let scene = scene();
        let body = scene.growing(0..SIZE).await.body();
        scene.fetch.send_modify(change);
        assert!(!collect(body).await.1);
    }
    let scene = scene();
    let body = scene.growing(0..SIZE).await.body();
    drop(scene.fetch);
    let (bytes, is_whole) = collect(body).await;
    assert!(bytes.len() as u64 == SIZE / 2 && !is_whole);
}
