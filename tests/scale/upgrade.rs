//! Bytes of questions and answers for one upgrade.

use p2p_package::{FileName, Info, MAX_PIECES, PieceHash, PieceLength, Writer};

use crate::club::ENOUGH;
use crate::document::Table;
use crate::share::number;

const PACKAGES: usize = 100;
const PACKAGE_BYTES: u64 = 3_000_000;
/// The length, the kind and the number of an extended message (BEP 3 and BEP 10).
const HEAD: usize = 6;

/// The canonical `info` of a package of this size, encoded.
fn info(bytes: u64) -> Vec<u8> {
    let name: FileName = "some-package-name-1.2.3-1-x86_64.pkg.tar.zst".parse().expect("a package's name");
    let pieces = PieceLength::canonical(bytes).expect("not too large").pieces(bytes);
    let pieces = (0..pieces).map(|index| PieceHash::of(&index.to_be_bytes())).collect();
    Info::canonical(name, bytes, pieces).encoded().to_vec()
}

/// `have`: all packages in one question.
fn question() -> usize {
    let mut writer = Writer::default();
    writer.dictionary(|have| {
        have.bytes("ids").bytes(vec![0xab; 32 * PACKAGES]);
        have.bytes("n").integer(4_000_000_000_u32);
        have.bytes("t").integer(0_u32);
        have.bytes("w").integer(1_u32);
    });
    HEAD + writer.finish().len()
}

/// `has`: the neighbour has all, and sends this for each.
fn answer(info: &[u8]) -> usize {
    let mut writer = Writer::default();
    writer.dictionary(|has| {
        has.bytes("i").list(|infos| {
            for _ in 0..PACKAGES {
                infos.bytes(info);
            }
        });
        has.bytes("map").bytes(vec![0xff; PACKAGES.div_ceil(8)]);
        has.bytes("n").integer(4_000_000_000_u32);
        has.bytes("t").integer(1_u32);
    });
    HEAD + writer.finish().len()
}

#[test]
fn questions_are_a_small_part_of_what_they_are_about() {
    let table = Table::under("Bytes of an upgrade");
    let infos = answer(&info(PACKAGE_BYTES)) - answer(b"");
    let questions = ENOUGH * question();
    let maps = ENOUGH * answer(b"");
    let rows = [
        (questions, "100 ids to 24 neighbours"),
        (maps, "24 answers without `info`"),
        (infos, "the `info`s, once"),
        (ENOUGH * infos, "the `info`s, from all 24"),
        (questions + maps + infos, "in all, `info`s once"),
        (questions + maps + ENOUGH * infos, "in all, `info`s from all 24"),
    ];
    for (bytes, row) in rows {
        let part = number(bytes) / 300e6;
        eprintln!("bytes {row}: {bytes} {part:.6}");
        table.says(row, "bytes", number(bytes), 0.01);
        table.says(row, "of 300 MB", part, 0.05);
    }
}

#[test]
fn the_largest_info_is_as_large_as_the_document_says() {
    let most = 512 * 1024 * 1024;
    assert_eq!(PieceLength::canonical(most).map(|length| length.pieces(most)), Some(MAX_PIECES));
    let bytes = info(most).len();
    eprintln!("largest info {bytes}");
    let table = Table::under("One `info`");
    table.says("3 MB", "bytes", number(info(PACKAGE_BYTES).len()), 0.01);
    table.says("512 MiB", "bytes", number(bytes), 0.01);
    table.says("3 MB", "from 24, of the package", 24.0 * number(info(PACKAGE_BYTES).len()) / 3e6, 0.05);
    table.says("512 MiB", "from 24, of the package", 24.0 * number(bytes) / 536_870_912.0, 0.05);
}
