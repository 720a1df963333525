//! `pacman.conf`: repositories in order, their mirrors, and where pacman keeps its files.

mod error;
mod reader;

use std::path::{Path, PathBuf};

pub use error::{ConfError, Place};
use reader::{Directive, Reader};

/// What `pacman.conf` says, read as pacman reads it: `$repo` and `$arch` replaced, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacmanConf {
    /// The repositories in the order in which pacman searches them.
    pub repositories: Vec<Repository>,
    /// `DBPath`; the sync databases lie in its directory `sync`.
    pub db_path: PathBuf,
    /// All `CacheDir`s; at least one.
    pub cache_dirs: Vec<PathBuf>,
    /// `GPGDir`: where pacman keeps the keys that it trusts.
    pub gpg_dir: PathBuf,
    /// `XferCommand`: what downloads in pacman's place.
    pub xfer_command: Option<String>,
    /// `DownloadUser` (pacman 7): as whom it downloads.
    pub download_user: Option<String>,
    /// What packages may be built for, `$arch` first; empty where the file has no `Architecture`.
    pub architectures: Vec<String>,
    sources: Vec<PathBuf>,
}

/// One repository of `pacman.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The section's name, without a slash.
    pub name: String,
    /// `Server`: what stands before `/<file name>` in the URLs that pacman asks for, in order of preference.
    pub servers: Vec<String>,
    /// `CacheServer` (pacman 6.1): asked for packages before the servers.
    pub cache_servers: Vec<String>,
    /// Whether `SigLevel` lets pacman look at signatures of packages: anything but `Never`.
    pub checks_packages: bool,
}

/// pacman's own defaults, as Arch and Debian build it.
const DB_PATH: &str = "var/lib/pacman/";
const CACHE_DIR: &str = "/var/cache/pacman/pkg/";
const GPG_DIR: &str = "/etc/pacman.d/gnupg/";

impl PacmanConf {
    /// Reads `path` and the files that it includes.
    ///
    /// Directives that say nothing about repositories and directories are not looked at, so a value that pacman would
    /// refuse (`SigLevel = Nonsense`, `Color = Nonsense`) passes. A relative `Include` is taken from the current directory, as pacman does.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or the first line that pacman would refuse.
    pub fn load(path: &Path) -> Result<Self, ConfError> {
        let mut draft = Draft::default();
        let mut reader = Reader::new(&mut draft);
        reader.read(path)?;
        let sources = reader.into_sources();
        draft.finish(sources)
    }

    /// The files that were read, and the directories in which an `Include` with wildcards looked for some.
    ///
    /// Where none of them has changed, reading again gives the same.
    #[must_use]
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Draft {
    section: Section,
    repositories: Vec<DraftRepository>,
    root_dir: Option<PathBuf>,
    db_path: Option<PathBuf>,
    cache_dirs: Vec<PathBuf>,
    gpg_dir: Option<PathBuf>,
    xfer_command: Option<String>,
    download_user: Option<String>,
    architectures: Vec<String>,
    checks_packages: Option<bool>,
}

/// Where a directive belongs to; an included file may open a section that goes on after it.
#[derive(Debug, Default)]
enum Section {
    #[default]
    None,
    Options,
    Repository,
}

#[derive(Debug)]
struct DraftRepository {
    name: String,
    servers: Vec<(Place, String)>,
    cache_servers: Vec<(Place, String)>,
    checks_packages: Option<bool>,
}

impl Draft {
    fn open_section(&mut self, name: &str, place: Place) -> Result<(), ConfError> {
        if name == "options" {
            self.section = Section::Options;
            return Ok(());
        }
        // libalpm refuses these when it registers the databases; "local" is the one of installed packages.
        if name.is_empty() || name == "local" || name.contains('/') {
            return Err(ConfError::RepositoryName { place, name: name.to_owned() });
        }
        if self.repositories.iter().any(|repository| repository.name == name) {
            return Err(ConfError::DuplicateRepository { place, name: name.to_owned() });
        }
        let (name, servers, cache_servers) = (name.to_owned(), Vec::new(), Vec::new());
        self.repositories.push(DraftRepository { name, servers, cache_servers, checks_packages: None });
        self.section = Section::Repository;
        Ok(())
    }

    fn take(&mut self, directive: Directive<'_>) -> Result<(), ConfError> {
        match (&self.section, self.repositories.last_mut()) {
            (Section::Options, _) => self.take_option(&directive),
            (Section::Repository, Some(repository)) => repository.take(directive),
            (Section::None | Section::Repository, _) => {
                Err(ConfError::NoSection { place: directive.place, key: directive.key.to_owned() })
            }
        }
    }

