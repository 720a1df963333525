//! Who may depend on whom: arrows point down only, as `docs/code-structure.md` draws them.

use crate::command::{Failure, cargo, output};
use crate::workspace::Crate;

/// Each crate, and those of ours that it may name outside its tests.
const ARROWS: &[(&str, &[&str])] = &[
    // KNOW
    ("p2p-package", &[]),
    ("p2p-pacman", &["p2p-package"]),
    ("p2p-state", &[]),
    // SPEAK
    ("p2p-wire", &["p2p-package"]),
    ("p2p-api", &["p2p-package"]),
    // MOVE: never one another
    ("p2p-engine", &["p2p-package", "p2p-pacman", "p2p-wire"]),
    ("p2p-webseed", &["p2p-package", "p2p-pacman", "p2p-wire"]),
    ("p2p-seeder", &["p2p-package", "p2p-pacman", "p2p-wire"]),
    ("p2p-gate", &["p2p-package", "p2p-pacman", "p2p-wire"]),
    ("p2p-discovery", &["p2p-package", "p2p-pacman", "p2p-state", "p2p-wire"]),
    ("p2p-neighbours", &["p2p-package", "p2p-state", "p2p-wire"]),
    ("p2p-client", &["p2p-api", "p2p-package", "p2p-pacman"]),
    // RUN
    ("p2pctl", &["p2p-api", "p2p-client", "p2p-package", "p2p-pacman", "p2p-wire"]),
    ("pacman2pacman-get", &["p2p-api", "p2p-client", "p2p-package", "p2p-pacman"]),
    (
        "p2pd",
        &[
            "p2p-api",
            "p2p-discovery",
            "p2p-engine",
            "p2p-gate",
            "p2p-neighbours",
            "p2p-package",
            "p2p-pacman",
            "p2p-seeder",
            "p2p-state",
            "p2p-webseed",
            "p2p-wire",
        ],
    ),
    // Beside the program: real parts for tests, and the demonstration that is made of them.
    ("p2p-tests", &["p2p-api", "p2p-client", "p2p-neighbours", "p2p-package", "p2p-pacman", "p2p-wire"]),
    ("xtask", &["p2p-api", "p2p-client", "p2p-package", "p2p-tests"]),
];

/// Programs that start in a millisecond have no async runtime.
const BLOCKING: &[&str] = &["p2p-client", "p2pctl", "pacman2pacman-get"];

/// Crates without sockets, files, clock and random numbers, and what would bring them.
const PURE: &[&str] = &["p2p-package", "p2p-wire", "p2p-api"];
const IMPURE: &[&str] = &["fs-err", "rand", "reqwest", "rustix", "socket2", "tempfile", "tokio", "tokio-util"];

pub(super) fn faults(crates: &[Crate]) -> Result<Vec<String>, Failure> {
    let mut faults: Vec<String> = crates.iter().flat_map(|member| arrow_faults(member, crates)).collect();
    for name in BLOCKING {
        let tree = output(cargo(&format!("tree --package {name} --edges normal --prefix none")))?;
        if tree.lines().any(|line| line.starts_with("tokio v")) {
            faults
                .push(format!("{name}: it must not depend on tokio, see `cargo tree --package {name} --invert tokio`"));
        }
    }
    Ok(faults)
}

fn arrow_faults(member: &Crate, crates: &[Crate]) -> Vec<String> {
    let name = member.name.as_str();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!("{name}: crates/xtask/src/tidy/arrows.rs does not know it")];
    };
    let is_ours = |dependency: &str| crates.iter().any(|other| other.name == dependency);
    let refused = |dependency: &&String| {
        let dependency = dependency.as_str();
        is_ours(dependency) && !allowed.contains(&dependency)
            || dependency.starts_with("librqbit") && !may_name_engine(name, dependency)
            || PURE.contains(&name) && IMPURE.contains(&dependency)
    };
    member
        .dependencies
        .iter()
        .filter(refused)
        .map(|dependency| format!("{name}: it must not depend on {dependency}"))
        .collect()
}

/// Who may name the BitTorrent engine: one crate all of it, one its uTP.
fn may_name_engine(name: &str, part: &str) -> bool {
    name == "p2p-engine" || name == "p2p-gate" && part == "librqbit-utp"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, dependencies: &[&str]) -> Vec<String> {
        let member = |name: &str, dependencies: &[&str]| Crate {
            name: name.into(),
            description: String::new(),
            root_file: "src/lib.rs".into(),
            dependencies: dependencies.iter().map(ToString::to_string).collect(),
        };
        let ours = ["p2p-engine", "p2p-gate", "p2p-package"].map(|name| member(name, &[]));
        arrow_faults(&member(name, dependencies), &ours)
    }

    #[test]
    fn arrows_point_down_only() {
        assert_eq!(faults_of("p2p-gate", &["p2p-package", "tokio"]), [""; 0]);
        assert_eq!(faults_of("p2p-gate", &["p2p-engine"]), ["p2p-gate: it must not depend on p2p-engine"]);
        assert_eq!(faults_of("p2p-wire", &["p2p-gate"]), ["p2p-wire: it must not depend on p2p-gate"]);
    }

    #[test]
    fn only_the_engine_names_the_engine() {
        assert_eq!(faults_of("p2p-engine", &["librqbit", "librqbit-core"]), [""; 0]);
        assert_eq!(faults_of("p2p-gate", &["librqbit-utp"]), [""; 0]);
        assert_eq!(faults_of("p2p-gate", &["librqbit"]), ["p2p-gate: it must not depend on librqbit"]);
        assert_eq!(faults_of("p2pd", &["librqbit-core"]), ["p2pd: it must not depend on librqbit-core"]);
    }

    #[test]
    fn pure_crates_bring_no_sockets_and_new_crates_need_a_place() {
        assert_eq!(faults_of("p2p-wire", &["socket2"]), ["p2p-wire: it must not depend on socket2"]);
        assert_eq!(faults_of("p2p-new", &[]), ["p2p-new: crates/xtask/src/tidy/arrows.rs does not know it"]);
    }
}
