//! What a URL that pacman asks for stands for.

use p2p_package::FileName;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::Repository;

/// The longest URL that we take, in bytes; curl and most servers stop at 8 KiB.
const MAX_URL_BYTES: usize = 8 * 1024;

/// A URL that pacman, or a user, asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The URL.
    pub url: Url,
    /// What follows its last slash, percent-decoded, without query and fragment: the name of the file at the mirror.
    ///
    /// It comes from outside: only a [`FileName`] is safe as part of a path.
    pub file_name: String,
    /// What the file is, by its name.
    pub kind: Kind,
}

/// The kinds of files that pacman downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A package.
    Package(FileName),
    /// The detached signature of this package.
    Signature(FileName),
    /// A sync database, `<repository>.db`.
    Database,
    /// The detached signature of a sync or files database.
    DatabaseSignature,
    /// A files database, `<repository>.files`.
    Files,
    /// Something else.
    Other,
}

/// Why a text is no URL that we can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Beyond 8 KiB.
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Not a URL.
    #[error("this is not a URL")]
    Url(#[source] url::ParseError),
    /// `ftp:`, `file:` and the like.
    #[error("only http and https URLs can be fetched")]
    Scheme,
    /// The URL ends in a slash.
    #[error("the URL names no file")]
    NoFile,
}

impl Request {
    /// Reads a URL as pacman hands it to `XferCommand`: raw, with `:` and `+` in file names not percent-encoded.
    ///
    /// The file name is what follows the last slash, as in pacman's own `conf.c`, less a query or fragment; so
    /// `http://host/get?repository=core/a-1-1-any.pkg.tar.zst` asks for a package, too. The signature of
    /// `<package>?<query>` is asked for as `<package>?<query>.sig`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_url(text: &str) -> Result<Self, RequestError> {
        if text.len() > MAX_URL_BYTES {
            return Err(RequestError::TooLong);
        }
        let url = Url::parse(text).map_err(RequestError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RequestError::Scheme);
        }
        let last = url[Position::BeforePath..].rsplit('/').next().unwrap_or_default();
        let (name, extra) = last.split_at(last.find(['?', '#']).unwrap_or(last.len()));
        let file_name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        if file_name.is_empty() {
            return Err(RequestError::NoFile);
        }
        let kind = Kind::of(&file_name, extra);
        Ok(Self { url, file_name, kind })
    }

    /// The detached signature beside this file.
    #[must_use]
    pub fn signature(&self) -> Option<Self> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}.sig", url.path()));
        Self::from_url(url.as_str()).ok()
    }

    /// The repository in whose `Server` or `CacheServer` this URL lies, with that server as the configuration has it.
    ///
    /// Where several fit, the repository that the file is named after, then the first.
    #[must_use]
    pub fn below<'a>(&self, repositories: &'a [Repository]) -> Option<(&'a str, &'a str)> {
        let database = self.database_name();
        let servers = repositories.iter().flat_map(|repository| {
            let all = repository.servers.iter().chain(&repository.cache_servers);
            all.map(move |server| (repository.name.as_str(), server.as_str()))
        });
        let mut fitting = servers.filter(|(_, server)| self.lies_in(server));
        let first = fitting.next()?;
        let named = std::iter::once(first).chain(fitting).find(|(name, _)| Some(*name) == database);
        Some(named.unwrap_or(first))
    }

    /// The repository that a database, or its signature, is named after.
    fn database_name(&self) -> Option<&str> {
        let is_database = matches!(self.kind, Kind::Database | Kind::DatabaseSignature | Kind::Files);
        let name = self.file_name.strip_suffix(".sig").unwrap_or(&self.file_name);
        name.rsplit_once('.').filter(|_| is_database).map(|(repository, _)| repository)
    }

    /// Whether the URL is that of a file directly in `server`; compared after both were normalised, so that `..` leads out
    /// of no server. What lies in a directory below it is no file of the repository.
    fn lies_in(&self, server: &str) -> bool {
        let Ok(server) = Url::parse(&format!("{server}/")) else { return false };
        self.url[..Position::AfterPath].strip_prefix(server.as_str()).is_some_and(|rest| !rest.contains('/'))
    }
}

impl Kind {
    fn of(file_name: &str, extra: &str) -> Self {
        let signed =
            if extra.strip_suffix(".sig").is_some() { Some(file_name) } else { file_name.strip_suffix(".sig") };
        if let Some(signed) = signed {
            return match Self::of_unsigned(signed) {
                Self::Package(package) => Self::Signature(package),
                Self::Database | Self::Files => Self::DatabaseSignature,
                other @ (Self::Signature(_) | Self::DatabaseSignature | Self::Other) => other,
            };
        }
        Self::of_unsigned(file_name)
    }

    fn of_unsigned(file_name: &str) -> Self {
        if let Ok(package) = file_name.parse() {
            return Self::Package(package);
        }
        match file_name.rsplit_once('.') {
            Some((stem, _)) if stem.is_empty() || stem.contains('/') => Self::Other,
            Some((_, "db")) => Self::Database,
            Some((_, "files")) => Self::Files,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
