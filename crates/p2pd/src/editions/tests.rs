use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use fs_err as fs;
use tempfile::TempDir;

use super::*;
use crate::config::Seed;
use crate::fetch::{DatabaseCopy, Source};

const CORE: &str = "core/core.db";

/// A machine with a repository that is shared, one that is not, and a key that pacman trusts.
struct Machine {
    directory: TempDir,
    databases: Arc<Databases>,
    editions: Editions,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-editions-").tempdir().expect("a temporary directory");
        for name in ["db/sync", "gnupg", "home", "databases"] {
            fs::create_dir_all(directory.path().join(name)).expect("a temporary directory");
        }
        let config = directory.path().join("pacman.conf");
        let text = format!(
            "[options]\nArchitecture = x86_64\nGPGDir = {0}/gnupg\nDBPath = {0}/db\n\
             [core]\nServer = http://m/core\n[private]\nServer = http://m/private\n",
            directory.path().display()
        );
        fs::write(&config, text).expect("a small file");
        let seed = Seed { repositories: vec!["core".to_owned()], ..Seed::default() };
        let knowledge = Arc::new(Knowledge::load(&config, &seed).expect("a valid configuration"));
        let databases = Arc::new(Databases::open(directory.path().join("databases"), Instant::now()));
        let keyring = Arc::new(Keyring::new(Arc::clone(&knowledge)));
        let editions = Editions::new(knowledge, Arc::clone(&databases), keyring);
        let machine = Self { directory, databases, editions };
        let key =
            ["--passphrase", "", "--quick-generate-key", "Tester <tester@example.org>", "ed25519", "sign", "never"];
        machine.gpg(&key);
        machine.gpg(&["--output", &machine.path("gnupg/pubring.gpg"), "--export"]);
        machine
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn gpg(&self, arguments: &[&str]) {
        let mut command = process::Command::new("gpg");
        command.args(["--homedir", &self.path("home"), "--batch", "--quiet", "--no-permission-warning"]);
        let output = command.args(arguments).output().expect("gpg runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn signature(&self, bytes: &[u8]) -> Vec<u8> {
        let (file, signature) = (self.path("file"), self.path("file.sig"));
        fs::write(&file, bytes).expect("a small file");
        self.gpg(&["--yes", "--detach-sign", "--no-armor", "--output", &signature, &file]);
        fs::read(signature).expect("gpg has written it")
    }

    /// What `pacman -Sy` leaves.
    fn place(&self, repository: &str, bytes: &[u8], signature: Option<&[u8]>) {
        let path = self.path(&format!("db/sync/{repository}.db"));
        // pacman renames a file into place.
        fs::write(format!("{path}.part"), bytes).expect("a small file");
        fs::rename(format!("{path}.part"), &path).expect("a small file");
        match signature {
            Some(signature) => fs::write(format!("{path}.sig"), signature).expect("a small file"),
            None => drop(fs::remove_file(format!("{path}.sig"))),
        }
    }

    /// A copy of ours, from a mirror that dated it so.
    fn keep(&self, bytes: &[u8], dated: u64) {
        let ((number, path), now) = (self.databases.new_file(), Instant::now());
        fs::write(path, bytes).expect("a small file");
        let (size, source) = (bytes.len() as u64, Source::Neighbours(1));
        let copy = DatabaseCopy::without_mirror(number, size, source, Some(dated), SystemTime::now());
        self.databases.keep(CORE, copy, now, now);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // gpg leaves its agent running.
        let mut command = process::Command::new("gpgconf");
        drop(command.args(["--homedir", &self.path("home"), "--kill", "all"]).output());
    }
}

fn core() -> InfoHash {
    club_id("core", "x86_64")
}

fn whole(editions: &Editions, id: &Sha256) -> Option<Bytes> {
    editions.read(id, &(0..u64::MAX)).expect("it can be read")
}

#[tokio::test]
async fn what_pacman_has_is_offered_with_its_signature_and_a_bad_one_counts_as_none() {
    let machine = Machine::new();
    assert!(machine.editions.look("core").await.is_none() && machine.editions.claims(core()).is_empty());
    let signature = machine.signature(b"one");
    machine.place("core", b"one", Some(&signature));
    let edition = machine.editions.look("core").await.expect("pacman has it");
    assert!(edition.signed.is_some() && edition.place == Place::Pacman);
    let claims = machine.editions.claims(core());
    let expected = DatabaseClaim { id: Sha256::of(b"one"), length: 3, signature: signature.clone().into() };
    assert_eq!(claims, [expected]);
    assert_eq!(whole(&machine.editions, &Sha256::of(b"one")).as_deref(), Some(b"one".as_slice()));
    machine.place("core", b"two", Some(&signature));
    let edition = machine.editions.look("core").await.expect("pacman has it");
    assert!(edition.signed.is_none() && machine.editions.claims(core())[0].signature.is_empty());
}

#[tokio::test]
async fn who_reads_the_one_before_is_not_disturbed() {
    let machine = Machine::new();
    for bytes in [b"one", b"two"] {
        machine.place("core", bytes, None);
        machine.editions.look("core").await.expect("pacman has it");
    }
    for bytes in [b"one".as_slice(), b"two"] {
        assert_eq!(whole(&machine.editions, &Sha256::of(bytes)).as_deref(), Some(bytes));
    }
    fs::write(machine.path("db/sync/core.db"), b"another").expect("a small file");
    assert_eq!(whole(&machine.editions, &Sha256::of(b"two")), None, "it was written to");
}

#[tokio::test]
async fn what_is_not_shared_is_neither_named_nor_given() {
    let machine = Machine::new();
    machine.place("private", b"secret", None);
    assert!(machine.editions.look("private").await.is_some(), "pacman may stay with it");
    assert!(machine.editions.claims(club_id("private", "x86_64")).is_empty());
    assert_eq!(whole(&machine.editions, &Sha256::of(b"secret")), None);
}

#[tokio::test]
async fn of_two_the_signed_one_is_offered_and_pacman_stays_with_the_later_one() {
    let machine = Machine::new();
    machine.place("core", b"ours", Some(&machine.signature(b"ours")));
    let in_an_hour = SystemTime::now() + Duration::from_hours(1);
    let later = in_an_hour.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    machine.keep(b"later", later);
    let newest = machine.editions.look("core").await.expect("there are two");
    assert_eq!((newest.id, newest.place), (Sha256::of(b"ours"), Place::Pacman));
    let standing = machine.editions.standing("core").expect("there are two");
    assert_eq!((standing.id, standing.dated), (Sha256::of(b"later"), later));
    assert!(Path::new(&machine.path("databases")).join("0") == standing.path());
}

/// The keyring is as it was before the first `pacman-key --init`.
#[tokio::test]
async fn a_signature_that_could_not_be_judged_is_judged_again_and_meanwhile_stays_with_its_database() {
    let machine = Machine::new();
    let (keys, signature) = (machine.path("gnupg/pubring.gpg"), machine.signature(b"one"));
    machine.place("core", b"one", Some(&signature));
    fs::rename(&keys, format!("{keys}.later")).expect("the keys are there");
    let edition = machine.editions.look("core").await.expect("pacman has it");
    assert!(edition.signed.is_none() && edition.signature == signature, "pacman gets what lies there");
    assert!(machine.editions.claims(core())[0].signature.is_empty(), "neighbours are told what is known");
    fs::rename(format!("{keys}.later"), &keys).expect("the keys are there");
    let edition = machine.editions.look("core").await.expect("pacman has it");
    assert!(edition.signed.is_none(), "not at every look");
    for known in &mut machine.editions.lock().get_mut("core").expect("it was looked at").examined {
        known.at -= AGAIN_AFTER;
    }
    let edition = machine.editions.look("core").await.expect("pacman has it");
    assert!(edition.signed.is_some() && machine.editions.claims(core())[0].signature == signature);
}

#[tokio::test]
async fn what_a_neighbour_has_is_measured_against_a_later_one_that_nobody_signed() {
    let machine = Machine::new();
    let signature = machine.signature(b"signed");
    machine.place("core", b"signed", Some(&signature));
    let at = machine.editions.look("core").await.and_then(|edition| edition.signed.clone()).expect("it is signed").at;
    for (bytes, dated, latest) in [
        (b"older".as_slice(), at - 1, b"signed".as_slice()),
        (b"later", at + 1, b"later"),
        (b"signed", at + 1, b"signed"),
    ] {
        machine.keep(bytes, dated);
        machine.editions.look("core").await.expect("there are two");
        let found = machine.editions.latest("core").expect("there are two");
        assert_eq!(found.id, Sha256::of(latest), "{dated}");
        assert_eq!(
            Reference::new(Some(&found), None).is_some(),
            found.signed.is_some(),
            "a signed one is no reference"
        );
    }
}
