//! The package files that lie in a cache directory.

use std::io;
use std::path::{Path, PathBuf};

use p2p_package::FileName;

/// Lists the package files in `cache_dir` in order of their names: regular files only, no signatures, no leftovers.
///
/// pacman looks for a package by its exact file name in this directory and in none below it.
///
/// # Errors
///
/// The directory cannot be read.
pub fn package_files(cache_dir: &Path) -> io::Result<Vec<(FileName, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(cache_dir)? {
        let entry = entry?;
        let Some(file_name) = entry.file_name().to_str().and_then(|name| name.parse::<FileName>().ok()) else {
            continue;
        };
        // A file that went away between the two calls is no longer in the cache.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push((file_name, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_package_files_are_listed_in_order() {
        let cache = tempfile::tempdir().expect("a directory");
        let package = "libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst";
        for name in [package, "a-1-1-any.pkg.tar.xz", "a-1-1-any.pkg.tar.xz.sig", "b-1-1-any.pkg.tar.zst.part", "x.txt"]
        {
            fs_err::write(cache.path().join(name), b"x").expect("a file");
        }
        fs_err::create_dir(cache.path().join("d-1-1-any.pkg.tar.zst")).expect("a directory");
        let link = cache.path().join("l-1-1-any.pkg.tar.zst");
        fs_err::os::unix::fs::symlink(cache.path().join(package), link).expect("a link");
        let files = package_files(cache.path()).expect("a readable directory");
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a-1-1-any.pkg.tar.xz", package]);
        assert_eq!(files[1].1, cache.path().join(package));
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_it() {
        let error = package_files(Path::new("/nonexistent/cache")).expect_err("no such directory");
        assert!(error.to_string().contains("/nonexistent/cache"), "{error}");
    }
}
