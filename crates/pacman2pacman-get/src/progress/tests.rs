use super::*;

const MIB: u64 = 1024 * 1024;

fn half_way(now: Instant) -> Bar {
    let mut bar = Bar::new("linux-1:6.12.1-1-x86_64.pkg.tar.zst", now);
    bar.update(50 * MIB, Some(100 * MIB), 0, now + Duration::from_secs(10));
    bar
}

#[test]
fn a_line_looks_like_pacmans() {
    let bar = half_way(Instant::now());
    assert_eq!(bar.line(80), " linux-1:6.12.1-1...    50.0 MiB  5.00 MiB/s 00:10 [###########-----------]  50%");
    assert_eq!(
        bar.line(100),
        " linux-1:6.12.1-1-x86_64          50.0 MiB  5.00 MiB/s 00:10 [################----------------]  50%"
    );
}

#[test]
fn the_share_from_peers_stands_behind_the_percentage() {
    let now = Instant::now();
    let mut bar = half_way(now);
    bar.update(50 * MIB, Some(100 * MIB), 20 * MIB, now + Duration::from_secs(10));
    assert_eq!(bar.line(80), " linux-1:6.12.1-1...    50.0 MiB  5.00 MiB/s 00:10 [######-------]  50% p2p  40%");
}

#[test]
fn a_finished_bar_shows_the_average_and_the_time_that_it_took() {
    let now = Instant::now();
    let mut bar = half_way(now);
    bar.finish(100 * MIB, 0, now + Duration::from_secs(65));
    assert_eq!(bar.line(80), " linux-1:6.12.1-1...   100.0 MiB  1575 KiB/s 01:05 [######################] 100%");
}

#[test]
fn an_unknown_size_has_no_percentage_and_no_end() {
    let now = Instant::now();
    let mut bar = Bar::new("core.db", now);
    bar.update(3000, None, 0, now + Duration::from_secs(1));
    assert_eq!(bar.line(80), " core                    2.9 KiB  2.93 KiB/s --:-- [----------------------]   0%");
}

#[test]
fn a_line_is_as_wide_as_its_terminal_whatever_the_numbers() {
    let now = Instant::now();
    for name in [
        "a",
        "a-very-long-name-of-a-package-that-does-not-fit-anywhere-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst",
        "ü\u{1b}[2J",
    ] {
        for done in [0, 1, 2049, 2049 * 1024, 1023 * MIB, 5000 * MIB, 900_000 * MIB] {
            for peers in [0, done / 3] {
                let mut bar = Bar::new(name, now);
                bar.update(done, Some(900_000 * MIB), peers, now + Duration::from_secs(3));
                for columns in 0..=300 {
                    assert_eq!(bar.line(columns).chars().count(), columns, "{:?}", bar.line(columns));
                }
            }
        }
    }
}

#[test]
fn names_are_shown_as_pacman_shows_them() {
    for (file_name, name) in [
        ("zlib-1:1.3.1-2-x86_64.pkg.tar.zst", "zlib-1:1.3.1-2-x86_64"),
        ("zlib-1:1.3.1-2-x86_64.pkg.tar.zst.sig", "zlib-1:1.3.1-2-x86_64.sig"),
        ("core.db", "core"),
        ("core.files", "core"),
        ("core.db.sig", "core.sig"),
        ("\u{1b}[31mred", "?[31mred"),
    ] {
        assert_eq!(shown_name(file_name), name);
    }
}

#[test]
fn a_rate_forgets_a_burst_slowly() {
    let now = Instant::now();
    let mut bar = Bar::new("a", now);
    bar.update(10 * MIB, None, 0, now + Duration::from_secs(1));
    bar.update(10 * MIB, None, 0, now + Duration::from_secs(2));
    assert!((bar.rate / to_f64(MIB) - 9.0).abs() < 0.01, "{}", bar.rate);
}