    fn take_option(&mut self, directive: &Directive<'_>) -> Result<(), ConfError> {
        if directive.key == "SigLevel" {
            self.checks_packages = checks_packages(directive)?.or(self.checks_packages);
            return Ok(());
        }
        let known = ["RootDir", "DBPath", "CacheDir", "GPGDir", "Architecture", "XferCommand", "DownloadUser"];
        if !known.contains(&directive.key) {
            return Ok(());
        }
        // Without `=`, pacman warns that it does not know the directive, and goes on.
        let Some(value) = directive.text()? else {
            return Ok(());
        };
        let words = value.split(' ').filter(|word| !word.is_empty());
        match directive.key {
            "CacheDir" => self.cache_dirs.extend(words.map(PathBuf::from)),
            "Architecture" => self.architectures.extend(words.map(architecture)),
            // The last one counts.
            "XferCommand" => self.xfer_command = Some(value.to_owned()),
            "DownloadUser" => self.download_user = Some(value.to_owned()),
            // The first one counts.
            "DBPath" => _ = self.db_path.get_or_insert_with(|| value.into()),
            "GPGDir" => _ = self.gpg_dir.get_or_insert_with(|| value.into()),
            _ => _ = self.root_dir.get_or_insert_with(|| value.into()),
        }
        Ok(())
    }

    fn finish(self, sources: Vec<PathBuf>) -> Result<PacmanConf, ConfError> {
        let arch = self.architectures.first().map(String::as_str);
        // pacman's own default is Optional, or Required from 7.1 on.
        let checks_packages = self.checks_packages.unwrap_or(true);
        let repositories = self.repositories.into_iter().map(|repository| repository.finish(arch, checks_packages));
        let repositories = repositories.collect::<Result<_, _>>()?;
        // RootDir moves the default of DBPath, and not those of CacheDir and GPGDir.
        let root_dir = self.root_dir.unwrap_or_else(|| "/".into());
        let db_path = self.db_path.unwrap_or_else(|| root_dir.join(DB_PATH));
        let cache_dirs = if self.cache_dirs.is_empty() { vec![CACHE_DIR.into()] } else { self.cache_dirs };
        let gpg_dir = self.gpg_dir.unwrap_or_else(|| GPG_DIR.into());
        Ok(PacmanConf {
            repositories,
            db_path,
            cache_dirs,
            gpg_dir,
            xfer_command: self.xfer_command,
            download_user: self.download_user,
            architectures: self.architectures,
            sources,
        })
    }
}

impl DraftRepository {
    fn take(&mut self, directive: Directive<'_>) -> Result<(), ConfError> {
        let servers = match directive.key {
            "Server" => &mut self.servers,
            "CacheServer" => &mut self.cache_servers,
            "SigLevel" => {
                self.checks_packages = checks_packages(&directive)?.or(self.checks_packages);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let server = directive.needed_text()?.to_owned();
        servers.push((directive.place, server));
        Ok(())
    }

    fn finish(self, arch: Option<&str>, by_default: bool) -> Result<Repository, ConfError> {
        let name = self.name;
        let resolve = |servers: Vec<(Place, String)>| -> Result<Vec<String>, ConfError> {
            servers.into_iter().map(|(place, server)| resolve_server(&server, &name, arch, place)).collect()
        };
        let (servers, cache_servers) = (resolve(self.servers)?, resolve(self.cache_servers)?);
        let checks_packages = self.checks_packages.unwrap_or(by_default);
        Ok(Repository { name, servers, cache_servers, checks_packages })
    }
}

/// What a `SigLevel` says of packages; none where it says nothing. The last word counts.
fn checks_packages(directive: &Directive<'_>) -> Result<Option<bool>, ConfError> {
    let words = directive.text()?.unwrap_or_default().split_whitespace();
    Ok(words.rev().find_map(|word| match word.strip_prefix("Package").unwrap_or(word) {
        "Never" => Some(false),
        "Optional" | "Required" => Some(true),
        _ => None,
    }))
}

fn architecture(word: &str) -> String {
    if word == "auto" {
        return rustix::system::uname().machine().to_string_lossy().into_owned();
    }
    word.to_owned()
}

fn resolve_server(server: &str, name: &str, arch: Option<&str>, place: Place) -> Result<String, ConfError> {
    let server = match arch {
        Some(arch) => server.replace("$arch", arch),
        None if server.contains("$arch") => return Err(ConfError::NoArchitecture { place, server: server.to_owned() }),
        None => server.to_owned(),
    };
    let server = server.replace("$repo", name);
    // libalpm takes one trailing slash away, and puts one before the file name.
    Ok(server.strip_suffix('/').map_or_else(|| server.clone(), str::to_owned))
}

#[cfg(test)]
mod tests;
