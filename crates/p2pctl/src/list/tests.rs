use unicode_width::UnicodeWidthStr as _;

use super::*;

const NOW: u64 = 1_700_000_000;

fn package(name: &str, version: &str, size: u64) -> Package {
    Package {
        file_name: format!("{name}-{version}-x86_64.pkg.tar.zst"),
        name: name.to_owned(),
        version: version.to_owned(),
        repository: "extra".to_owned(),
        size,
        sha256: "0f".repeat(32),
        info_hash: "1e".repeat(20),
        path: format!("/var/cache/pacman/pkg/{name}-{version}-x86_64.pkg.tar.zst"),
        place: p2p_api::Place::Cache,
        added: NOW - 86_400 * 3,
        fetched: None,
        uploaded_bytes: 0,
        last_asked: None,
        reach: Reach::Public,
    }
}

fn some() -> Vec<Package> {
    vec![
        Package {
            repository: "core".to_owned(),
            uploaded_bytes: 734_003_200,
            last_asked: Some(NOW - 200),
            fetched: Some(NOW - 7_300),
            ..package("linux", "6.12.1.arch1-1", 141_557_760)
        },
        Package { reach: Reach::Lan, place: p2p_api::Place::Store, ..package("gimp", "1:3.0-1", 31_457_280) },
        Package { added: NOW - 9, ..package("python-a-very-long-name-that-does-not-end-soon", "2024.1-1", 1_024) },
        package("写真-アルバム-写真-アルバム-写真-アルバム", "1:20240101.r1234.gabcdef0-1", 2_048),
    ]
}

fn shown(packages: &[Package], sort: SortKey, width: Option<usize>) -> String {
    Table::new(packages, sort, width, NOW).show(Colour::Off)
}

#[test]
fn on_eighty_columns_long_names_are_cut_and_columns_left_out() {
    let text = shown(&some(), SortKey::Name, Some(80));
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    insta::assert_snapshot!(shown(&some(), SortKey::Name, None));
}

#[test]
fn what_it_is_sorted_by_is_shown_however_narrow_it_is() {
    for (sort, title) in [(SortKey::Asked, "asked"), (SortKey::Added, "added"), (SortKey::Fetched, "fetched")] {
        assert!(shown(&some(), sort, Some(40)).lines().next().unwrap().contains(title));
    }
    let ordinary = shown(&some()[..1], SortKey::Asked, Some(80));
    assert!(ordinary.contains("3m") && ordinary.contains("700.0 MiB") && !ordinary.contains("note"), "{ordinary}");
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let packages = [package("a\u{1b}[31m", "1-1", 1)];
    assert!(!shown(&packages, SortKey::Name, None).contains('\u{1b}'));
    assert!(Table::new(&packages, SortKey::Name, None, NOW).show(Colour::On).starts_with("\u{1b}[1mpackage"));
}

#[test]
fn each_key_has_its_order_and_names_decide_among_equals() {
    let mut packages = some();
    let mut first = |key: SortKey| {
        key.sort(&mut packages);
        let names: Vec<&str> = packages.iter().map(|package| &*package.name).collect();
        names[..2].join(" ").chars().take(12).collect::<String>()
    };
    assert_eq!(first(SortKey::Name), "gimp linux");
    assert_eq!(first(SortKey::Size), "linux gimp");
    assert_eq!(first(SortKey::Uploaded), "linux gimp");
    assert_eq!(first(SortKey::Asked), "linux gimp");
    assert_eq!(first(SortKey::Fetched), "linux gimp");
    assert_eq!(first(SortKey::Added), "python-a-ver");
}

#[test]
fn totals_say_how_much_is_shown() {
    let packages = some();
    assert_eq!(totals(&packages, 4), "4 packages, 165.0 MiB");
    assert_eq!(totals(&packages[..1], 1_204), "1 of 1204 packages, 135.0 MiB");
    assert_eq!(totals(&[], 0), "0 packages, 0 B");
}

#[test]
fn json_is_one_array_with_a_line_for_each_package() {
    assert_eq!(json(&[]), "[]");
    let (text, packages) = (json(&some()), some());
    assert_eq!(text.lines().count(), packages.len() + 2);
    assert_eq!(serde_json::from_str::<Vec<Package>>(&text).unwrap(), packages);
}
