//! Real packages, as makepkg would make them, of any size, without makepkg.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use p2p_package::{FileName, Hasher, Info, Metainfo, PackageId, Sha256};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// When every package was "built", in Unix seconds.
pub(crate) const BUILD_DATE: u64 = 1_700_000_000;

const CHUNK: usize = 1 << 20;

/// What a package installs beside its metadata, in bytes before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Bytes that do not compress: so the package is about as large.
    Random(u64),
    /// A text that compresses very well.
    Text(u64),
}

/// A package that is to be made.
#[derive(Debug, Clone)]
pub struct PackageSpec {
    name: String,
    version: String,
    arch: String,
    depends: Vec<String>,
    groups: Vec<String>,
    provides: Vec<String>,
    payload: Payload,
}

impl PackageSpec {
    /// A small package `name-1-1-any`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            version: "1-1".into(),
            arch: "any".into(),
            depends: Vec::new(),
            groups: Vec::new(),
            provides: Vec::new(),
            payload: Payload::Random(2_000),
        }
    }

    /// Another version, `1:2.0-1` say.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Another architecture than `any`.
    #[must_use]
    pub fn arch(mut self, arch: &str) -> Self {
        arch.clone_into(&mut self.arch);
        self
    }

    /// One more dependency.
    #[must_use]
    pub fn depends(mut self, name: &str) -> Self {
        self.depends.push(name.to_owned());
        self
    }

    /// One more group that it is in.
    #[must_use]
    pub fn group(mut self, name: &str) -> Self {
        self.groups.push(name.to_owned());
        self
    }

    /// One more name that it answers to.
    #[must_use]
    pub fn provides(mut self, name: &str) -> Self {
        self.provides.push(name.to_owned());
        self
    }

    /// What it installs: one file `usr/share/p2p-tests/<name>`.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Makes the package file in `directory`. The same specification gives the same bytes.
    #[must_use]
    #[track_caller]
    pub fn build(&self, directory: &Path) -> Package {
        let Self { name, version, arch, .. } = self;
        let file_name: FileName = format!("{name}-{version}-{arch}.pkg.tar.zst").parse().expect("a package's name");
        let path = directory.join(file_name.as_str());
        self.write(&path).expect("the package can be written");
        Package::read(self.clone(), file_name, path)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let file = fs::File::create(path)?;
        let mut archive = tar::Builder::new(zstd::stream::write::Encoder::new(file, 1)?);
        let text = self.pkginfo();
        archive.append_data(&mut header(text.len() as u64, 0o644), ".PKGINFO", text.as_bytes())?;
        for directory in ["usr/", "usr/share/", "usr/share/p2p-tests/"] {
            let mut header = header(0, 0o755);
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, directory, io::empty())?;
        }
        let seed = Sha256::of(format!("{}-{}", self.name, self.version).as_bytes());
        let rng = SmallRng::from_seed(*seed.as_bytes());
        let path = format!("usr/share/p2p-tests/{}", self.name);
        let mut header = header(self.payload.bytes(), 0o644);
        match self.payload {
            Payload::Random(bytes) => archive.append_data(&mut header, path, Noise(rng).take(bytes))?,
            Payload::Text(bytes) => archive.append_data(&mut header, path, io::repeat(b'p').take(bytes))?,
        }
        archive.into_inner()?.finish()?.flush()
    }

    fn pkginfo(&self) -> String {
        let Self { name, version, arch, .. } = self;
        let size = self.payload.bytes();
        let mut text = format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = A package for tests\n\
             url = https://example.org/\nbuilddate = {BUILD_DATE}\npackager = Tester <tester@example.org>\n\
             size = {size}\narch = {arch}\nlicense = GPL\n"
        );
        for (key, values) in [("group", &self.groups), ("provides", &self.provides), ("depend", &self.depends)] {
            for value in values {
                writeln!(text, "{key} = {value}").expect("a String takes all");
            }
        }
        text
    }
}

impl Payload {
    fn bytes(self) -> u64 {
        match self {
            Self::Random(bytes) | Self::Text(bytes) => bytes,
        }
    }
}

