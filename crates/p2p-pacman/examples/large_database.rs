//! Prints how long a database as large as Arch's extra takes to read, and to look every package up in.

use std::io::{self, Write};
use std::time::Instant;

use p2p_package::{FileName, Sha256};
use p2p_pacman::SyncDatabases;

const PACKAGES: usize = 14_000;

fn main() -> io::Result<()> {
    let root = tempfile::tempdir()?;
    fs_err::create_dir(root.path().join("sync"))?;
    let path = root.path().join("sync/extra.db");
    write_database(fs_err::File::create(&path)?)?;
    let databases = SyncDatabases::new(root.path(), ["extra"]);
    let mut out = io::stdout().lock();
    writeln!(out, "{PACKAGES} packages, {} bytes compressed", fs_err::metadata(&path)?.len())?;

    let start = Instant::now();
    let names: Vec<FileName> = databases.packages("extra").map(|known| known.id.file_name).collect();
    writeln!(out, "read:      {:?}", start.elapsed())?;

    let start = Instant::now();
    let found = names.iter().filter(|name| databases.lookup(name).is_some()).count();
    writeln!(out, "looked up: {:?} for {found} packages", start.elapsed())
}

fn write_database(file: fs_err::File) -> io::Result<()> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()));
    for number in 0..PACKAGES {
        let text = desc(number);
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, format!("package-{number}-1.0-1/desc"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// About 1.7 KB with a signature of 566 bytes, as the entries of extra with an RSA signature.
fn desc(number: usize) -> String {
    let sha256 = Sha256::of(&number.to_le_bytes());
    let signature: Vec<u8> = (0..18_u8).flat_map(|part| *Sha256::of(&[part; 3]).as_bytes()).take(566).collect();
    let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
    let depends: Vec<String> = (0..20).map(|depend| format!("library-{}>=1.{depend}", number + depend)).collect();
    let depends = depends.join("\n");
    format!(
        "%FILENAME%\npackage-{number}-1.0-1-x86_64.pkg.tar.zst\n\n%NAME%\npackage-{number}\n\n%BASE%\npackage-{number}\n\n\
         %VERSION%\n1.0-1\n\n%DESC%\nWhat the package is good for, in one line\n\n%CSIZE%\n{}\n\n%ISIZE%\n{number}\n\n\
         %SHA256SUM%\n{sha256}\n\n%PGPSIG%\n{signature}\n\n%URL%\nhttps://example.org/{number}\n\n%LICENSE%\nGPL\n\n\
         %ARCH%\nx86_64\n\n%BUILDDATE%\n1700000000\n\n%DEPENDS%\n{depends}\n",
        number + 1
    )
}
