use std::collections::BTreeSet;

use p2p_package::{FileName, Hasher, Index, IndexEntry};
use p2p_wire::{PointerFault, PublisherSecret, Statement};
use tempfile::TempDir;

use super::*;

/// What lies in the directory of one daemon, over its restarts.
struct Scene {
    directory: TempDir,
    publications: Arc<Publications>,
}

fn secret(number: u8) -> PublisherSecret {
    PublisherSecret::from_seed(&[number; 32])
}

fn core() -> InfoHash {
    club_id("core", "x86_64")
}

fn subject(key: &PublisherSecret) -> Subject {
    Subject { club: core(), key: key.public() }
}

/// A package of as many bytes as its name says.
fn entry(name: &str, length: u8) -> IndexEntry {
    let mut hasher = Hasher::new(length.into()).expect("a package's size");
    hasher.update(&vec![length; length.into()]);
    let hashed = hasher.finish(name.parse().expect("a name")).expect("all bytes");
    IndexEntry { sha256: hashed.sha256, info: hashed.info }
}

fn index_of(repository: &str, lengths: &[u8]) -> Vec<u8> {
    let entries = lengths.iter().map(|length| entry(&format!("a{length}-1-1-any.pkg.tar"), *length));
    let entries: BTreeMap<FileName, IndexEntry> =
        entries.map(|entry| (entry.info.file_name().clone(), entry)).collect();
    Index::write(repository, "x86_64", &entries).expect("a small index")
}

fn statement(database: &[u8], index: &[u8]) -> Statement {
    Statement { database: PublishedFile::of(database), index: PublishedFile::of(index) }
}

fn pointer(key: &PublisherSecret, seq: i64, said: &Statement) -> Pointer {
    Pointer::sign(key, &core(), seq, said)
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let publications = Arc::new(Publications::open(directory.path().to_owned()));
        Self { directory, publications }
    }

    fn restart(&mut self) {
        self.publications = Arc::new(Publications::open(self.directory.path().to_owned()));
    }

    fn follow(&self, keys: &[&PublisherSecret]) {
        let wanted = keys.iter().map(|key| (subject(key), "core".to_owned())).collect();
        self.publications.lock().follow(wanted, [core()].into());
    }

    fn hear(&self, pointer: &Pointer) -> Result<bool, Refusal> {
        self.publications.hear(&core(), pointer)
    }

    async fn draft(&self, bytes: &[u8], file: PublishedFile) -> Result<Draft, DraftFault> {
        let mut draft = self.publications.draft(file).await.expect("a file");
        draft.take(bytes).await.map(|()| draft)
    }

    async fn publish(&self, key: &PublisherSecret, seq: i64, files: [&[u8]; 2]) -> Result<(), PublishFault> {
        let said = statement(files[0], files[1]);
        let database = self.draft(files[0], said.database).await.map_err(PublishFault::File)?;
        let index = self.draft(files[1], said.index).await.map_err(PublishFault::File)?;
        let pointer = pointer(key, seq, &said);
        self.publications.publish(subject(key), "core".to_owned(), pointer, [database, index]).await
    }

    fn files(&self) -> usize {
        let entries = fs::read_dir(self.directory.path()).expect("our directory");
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != STATE)).count()
    }
}

