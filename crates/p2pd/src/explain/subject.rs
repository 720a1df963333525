//! What somebody asks about: pure.

use p2p_package::FileName;
use p2p_pacman::{Kind, Repository, Request};

/// What a name may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A file, of this repository alone where one is named.
    File { repository: Option<String>, name: FileName },
    /// A package by its name.
    Package { repository: Option<String>, name: String },
    /// A file at an address that is in none of the repositories.
    Elsewhere { url: String, name: FileName },
}

/// Why nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubjectFault {
    /// A URL that pacman does not download a package from.
    #[error("{0:?} is not the address of a package")]
    Url(String),
    /// Nothing was named.
    #[error("no package is named")]
    Nothing,
}

impl Subject {
    /// Reads a file's name, a package's name, either of them after `repository/`, or a URL.
    pub(super) fn read(text: &str, repositories: &[Repository]) -> Result<Self, SubjectFault> {
        if text.contains("://") {
            return Self::of_url(text, repositories);
        }
        let (repository, name) = match text.split_once('/') {
            Some((repository, name)) => (Some(repository.to_owned()), name),
            None => (None, text),
        };
        if name.is_empty() {
            return Err(SubjectFault::Nothing);
        }
        Ok(match name.parse() {
            Ok(name) => Self::File { repository, name },
            Err(_) => Self::Package { repository, name: name.to_owned() },
        })
    }

    fn of_url(text: &str, repositories: &[Repository]) -> Result<Self, SubjectFault> {
        let request = Request::from_url(text).map_err(|_| SubjectFault::Url(text.to_owned()))?;
        let repository = request.below(repositories).map(|(name, _)| name.to_owned());
        let Kind::Package(name) = request.kind else { return Err(SubjectFault::Url(text.to_owned())) };
        Ok(match repository {
            Some(_) => Self::File { repository, name },
            None => Self::Elsewhere { url: text.to_owned(), name },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "a-1-1-any.pkg.tar.zst";

    fn core() -> Vec<Repository> {
        let servers = vec!["http://m/core".to_owned()];
        vec![Repository { name: "core".to_owned(), servers, cache_servers: Vec::new(), checks_packages: true }]
    }

    fn read(text: &str) -> Result<Subject, SubjectFault> {
        Subject::read(text, &core())
    }

    #[test]
    fn files_and_packages_are_named_with_and_without_their_repository() {
        let name: FileName = FILE.parse().expect("a file name");
        assert_eq!(read(FILE), Ok(Subject::File { repository: None, name: name.clone() }));
        let repository = Some("core".to_owned());
        assert_eq!(read("core/a-1-1-any.pkg.tar.zst"), Ok(Subject::File { repository: repository.clone(), name }));
        assert_eq!(read("core/a"), Ok(Subject::Package { repository, name: "a".to_owned() }));
        assert_eq!(read("a"), Ok(Subject::Package { repository: None, name: "a".to_owned() }));
        assert_eq!(read("core/"), Err(SubjectFault::Nothing));
    }

    #[test]
    fn a_url_is_of_the_repository_whose_server_it_lies_below_or_of_none() {
        let name: FileName = FILE.parse().expect("a file name");
        let in_core = Subject::File { repository: Some("core".to_owned()), name: name.clone() };
        assert_eq!(read(&format!("http://m/core/{FILE}")), Ok(in_core));
        let url = format!("http://home/{FILE}");
        assert_eq!(read(&url), Ok(Subject::Elsewhere { url: url.clone(), name }));
        assert!(matches!(read("http://m/core/core.db"), Err(SubjectFault::Url(_))));
        assert!(matches!(read("ftp://m/a"), Err(SubjectFault::Url(_))));
    }
}
