//! The configuration of a daemon in a test.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::Host;

/// What a test may choose; the rest of `p2pd.toml` is made by [`crate::Daemon`]. The default finds nobody: no DHT, no local
/// discovery, no tracker, no peers.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where it runs.
    pub host: Host,
    /// The address of `network.listen`, where it is not the host's.
    pub listen: Option<IpAddr>,
    /// The port of `network.listen`; 0: any, another one after each start.
    pub port: u16,
    /// `daemon.fetch_users`.
    pub fetch_users: Vec<String>,
    /// `pacman.config`.
    pub pacman_config: PathBuf,
    /// `network.upload_limit`.
    pub upload_limit: String,
    /// More lines of `[network]`.
    pub network: String,
    /// `network.download_limit`.
    pub download_limit: String,
    /// `discovery.scope`.
    pub scope: String,
    /// `discovery.lan`.
    pub lan: bool,
    /// `discovery.dht_bootstrap`; the DHT is on where there is one.
    pub dht_bootstrap: Vec<SocketAddr>,
    /// `discovery.trackers`.
    pub trackers: Vec<String>,
    /// `discovery.peers`.
    pub peers: Vec<SocketAddr>,
    /// `fetch.policy`.
    pub policy: String,
    /// `fetch.metainfo_urls`.
    pub metainfo_urls: Vec<String>,
    /// `fetch.prefetch`.
    pub prefetch: bool,
    /// `seed.repositories`.
    pub repositories: Vec<String>,
    /// `seed.exclude`.
    pub exclude: Vec<String>,
    /// `seed.old_versions`.
    pub old_versions: String,
    /// `seed.monthly_cap`.
    pub monthly_cap: String,
    /// The text of every `[[seed.schedule]]`.
    pub schedule: String,
    /// The lines of `[replicate]`.
    pub replicate: String,
    /// The repository and the key of every `[[publishers]]`.
    pub publishers: Vec<(String, String)>,
    /// `cache_server.listen`.
    pub cache_server: String,
    /// `daemon.state_dir`, where it is not to be in the daemon's own directory: a small file system, say.
    pub state_dir: Option<PathBuf>,
    /// Whether it logs what a failed test wants to see.
    pub verbose: bool,
}

impl DaemonOptions {
    /// The default for the system of this `pacman.conf`.
    #[must_use]
    pub fn new(pacman_config: &Path) -> Self {
        Self {
            host: Host::loopback(),
            listen: None,
            port: 0,
            fetch_users: vec!["root".into(), "alpm".into()],
            pacman_config: pacman_config.to_owned(),
            upload_limit: "0".into(),
            network: String::new(),
            download_limit: "0".into(),
            scope: "public".into(),
            lan: false,
            dht_bootstrap: Vec::new(),
            trackers: Vec::new(),
            peers: Vec::new(),
            policy: "balanced".into(),
            metainfo_urls: Vec::new(),
            prefetch: true,
            repositories: vec!["core".into(), "extra".into()],
            exclude: Vec::new(),
            old_versions: "lan".into(),
            monthly_cap: "0".into(),
            schedule: String::new(),
            replicate: String::new(),
            publishers: Vec::new(),
            cache_server: String::new(),
            state_dir: None,
            verbose: true,
        }
    }

    /// The same for a measurement, in which the daemon logs no more than it would at its users'.
    #[must_use]
    pub fn measured(pacman_config: &Path) -> Self {
        Self { verbose: false, ..Self::new(pacman_config) }
    }

    /// The text of `p2pd.toml`, for a daemon whose files are below `directory`.
    pub(crate) fn toml(&self, directory: &Path) -> String {
        let any_port = SocketAddr::new(self.host.address(), 0).to_string();
        let state_dir = self.state_dir.clone().unwrap_or_else(|| directory.join("state"));
        let mut text = Toml::default();
        text.section("daemon");
        text.key("socket", quoted(&directory.join("p2pd.sock").display().to_string()));
        text.key("state_dir", quoted(&state_dir.display().to_string()));
        text.key("fetch_users", list(&self.fetch_users));
        text.section("pacman");
        text.key("config", quoted(&self.pacman_config.display().to_string()));
        text.section("network");
        let listen = self.listen.unwrap_or(self.host.address());
        text.key("listen", quoted(&SocketAddr::new(listen, self.port).to_string()));
        text.key("upload_limit", quoted(&self.upload_limit));
        text.key("download_limit", quoted(&self.download_limit));
        text.lines(&self.network);
        text.section("discovery");
        text.key("scope", quoted(&self.scope));
        text.key("lan", self.lan.to_string());
        text.key("dht", (!self.dht_bootstrap.is_empty()).to_string());
        text.key("dht_listen", quoted(&any_port));
        text.key("dht_bootstrap", list(&self.dht_bootstrap));
        text.key("trackers", list(&self.trackers));
        text.key("peers", list(&self.peers));
        text.section("fetch");
        text.key("policy", quoted(&self.policy));
        text.key("metainfo_urls", list(&self.metainfo_urls));
        text.key("prefetch", self.prefetch.to_string());
        text.section("seed");
        text.key("repositories", list(&self.repositories));
        text.key("exclude", list(&self.exclude));
        text.key("old_versions", quoted(&self.old_versions));
        text.key("monthly_cap", quoted(&self.monthly_cap));
        text.lines(&self.schedule);
        text.section("replicate");
        text.lines(&self.replicate);
        text.section("cache_server");
        text.key("listen", quoted(&self.cache_server));
        for (repository, key) in &self.publishers {
            text.section("[publishers]");
            text.key("repository", quoted(repository));
            text.key("key", quoted(key));
        }
        text.0
    }
}

#[derive(Default)]
struct Toml(String);

impl Toml {
    fn section(&mut self, name: &str) {
        writeln!(self.0, "[{name}]").expect("a String takes all");
    }

    fn lines(&mut self, lines: &str) {
        writeln!(self.0, "{lines}").expect("a String takes all");
    }

    fn key(&mut self, key: &str, value: impl AsRef<str>) {
        writeln!(self.0, "{key} = {}", value.as_ref()).expect("a String takes all");
    }
}

/// A basic string of TOML: JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list<T: ToString>(items: &[T]) -> String {
    serde_json::Value::from(items.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string()
}