#[test]
fn only_configured_publishers_are_believed_and_only_what_is_newer_over_restarts_too() {
    let (mut scene, ours, stranger) = (Scene::new(), secret(1), secret(2));
    let said = statement(b"database", b"index");
    scene.follow(&[&ours]);
    assert_eq!(scene.hear(&pointer(&stranger, 100, &said)), Err(Refusal::Stranger));
    assert_eq!(scene.publications.vouched("core"), None);
    assert_eq!(scene.hear(&pointer(&ours, 100, &said)), Ok(true));
    assert_eq!(scene.hear(&pointer(&ours, 100, &said)), Ok(false));
    let vouched = Vouched { sha256: said.database.sha256, length: 8, published: 100 };
    assert_eq!(scene.publications.vouched("core"), Some(vouched));
    scene.restart();
    assert_eq!(scene.publications.vouched("core"), None, "not before the configuration says so");
    scene.follow(&[&ours]);
    assert_eq!(scene.publications.vouched("core"), Some(vouched));
    let other = statement(b"another database", b"index");
    assert_eq!(scene.hear(&pointer(&ours, 99, &other)), Err(Refusal::Old));
    assert_eq!(scene.hear(&pointer(&ours, 100, &other)), Err(Refusal::Old), "two things at the same time");
    assert_eq!(scene.hear(&pointer(&ours, 101, &other)), Ok(true));
    assert_eq!(scene.publications.pointers(&core()), [pointer(&ours, 101, &other)]);
    scene.follow(&[]);
    assert!(scene.publications.pointers(&core()).is_empty() && scene.publications.list().is_empty());
}

#[test]
fn what_is_forged_for_another_repository_or_of_the_far_future_is_refused() {
    let (scene, ours) = (Scene::new(), secret(1));
    let said = statement(b"database", b"index");
    scene.follow(&[&ours]);
    let far = seconds(SystemTime::now()) + 2 * 24 * 60 * 60;
    assert_eq!(scene.hear(&pointer(&ours, far, &said)), Err(Refusal::Future));
    assert_eq!(scene.hear(&pointer(&ours, far - 2 * 24 * 60 * 60 + 60, &said)), Ok(true), "a clock a minute ahead");
    let forged = Pointer { seq: far - 2 * 24 * 60 * 60 + 61, ..pointer(&ours, 100, &said) };
    assert_eq!(scene.hear(&forged), Err(Refusal::Pointer(PointerFault::Signature)));
    let extra = Pointer::sign(&ours, &club_id("extra", "x86_64"), forged.seq, &said);
    assert_eq!(scene.hear(&extra), Err(Refusal::Pointer(PointerFault::Signature)));
}

#[test]
fn of_several_keys_the_one_that_spoke_last_vouches() {
    let (scene, old, new) = (Scene::new(), secret(1), secret(2));
    scene.follow(&[&old, &new]);
    let (before, after) = (statement(b"before", b"index"), statement(b"after", b"index"));
    scene.hear(&pointer(&old, 100, &before)).expect("a followed key");
    scene.hear(&pointer(&new, 200, &after)).expect("a followed key");
    let vouched = |scene: &Scene| scene.publications.vouched("core").map(|vouched| vouched.published);
    assert_eq!(vouched(&scene), Some(200));
    assert_eq!(scene.publications.pointers(&core()).iter().map(|pointer| pointer.seq).collect::<Vec<_>>(), [200, 100]);
    scene.follow(&[&old]);
    assert_eq!(vouched(&scene), Some(100));
}

#[tokio::test]
async fn an_index_is_used_when_it_is_the_one_that_was_named_and_of_this_repository() {
    let (scene, ours) = (Scene::new(), secret(1));
    scene.follow(&[&ours]);
    let (good, foreign) = (index_of("core", &[1, 2]), index_of("extra", &[3]));
    let adopt = async |seq: i64, index: &[u8]| {
        let said = statement(b"database", index);
        scene.hear(&pointer(&ours, seq, &said)).expect("a followed key");
        let missing = scene.publications.lock().missing();
        assert_eq!(missing, [(subject(&ours), said.index)]);
        let draft = scene.draft(index, said.index).await.expect("the right length");
        scene.publications.adopt_index(subject(&ours), draft).await.expect("the right bytes")
    };
    assert!(adopt(100, &good).await);
    let id = entry("a2-1-1-any.pkg.tar", 2).id();
    assert_eq!(scene.publications.info(&id), Some(entry("a2-1-1-any.pkg.tar", 2).info));
    let renamed = PackageId { file_name: "b2-1-1-any.pkg.tar".parse().expect("a name"), ..id.clone() };
    assert_eq!(scene.publications.info(&renamed), None, "not as the database says");
    assert!(!adopt(101, &foreign).await && !adopt(102, b"no index").await);
    assert!(scene.publications.lock().missing().is_empty(), "what is unfit is not asked for again");
    assert!(scene.publications.has_info(&id.sha256), "the last good one stays");
    assert_eq!(scene.files(), 1);
}