/// A package file.
#[derive(Debug, Clone)]
pub struct Package {
    spec: PackageSpec,
    /// Where it lies.
    pub path: PathBuf,
    /// What a sync database says of it.
    pub id: PackageId,
    /// Its canonical torrent.
    pub info: Info,
}

impl Package {
    fn read(spec: PackageSpec, file_name: FileName, path: PathBuf) -> Self {
        let mut file = fs::File::open(&path).expect("the package was just written");
        let size = file.metadata().expect("an open file has a size").len();
        let mut hasher = Hasher::new(size).expect("a package has a size");
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk).expect("the package was just written");
            if read == 0 {
                break;
            }
            hasher.update(&chunk[..read]);
        }
        let hashed = hasher.finish(file_name.clone()).expect("nobody else writes to the package");
        Self { spec, path, id: PackageId { file_name, size, sha256: hashed.sha256 }, info: hashed.info }
    }

    /// Another file of the same name and length in `directory`.
    #[must_use]
    #[track_caller]
    pub fn forged(&self, directory: &Path) -> Self {
        let path = directory.join(self.file_name());
        let bytes: Vec<u8> = self.bytes().into_iter().map(|byte| !byte).collect();
        fs::write(&path, bytes).expect("the forgery can be written");
        Self::read(self.spec.clone(), self.id.file_name.clone(), path)
    }

    /// `%NAME%`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its file name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.id.file_name.as_str()
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.id.size
    }

    /// Its bytes.
    #[must_use]
    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).expect("the package is still there")
    }

    /// Whether the file at `path` has exactly this package's bytes.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        fs::read(path).is_ok_and(|bytes| Sha256::of(&bytes) == self.id.sha256)
    }

    /// Its canonical torrent, with trackers and webseeds.
    #[must_use]
    pub fn metainfo(&self, trackers: &[String], webseeds: &[String]) -> Metainfo {
        Metainfo { info: self.info.clone(), trackers: trackers.to_vec(), webseeds: webseeds.to_vec() }
    }

    /// Its canonical torrent as a file in `directory`, without webseeds.
    #[must_use]
    #[track_caller]
    pub fn torrent(&self, directory: &Path, trackers: &[String]) -> PathBuf {
        let path = directory.join(format!("{}.torrent", self.file_name()));
        fs::write(&path, self.metainfo(trackers, &[]).encode()).expect("the torrent can be written");
        path
    }

    /// A magnet link to its canonical torrent.
    #[must_use]
    pub fn magnet(&self, trackers: &[String]) -> String {
        let mut link = format!("magnet:?xt=urn:btih:{}&dn=package", self.info.info_hash());
        for tracker in trackers {
            write!(link, "&tr={tracker}").expect("a String takes all");
        }
        link
    }

    /// Its `desc` in a sync database, as repo-add 6.1 writes it.
    pub(crate) fn desc(&self) -> String {
        let PackageSpec { name, version, arch, depends, groups, provides, payload } = &self.spec;
        let mut text = String::new();
        let mut field = |key: &str, value: &str| {
            if !value.is_empty() {
                write!(text, "%{key}%\n{value}\n\n").expect("a String takes all");
            }
        };
        field("FILENAME", self.file_name());
        field("NAME", name);
        field("BASE", name);
        field("VERSION", version);
        field("DESC", "A package for tests");
        field("GROUPS", &groups.join("\n"));
        field("CSIZE", &self.id.size.to_string());
        field("ISIZE", &payload.bytes().to_string());
        field("SHA256SUM", &self.id.sha256.to_string());
        field("URL", "https://example.org/");
        field("LICENSE", "GPL");
        field("ARCH", arch);
        field("BUILDDATE", &BUILD_DATE.to_string());
        field("PACKAGER", "Tester <tester@example.org>");
        field("PROVIDES", &provides.join("\n"));
        field("DEPENDS", &depends.join("\n"));
        text
    }

    /// The directory of its entry in a sync database.
    pub(crate) fn entry(&self) -> String {
        format!("{}-{}", self.spec.name, self.spec.version)
    }
}

/// The header of an archive's entry, owned by root.
pub(crate) fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(BUILD_DATE);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Endless random bytes.
struct Noise(SmallRng);

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill_bytes(buffer);
        Ok(buffer.len())
    }
}
