//! A repository as a mirror serves it: packages and their database in `<repository>/os/<architecture>`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use p2p_package::{Metainfo, Sha256};

use crate::package::header;
use crate::{Keyring, Package, PackageSpec, run};

/// The architecture of every repository here; packages may be `any`.
pub(crate) const ARCH: &str = "x86_64";

/// A repository in a directory that a mirror serves.
#[derive(Debug)]
pub struct Repository {
    name: String,
    directory: PathBuf,
    packages: Vec<Package>,
    others: usize,
}

impl Repository {
    /// An empty repository below `root`, which several repositories may share.
    #[must_use]
    #[track_caller]
    pub fn new(root: &Path, name: &str) -> Self {
        let directory = root.join(name).join("os").join(ARCH);
        fs::create_dir_all(&directory).expect("the repository can be made");
        Self { name: name.to_owned(), directory, packages: Vec::new(), others: 0 }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its database, which is there once it is written.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.directory.join(format!("{}.db", self.name))
    }

    /// What the database lists once it is written.
    #[must_use]
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The path of one of its files in a URL, with the leading slash.
    #[must_use]
    pub fn url_path(&self, file_name: &str) -> String {
        format!("/{}/os/{ARCH}/{file_name}", self.name)
    }

    /// Makes a package and lists it in place of the version that was there; the old file stays.
    #[track_caller]
    pub fn add(&mut self, spec: &PackageSpec) -> Package {
        let package = spec.build(&self.directory);
        self.packages.retain(|other| other.name() != package.name());
        self.packages.push(package.clone());
        package
    }

    /// Lists this package of its directory in place of another version.
    pub fn relist(&mut self, package: &Package) {
        self.packages.retain(|other| other.name() != package.name());
        self.packages.push(package.clone());
    }

    /// Lists so many other packages, whose files are nowhere: `other-0` and so on, version 1-1.
    pub fn list_others(&mut self, count: usize) {
        self.others = count;
    }

    /// Writes `<name>.db` without pacman's tools: gzip, no checksums but SHA-256, no signatures.
    #[track_caller]
    pub fn write_database(&self) {
        let file = fs::File::create(self.database()).expect("the database can be written");
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        let packages = self.packages.iter().map(|package| (package.entry(), package.desc()));
        for (entry, text) in packages.chain((0..self.others).map(other)) {
            let path = format!("{entry}/desc");
            let appended = archive.append_data(&mut header(text.len() as u64, 0o644), path, text.as_bytes());
            appended.expect("the database can be written");
        }
        let written = archive.into_inner().and_then(flate2::write::GzEncoder::finish);
        written.and_then(|mut file| file.flush()).expect("the database can be written");
    }

    /// Writes `<name>.db` with the real repo-add. With a keyring, packages and database are signed first.
    #[track_caller]
    pub fn repo_add(&self, keyring: Option<&Keyring>) {
        let database = format!("{}.db.tar.gz", self.name);
        let mut command = Command::new("repo-add");
        command.current_dir(&self.directory).args(["--quiet", "--remove", &database]);
        command.args(self.packages.iter().map(Package::file_name));
        if let Some(keyring) = keyring {
            self.packages.iter().for_each(|package| drop(keyring.sign(&package.path)));
        }
        run(command, Duration::from_mins(2)).succeeded();
        if let Some(keyring) = keyring {
            let signature = keyring.sign(&self.directory.join(&database));
            let served = self.directory.join(format!("{}.db.sig", self.name));
            // repo-add may have left a link to the same file there.
            let _ = fs::remove_file(&served);
            fs::copy(signature, served).expect("the signature can be copied");
        }
    }

    /// Lays the canonical `.torrent` beside each package.
    #[track_caller]
    pub fn write_torrents(&self, trackers: &[String]) {
        for package in &self.packages {
            drop(package.torrent(&self.directory, trackers));
        }
    }

    /// Lays any metainfo, a lying one say, beside a package.
    #[track_caller]
    pub fn write_torrent(&self, package: &Package, metainfo: &Metainfo) {
        self.write_raw_torrent(package, &metainfo.encode());
    }

    /// Lays any bytes beside a package as its `.torrent`.
    #[track_caller]
    pub fn write_raw_torrent(&self, package: &Package, bytes: &[u8]) {
        let path = self.directory.join(format!("{}.torrent", package.file_name()));
        fs::write(path, bytes).expect("the torrent can be written");
    }
}

/// Directory and `desc` of a package whose file is nowhere, about as long as the average of Arch's.
fn other(number: usize) -> (String, String) {
    let (entry, sha256) = (format!("other-{number}-1-1"), Sha256::of(&number.to_le_bytes()));
    let text = format!(
        "%FILENAME%\n{entry}-any.pkg.tar.zst\n\n%NAME%\nother-{number}\n\n%BASE%\nother-{number}\n\n%VERSION%\n1-1\n\n\
         %DESC%\nA package that is listed and that nobody has, for tests of large databases\n\n%CSIZE%\n123456\n\n\
         %ISIZE%\n234567\n\n%SHA256SUM%\n{sha256}\n\n%URL%\nhttps://example.org/other/{number}\n\n%LICENSE%\nGPL\n\n\
         %ARCH%\nany\n\n%BUILDDATE%\n1700000000\n\n%PACKAGER%\nTester <tester@example.org>\n\n\
         %PROVIDES%\nlibother{number}.so=1-64\n\n%DEPENDS%\nother-{}\nother-{}\n\n%OPTDEPENDS%\nother-{}: for more\n\n",
        number / 2,
        number / 3,
        number / 5,
    );
    (entry, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PacmanRoot, PacmanRootOptions, Payload};

    fn pacman_lists(repository: &Repository, root: &Path, sig_level: &str, keyring: Option<&Keyring>) -> String {
        let server = format!("file://{}/$repo/os/$arch", root.display());
        let options =
            PacmanRootOptions { sig_level: sig_level.into(), ..PacmanRootOptions::new(&[repository], &[&server]) };
        let pacman = PacmanRoot::new(&options, keyring);
        pacman.pacman(&["-Sy"]).succeeded();
        pacman.pacman(&["-S", "base-a"]).succeeded();
        for package in repository.packages() {
            assert!(package.is_at(&pacman.cached(package)), "{}", package.file_name());
        }
        pacman.pacman(&["-Q"]).succeeded().stdout.clone()
    }

    fn fill(repository: &mut Repository) {
        let large = Payload::Random(700_000);
        repository.add(&PackageSpec::new("base-b").version("1:2.0+r5-1").arch("x86_64").payload(large));
        repository.add(&PackageSpec::new("base-a").depends("base-b").payload(Payload::Text(100_000)));
    }

    #[test]
    fn pacman_installs_from_a_database_written_here() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut repository = Repository::new(root.path(), "core");
        fill(&mut repository);
        repository.write_database();
        assert_eq!(pacman_lists(&repository, root.path(), "Never", None), "base-a 1-1\nbase-b 1:2.0+r5-1\n");
    }

    #[test]
    fn pacman_installs_signed_packages_from_a_signed_database_of_repo_add() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let keyring = Keyring::generate();
        let mut repository = Repository::new(root.path(), "core");
        fill(&mut repository);
        repository.repo_add(Some(&keyring));
        let listed = pacman_lists(&repository, root.path(), "Required", Some(&keyring));
        assert_eq!(listed, "base-a 1-1\nbase-b 1:2.0+r5-1\n");
    }
}