#[tokio::test]
async fn bytes_that_are_not_the_named_file_leave_nothing_behind() {
    let scene = Scene::new();
    let file = PublishedFile::of(b"the file");
    assert!(scene.draft(b"the file and more", file).await.is_err());
    for bytes in [&b"the fill"[..], b"the"] {
        let draft = scene.draft(bytes, file).await.expect("not too long");
        assert!(draft.finish().await.is_err());
    }
    assert_eq!(scene.files(), 0);
}

#[tokio::test]
async fn what_is_published_here_is_told_and_given_over_restarts_until_something_newer_is_published() {
    let (mut scene, ours) = (Scene::new(), secret(1));
    scene.publications.lock().follow(BTreeMap::new(), [core()].into());
    let index = index_of("core", &[1]);
    scene.publish(&ours, 100, [b"database", &index]).await.expect("it is taken");
    let published = |scene: &Scene| scene.publications.databases(&core()).into_iter().map(|claim| claim.id).next();
    scene.restart();
    assert_eq!(published(&scene), None, "we may have left the club");
    scene.publications.lock().follow(BTreeMap::new(), [core()].into());
    assert_eq!(published(&scene), Some(Sha256::of(b"database")));
    let read = |scene: &Scene, file: &[u8], range| scene.publications.read(&Sha256::of(file), range).expect("our disk");
    assert_eq!(read(&scene, b"database", 4..100), Some(Bytes::from_static(b"base")));
    assert_eq!(read(&scene, b"database", 8..9), None);
    assert_eq!(read(&scene, &index, 0..10), Some(Bytes::copy_from_slice(&index[..10])));
    assert_eq!(read(&scene, b"something else", 0..10), None);
    assert_eq!(scene.publications.vouched("core"), None, "nobody has configured it");
    let newer = index_of("core", &[1, 2]);
    scene.publish(&ours, 101, [b"newer database", &newer]).await.expect("it is taken");
    assert_eq!((published(&scene), scene.files()), (Some(Sha256::of(b"newer database")), 2));
    let again = scene.publish(&ours, 101, [b"database", &index]).await;
    assert!(matches!(again, Err(PublishFault::Refused(Refusal::Old))), "{again:?}");
    let foreign = scene.publish(&ours, 102, [b"database", &index_of("extra", &[1])]).await;
    assert!(matches!(foreign, Err(PublishFault::Refused(Refusal::Index))), "{foreign:?}");
    assert_eq!(
        (published(&scene), scene.files()),
        (Some(Sha256::of(b"newer database")), 2),
        "what is refused is removed"
    );
    let half = statement(b"half a database", &newer);
    let database = scene.draft(b"half a database", half.database).await.expect("the right length");
    let index = scene.draft(b"too short", half.index).await.expect("not too long");
    let wrong = pointer(&ours, 103, &half);
    let wrong = scene.publications.publish(subject(&ours), "core".to_owned(), wrong, [database, index]).await;
    assert!(matches!(wrong, Err(PublishFault::File(DraftFault::Other))), "{wrong:?}");
    assert_eq!(scene.files(), 2);
}

