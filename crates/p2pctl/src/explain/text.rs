//! An explanation for people.

use bytesize::ByteSize;
use p2p_api::{
    Explanation, FetchSource, FetchStory, Has, Listing, NeighbourAnswer, Place, Reach, ReachReason, SourceKind,
    StoryEnd,
};

use crate::report::{age, count, plain};

/// What begins the lines after the first one of something long.
const INDENT: &str = "              ";

/// All of it; `now` in seconds since 1970.
pub(crate) fn text(explanation: &Explanation, now: u64) -> String {
    let ago = |time: u64| format!("{} ago", age(now.saturating_sub(time)));
    let mut lines = vec![plain(&explanation.name)];
    let mut line = |name: &str, value: &str| lines.push(format!("  {name:<12}{value}"));
    line("listed", &listed(explanation));
    if let Some(listing) = explanation.listings.first() {
        line("package id", &plain(&listing.sha256));
    }
    if let Some(info_hash) = &explanation.info_hash {
        line("info hash", &plain(info_hash));
    }
    line("held", &held(explanation, ago));
    line("shared", &shared(explanation));
    line("neighbours", &neighbours(explanation));
    line("peers", &peers(explanation));
    match &explanation.last_fetch {
        Some(story) => line("last fetch", &last_fetch(story, ago)),
        None => line("last fetch", "none that is remembered: since p2pd started, among its last 1,000"),
    }
    lines.join("\n")
}

fn listed(explanation: &Explanation) -> String {
    let listing = |listing: &Listing| {
        let (repository, version) = (plain(&listing.repository), plain(&listing.version));
        format!("by {repository}, version {version}, {}", size(listing.size))
    };
    match explanation.listings.as_slice() {
        [] if explanation.reason == ReachReason::Superseded => "by no sync database any more".to_owned(),
        [] if !explanation.name.contains(".pkg.tar") => "by no sync database: no package here has this name".to_owned(),
        [] => "by no sync database: it is fetched over HTTP, checked by pacman alone, and never shared".to_owned(),
        listings => listings.iter().map(listing).collect::<Vec<_>>().join(&format!("\n{INDENT}")),
    }
}

fn held(explanation: &Explanation, ago: impl Fn(u64) -> String) -> String {
    let Some(held) = &explanation.held else { return "no".to_owned() };
    let place = match held.place {
        Place::Cache => "pacman's cache",
        Place::Store => "p2pd's store",
    };
    let path = plain(&held.path);
    let Some(added) = held.added else { return format!("in {place}, not in the catalog: {path}") };
    let fetched = held.fetched.map_or_else(|| "never".to_owned(), &ago);
    let uploaded = size(held.uploaded_bytes);
    format!("in {place}: {path}\n{INDENT}since {}, fetched {fetched}, {uploaded} given to peers", ago(added))
}

fn shared(explanation: &Explanation) -> String {
    let pattern = explanation.pattern.as_deref().map(plain).unwrap_or_default();
    match (explanation.reach, explanation.reason) {
        (Reach::Public, ReachReason::Superseded) => {
            "with everybody, though no sync database lists it any more (seed.old_versions)".to_owned()
        }
        (Reach::Public, _) => "with everybody".to_owned(),
        (Reach::Lan, _) => {
            "with the local networks alone: no sync database lists it any more (seed.old_versions)".to_owned()
        }
        (Reach::Nobody, ReachReason::Excluded) => format!("with nobody: seed.exclude has {pattern:?}"),
        (Reach::Nobody, ReachReason::NotShared) => {
            "with nobody: seed.repositories does not name its repository".to_owned()
        }
        (Reach::Nobody, ReachReason::Unlisted) => "with nobody: no sync database lists it".to_owned(),
        (Reach::Nobody, ReachReason::Listed | ReachReason::Superseded) => "with nobody".to_owned(),
    }
}

fn neighbours(explanation: &Explanation) -> String {
    if explanation.reach != Reach::Public {
        return "not asked, since it is not shared with everybody".to_owned();
    }
    let named = |wanted: Has| {
        let those = explanation.neighbours.iter().filter(move |neighbour| neighbour.answer == wanted);
        those.map(name).collect::<Vec<_>>()
    };
    let mut said = Vec::new();
    for (has, words) in [(Has::Here, "has it"), (Has::Coming, "is downloading it")] {
        said.extend(named(has).into_iter().map(|name| format!("{name} {words}")));
    }
    for (has, words) in [(Has::Absent, "without it"), (Has::Silent, "said nothing within 2 seconds")] {
        let many = named(has).len() as u64;
        if many > 0 {
            said.push(format!("{} {words}", count(many, "neighbour")));
        }
    }
    if said.is_empty() { "none is connected".to_owned() } else { said.join(&format!("\n{INDENT}")) }
}

fn name(neighbour: &NeighbourAnswer) -> String {
    let near = if neighbour.local { " (local network)" } else { "" };
    format!("{}{near}", plain(&neighbour.address))
}

