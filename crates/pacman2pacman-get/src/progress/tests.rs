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
                for whole in [whole(1, 2, 0, 0, 0), whole(99_999, 100_000, u64::MAX - 1, u64::MAX, u64::MAX), quarter()]
                {
                    bar.update_whole(whole, now);
                    for columns in 0..=300 {
                        assert_eq!(bar.line(columns).chars().count(), columns, "{:?}", bar.line(columns));
                    }
                }
            }
        }
    }
}

fn whole(files_done: u64, files: u64, done: u64, total: u64, from_peers: u64) -> TransactionProgress {
    TransactionProgress { files_done, files, done, total, from_peers }
}

fn quarter() -> TransactionProgress {
    whole(12, 87, 225 * MIB, 900 * MIB, 90 * MIB)
}

/// A file half-way, in a run that went from a quarter to 340 MiB in ten seconds.
fn in_a_run(now: Instant) -> Bar {
    let mut bar = half_way(now);
    bar.update_whole(quarter(), now);
    bar.update_whole(whole(12, 87, 340 * MIB, 900 * MIB, 140 * MIB), now + Duration::from_secs(10));
    bar
}

#[test]
fn the_whole_run_stands_beside_the_file_in_the_words_that_there_is_room_for() {
    let bar = in_a_run(Instant::now());
    for (columns, line) in [
        (20, " lin...   50%  12/87"),
        (40, " linux-1:6.12.1-1...   50%  12/87  00:48"),
        (50, " linux-1:6.12....  [#####-----]  50%  12/87  00:48"),
        (80, " linux-1:6.12.1-1-x86_64   [#####-----]  50%  12/87  340/900 MiB  p2p 41%  00:48"),
    ] {
        assert_eq!(bar.line(columns), line, "{columns}");
    }
    assert_eq!(
        bar.line(100),
        " linux-1:6.12.1-1...    50.0 MiB  5.00 MiB/s 00:10 [###---]  50%  12/87  340/900 MiB  p2p 41%  00:48"
    );
    assert_eq!(
        bar.line(132),
        " linux-1:6.12.1-1...    50.0 MiB  5.00 MiB/s 00:10 [########---------]  50%  \
         12/87 files, 340 of 900 MiB, 41 % from peers, 0:48 left"
    );
    assert_eq!(
        bar.line(200),
        " linux-1:6.12.1-1-x86_64                                   50.0 MiB  5.00 MiB/s 00:10 \
         [#########################-------------------------]  50%  \
         12/87 files, 340 of 900 MiB, 41 % from peers, 0:48 left"
    );
}

#[test]
fn a_line_after_a_resize_is_the_line_of_the_new_width() {
    let bar = in_a_run(Instant::now());
    let before = bar.line(132);
    assert_eq!(bar.line(80), in_a_run(Instant::now()).line(80));
    assert_eq!(bar.line(132), before);
}

#[test]
fn the_time_that_is_left_is_unknown_until_bytes_have_come() {
    let now = Instant::now();
    let mut bar = half_way(now);
    bar.update_whole(quarter(), now);
    assert!(bar.line(80).ends_with("12/87  225/900 MiB  p2p 40%  --:--"), "{}", bar.line(80));
    assert!(bar.line(132).ends_with(", 40 % from peers, --:-- left"), "{}", bar.line(132));
    bar.update_whole(quarter(), now + Duration::from_mins(1));
    assert!(bar.line(80).ends_with("  --:--"), "{}", bar.line(80));
    bar.update_whole(whole(87, 87, 900 * MIB, 900 * MIB, 0), now + Duration::from_secs(61));
    assert!(bar.line(80).ends_with("87/87  900/900 MiB  p2p  0%  00:00"), "{}", bar.line(80));
}

#[test]
fn a_small_run_has_a_decimal_and_a_count_keeps_its_width() {
    let now = Instant::now();
    let mut bar = half_way(now);
    bar.update_whole(whole(9, 120, 3 * MIB + MIB / 2, 12 * MIB, 0), now);
    assert!(bar.line(80).ends_with("    9/120   3.5/12.0 MiB  p2p  0%  --:--"), "{}", bar.line(80));
    assert!(bar.line(132).ends_with("  9/120 files, 3.5 of 12.0 MiB, 0 % from peers, --:-- left"), "{}", bar.line(132));
    bar.update_whole(whole(9, 120, 300, 1999, 30), now);
    assert!(bar.line(80).ends_with("    9/120   300/1999 B  p2p 10%  --:--"), "{}", bar.line(80));
}

#[test]
fn a_run_of_one_file_is_no_more_than_the_file() {
    let now = Instant::now();
    let mut bar = half_way(now);
    bar.update_whole(whole(0, 1, MIB, 2 * MIB, 0), now);
    assert_eq!(bar.line(80), half_way(now).line(80));
    assert_eq!(summary(&whole(1, 1, MIB, MIB, 0)), None);
}

#[test]
fn the_summary_comes_with_the_last_file() {
    assert_eq!(summary(&whole(86, 87, 890 * MIB, 900 * MIB, 0)), None);
    let last = whole(87, 87, 900 * MIB, 900 * MIB, 370 * MIB);
    assert_eq!(summary(&last).unwrap(), "87 files, 900.0 MiB, 41 % from peers");
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