#[tokio::test]
async fn files_of_a_repository_that_is_not_shared_any_more_stay_here_and_are_not_given() {
    let (scene, ours) = (Scene::new(), secret(1));
    let index = index_of("core", &[1]);
    let gives = || {
        let files = [&b"database"[..], &index].map(Sha256::of);
        files.map(|file| scene.publications.read(&file, 0..1).expect("our disk").is_some())
    };
    scene.publications.lock().follow(BTreeMap::new(), [core()].into());
    scene.publish(&ours, 100, [b"database", &index]).await.expect("it is taken");
    assert_eq!(gives(), [true, true]);
    scene.publications.lock().follow(BTreeMap::new(), BTreeSet::new());
    assert_eq!((gives(), scene.files()), ([false, false], 2));
    scene.publications.lock().follow(BTreeMap::new(), [core()].into());
    assert_eq!(gives(), [true, true]);
}

#[tokio::test]
async fn what_is_published_here_does_not_crowd_out_those_whom_we_follow() {
    let (scene, followed) = (Scene::new(), secret(1));
    scene.follow(&[&followed]);
    let index = index_of("core", &[1]);
    scene.hear(&pointer(&followed, 100, &statement(b"followed", &index))).expect("a followed key");
    for (number, seq) in [(2, 205), (3, 202), (4, 203), (5, 204), (6, 201)] {
        let database = [number];
        scene.publish(&secret(number), seq, [&database, &index]).await.expect("it is taken");
    }
    let told: Vec<i64> = scene.publications.pointers(&core()).iter().map(|pointer| pointer.seq).collect();
    assert_eq!(told, [100, 205, 204, 203]);
    let databases: Vec<Sha256> = scene.publications.databases(&core()).into_iter().map(|claim| claim.id).collect();
    assert_eq!(databases, [2, 5, 4, 3].map(|number| Sha256::of(&[number])), "the newest first");
}

#[tokio::test]
async fn however_often_keys_are_replaced_there_is_room_for_the_next_one_and_none_for_ever_more_repositories() {
    let (mut scene, clubs) = (Scene::new(), BTreeSet::from([core()]));
    scene.publications.lock().follow(BTreeMap::new(), clubs.clone());
    let index = index_of("core", &[1]);
    let most = u8::try_from(book::MAX_OWN).expect("some keys");
    for number in 0..=most {
        let seq = 100 + i64::from(number);
        scene.publish(&secret(number), seq, [&[number], &index]).await.expect("an older key gives way");
    }
    scene.restart();
    scene.publications.lock().follow(BTreeMap::new(), clubs);
    let listed: BTreeSet<String> = scene.publications.list().into_iter().map(|entry| entry.key).collect();
    let expected: BTreeSet<String> = (1..=most).map(|number| secret(number).public().to_string()).collect();
    assert_eq!((listed, scene.files()), (expected, book::MAX_OWN + 1));
    let another = Subject { club: club_id("extra", "x86_64"), ..subject(&secret(1)) };
    assert_eq!(scene.publications.may_publish(&another, 100), Err(Refusal::Full));
}

#[test]
fn a_key_that_is_configured_again_cannot_be_rolled_back() {
    let (mut scene, ours) = (Scene::new(), secret(1));
    let said = statement(b"database", b"index");
    scene.follow(&[&ours]);
    scene.hear(&pointer(&ours, 100, &said)).expect("a followed key");
    scene.follow(&[]);
    scene.publications.save();
    scene.restart();
    scene.follow(&[&ours]);
    assert_eq!(scene.hear(&pointer(&ours, 99, &said)), Err(Refusal::Old));
    assert_eq!(scene.publications.may_publish(&subject(&ours), 99), Err(Refusal::Old));
    assert_eq!(scene.hear(&pointer(&ours, 100, &said)), Ok(true), "it had been forgotten");
}

#[test]
fn a_broken_state_file_is_an_empty_one() {
    let mut scene = Scene::new();
    for text in [
        "",
        "no JSON",
        "[{}]",
        "[{\"repository\":\"core\",\"club\":\"00\",\"key\":\"\",\"seq\":1,\"signature\":\"\",\"value\":\"\",\"own\":true,\"index\":null}]",
    ] {
        fs::write(scene.directory.path().join(STATE), text).expect("our directory");
        scene.restart();
        assert!(scene.publications.list().is_empty(), "{text}");
    }
}
