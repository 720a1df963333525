use p2p_package::Sha256;

use super::*;

const OLD: &str = "linux-6.1-1-x86_64.pkg.tar.zst";
const NEW: &str = "linux-6.2-1-x86_64.pkg.tar.zst";
const HEADERS: &str = "linux-headers-6.2-1-x86_64.pkg.tar.zst";

/// The package of this file name, as this repository's maintainer built it.
fn package(file_name: &str, repository: &str) -> PackageId {
    let file_name: FileName = file_name.parse().expect("a package's name");
    let sha256 = Sha256::of(format!("{repository}/{file_name}").as_bytes());
    PackageId { file_name, size: 7, sha256 }
}

fn list(repository: &str, packages: &[PackageId]) -> List {
    let mut archive = tar::Builder::new(Vec::new());
    for PackageId { file_name, size, sha256 } in packages {
        let text = format!("%FILENAME%\n{file_name}\n\n%CSIZE%\n{size}\n\n%SHA256SUM%\n{sha256}\n\n");
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let appended = archive.append_data(&mut header, format!("{file_name}/desc"), text.as_bytes());
        appended.expect("memory takes all");
    }
    let bytes = archive.into_inner().expect("memory takes all");
    let database = SyncDatabase::read(bytes.as_slice()).expect("a database");
    List { repository: repository.into(), database: Arc::new(database) }
}

fn rules(exclude: &[&str], old_versions: OldVersions) -> Arc<SharingRules> {
    let exclude = exclude.iter().map(|text| Pattern::new(text).expect("a pattern")).collect();
    let repositories = ["core", "testing"].map(str::to_owned).to_vec();
    Arc::new(SharingRules::new(&Seed { repositories, exclude, old_versions, ..Seed::default() }))
}

/// "core" lists the new kernel and its headers, "testing" the same headers, "private" a kernel of its own.
fn sharing(exclude: &[&str], old_versions: OldVersions) -> Sharing {
    let lists = [
        list("private", &[package(NEW, "private")]),
        list("core", &[package(NEW, "core"), package(HEADERS, "core")]),
        list("testing", &[package(HEADERS, "core")]),
    ];
    Sharing::new(rules(exclude, old_versions), lists)
}

#[test]
fn what_a_shared_repository_lists_is_public() {
    let sharing = sharing(&[], OldVersions::Lan);
    assert_eq!(sharing.reach(&package(NEW, "core"), "core"), Reach::Public);
    assert_eq!(sharing.reach(&package(HEADERS, "core"), "testing"), Reach::Public);
}

#[test]
fn what_another_repository_lists_is_nobodys_even_under_the_name_of_a_shared_package() {
    for old_versions in [OldVersions::Lan, OldVersions::Public] {
        let sharing = sharing(&[], old_versions);
        assert_eq!(sharing.reach(&package(NEW, "private"), "private"), Reach::Nobody);
        let named: Vec<_> = sharing.named(&package(NEW, "private").file_name).collect();
        assert_eq!(named, [(package(NEW, "core"), "core".into())]);
    }
}

#[test]
fn what_no_database_lists_any_more_goes_to_local_networks_unless_configured() {
    let old = package(OLD, "core");
    assert_eq!(sharing(&[], OldVersions::Lan).reach(&old, "core"), Reach::Lan);
    assert_eq!(sharing(&[], OldVersions::Public).reach(&old, "core"), Reach::Public);
    // A package that was built anew under the same name is another one.
    assert_eq!(sharing(&[], OldVersions::Lan).reach(&package(NEW, "old core"), "core"), Reach::Lan);
}

#[test]
fn a_pattern_means_the_whole_name_of_a_package_of_any_version() {
    let sharing = sharing(&["linux"], OldVersions::Public);
    assert_eq!(sharing.reach(&package(NEW, "core"), "core"), Reach::Nobody);
    assert_eq!(sharing.reach(&package(OLD, "core"), "core"), Reach::Nobody);
    assert_eq!(sharing.reach(&package(HEADERS, "core"), "core"), Reach::Public);
    assert_eq!(sharing.named(&package(NEW, "core").file_name).count(), 0);
}

#[test]
fn patterns_are_those_of_a_shell() {
    for pattern in ["linux*", "*headers", "linux-h?aders", "linux-[gh]eaders", "*", "core/linux-*", "*/linux-headers"] {
        let sharing = sharing(&[pattern], OldVersions::Lan);
        assert_eq!(sharing.reach(&package(HEADERS, "core"), "core"), Reach::Nobody, "{pattern}");
    }
    for pattern in ["Linux-headers", "linux", "core*", "core/linux", "extra/*", "linux-headers-6.2*"] {
        let sharing = sharing(&[pattern], OldVersions::Lan);
        assert_eq!(sharing.reach(&package(HEADERS, "core"), "core"), Reach::Public, "{pattern}");
    }
}

#[test]
fn what_one_repository_excludes_is_not_shared_by_way_of_another_that_lists_it_too() {
    let sharing = sharing(&["core/linux-headers"], OldVersions::Lan);
    assert_eq!(sharing.reach(&package(HEADERS, "core"), "testing"), Reach::Nobody);
    assert_eq!(sharing.named(&package(HEADERS, "core").file_name).count(), 0);
}

#[test]
fn it_is_the_same_only_with_the_same_rules_and_databases() {
    let before = sharing(&[], OldVersions::Lan);
    let again = |rules: &Arc<SharingRules>, count| Sharing::new(Arc::clone(rules), before.lists[..count].to_vec());
    assert!(before.is_same(&again(before.rules(), 2)));
    assert!(!before.is_same(&again(before.rules(), 1)));
    assert!(!before.is_same(&again(&rules(&[], OldVersions::Lan), 2)));
}

#[test]
fn why_a_package_goes_so_far_is_told() {
    let sharing = sharing(&["linux-headers"], OldVersions::Lan);
    assert_eq!(sharing.why(&package(NEW, "core"), "core"), Why::Listed);
    assert_eq!(sharing.why(&package(OLD, "core"), "core"), Why::Superseded);
    assert_eq!(sharing.why(&package(HEADERS, "core"), "core"), Why::Excluded("linux-headers".to_owned()));
    assert_eq!(sharing.why(&package(NEW, "private"), "private"), Why::NotShared);
}