fn peers(explanation: &Explanation) -> String {
    let connected = match explanation.peers {
        0 => "none connected".to_owned(),
        some => format!("{} connected", count(some, "peer")),
    };
    match explanation.others {
        Some(others) => format!("{connected}; trackers and the DHT last named {others}"),
        None => connected,
    }
}

fn last_fetch(story: &FetchStory, ago: impl Fn(u64) -> String) -> String {
    let took = format!("{}.{:03} s", story.elapsed_ms / 1_000, story.elapsed_ms % 1_000);
    let end = match story.end {
        StoryEnd::Running => format!("for {took} so far"),
        StoryEnd::Ready => format!("in {took}"),
        StoryEnd::Failed => {
            format!("failed after {took}: {}", plain(story.message.as_deref().unwrap_or("nobody knows why")))
        }
        StoryEnd::Abandoned => format!("given up after {took}, since nobody waited for it any more"),
    };
    let mut lines = vec![format!("{}, {end}", ago(story.began))];
    let width = story.sources.iter().map(|source| source_name(source).chars().count()).max().unwrap_or(0);
    for source in &story.sources {
        let (name, bytes) = (source_name(source), size(source.bytes));
        lines.push(format!("    {name:<width$}  {bytes:>10}  {}", plain(&source.why)));
    }
    lines.push(String::new());
    lines.extend(story.events.iter().map(|event| format!("    {:>7} ms  {}", event.after_ms, plain(&event.text))));
    if story.more_events > 0 {
        lines.push(format!("    {} between them are left out", count(story.more_events, "event")));
    }
    lines.join("\n")
}

fn source_name(source: &FetchSource) -> String {
    let name = plain(&source.name);
    match source.kind {
        SourceKind::Mirror => name,
        SourceKind::Neighbour if name.is_empty() => "neighbours".to_owned(),
        SourceKind::Neighbour => format!("neighbour {name}"),
        SourceKind::Peer if name.is_empty() => "the whole swarm".to_owned(),
        SourceKind::Peer => format!("peer {name}"),
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../../../tests/golden/api/explanations.json");

    #[test]
    fn a_person_reads_who_has_it_and_how_it_came() {
        let golden: Vec<Explanation> = serde_json::from_str(GOLDEN).expect("the golden file");
        insta::assert_snapshot!(text(&golden[0], 1_700_007_200), @"
        gimp-2.10.38-1-x86_64.pkg.tar.zst
          listed      by extra, version 2.10.38-1, 19.0 MiB
          package id  0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
          info hash   1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e
          held        in pacman's cache: /var/cache/pacman/pkg/gimp-2.10.38-1-x86_64.pkg.tar.zst
                      since 2h ago, fetched 2h ago, 38.0 MiB given to peers
          shared      with everybody
          neighbours  192.168.1.2:6881 (local network) has it
                      1 neighbour said nothing within 2 seconds
          peers       3 peers connected; trackers and the DHT last named 12
          last fetch  2h ago, in 1.240 s
            mirror.example     9.5 MiB  was asked, and sent some of it
            neighbours             0 B  none was connected

                  0 ms  mirror.example is asked
                 85 ms  mirror.example answers
        ");
    }

    #[test]
    fn what_no_database_lists_says_what_follows() {
        let golden: Vec<Explanation> = serde_json::from_str(GOLDEN).expect("the golden file");
        insta::assert_snapshot!(text(&golden[1], 1_700_007_200), @"
        http://home.example/custom/tool-1-1-any.pkg.tar.zst
          listed      by no sync database: it is fetched over HTTP, checked by pacman alone, and never shared
          held        no
          shared      with nobody: no sync database lists it
          neighbours  not asked, since it is not shared with everybody
          peers       none connected
          last fetch  none that is remembered: since p2pd started, among its last 1,000
        ");
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_not_said_to_be_fetched() {
        let golden: Vec<Explanation> = serde_json::from_str(GOLDEN).expect("the golden file");
        let unknown = Explanation { name: "gimpp".to_owned(), ..golden[1].clone() };
        assert_eq!(listed(&unknown), "by no sync database: no package here has this name");
    }

    #[test]
    fn why_nobody_may_have_it_is_said() {
        let golden: Vec<Explanation> = serde_json::from_str(GOLDEN).expect("the golden file");
        let explanation = |reach, reason, pattern: Option<&str>| {
            let pattern = pattern.map(str::to_owned);
            shared(&Explanation { reach, reason, pattern, ..golden[0].clone() })
        };
        assert_eq!(
            explanation(Reach::Nobody, ReachReason::Excluded, Some("steam*")),
            "with nobody: seed.exclude has \"steam*\""
        );
        assert_eq!(
            explanation(Reach::Nobody, ReachReason::NotShared, None),
            "with nobody: seed.repositories does not name its repository"
        );
        assert_eq!(
            explanation(Reach::Lan, ReachReason::Superseded, None),
            "with the local networks alone: no sync database lists it any more (seed.old_versions)"
        );
    }
}
