//! What the configuration means: complete, valid, with every default in one place.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use super::publishers::Publisher;
use super::reader::{Problems, Reader, Section};
use super::replicate::Replicate;
use super::seed::Seed;
use super::value;

/// Everything that the configuration decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) daemon: Daemon,
    pub(crate) pacman: Pacman,
    pub(crate) network: Network,
    pub(crate) discovery: Discovery,
    pub(crate) fetch: Fetch,
    pub(crate) seed: Seed,
    pub(crate) replicate: Replicate,
    pub(crate) cache_server: CacheServer,
    pub(crate) publishers: Vec<Publisher>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) fetch_users: Vec<String>,
    pub(crate) fetch_group: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pacman {
    pub(crate) config: PathBuf,
}

/// Rates are in bytes a second; none means no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) listen: SocketAddr,
    pub(crate) upload_limit: Option<NonZeroU64>,
    pub(crate) download_limit: Option<NonZeroU64>,
    pub(crate) port_mapping: bool,
}

/// How far from home peers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    Lan,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Discovery {
    pub(crate) scope: Scope,
    pub(crate) lan: bool,
    pub(crate) dht: bool,
    pub(crate) dht_listen: SocketAddrV4,
    pub(crate) dht_bootstrap: Vec<String>,
    pub(crate) trackers: Vec<Url>,
    pub(crate) peers: Vec<String>,
    /// UDP packets a second for announcing what we hold, on average.
    pub(crate) announce_budget: u32,
}

/// When the mirror joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Balanced,
    Speed,
    SpareMirrors,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) policy: Policy,
    pub(crate) metainfo_mirrors: usize,
    pub(crate) metainfo_timeout: Duration,
    pub(crate) metainfo_urls: Vec<String>,
    pub(crate) mirror_connections: usize,
    pub(crate) prefetch: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CacheServer {
    pub(crate) listen: Option<SocketAddr>,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            socket: "/run/p2pd/p2pd.sock".into(),
            state_dir: "/var/lib/p2pd".into(),
            fetch_users: vec!["root".to_owned(), "alpm".to_owned()],
            fetch_group: "p2pd".to_owned(),
        }
    }
}

impl Default for Pacman {
    fn default() -> Self {
        Self { config: "/etc/pacman.conf".into() }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 6881)),
            upload_limit: NonZeroU64::new(2 * 1024 * 1024),
            download_limit: None,
            port_mapping: false,
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            scope: Scope::Public,
            lan: true,
            dht: true,
            dht_listen: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 6881),
            dht_bootstrap: Vec::new(),
            trackers: Vec::new(),
            peers: Vec::new(),
            announce_budget: 5,
        }
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            policy: Policy::Balanced,
            metainfo_mirrors: 3,
            metainfo_timeout: Duration::from_secs(6),
            metainfo_urls: Vec::new(),
            mirror_connections: 6,
            prefetch: true,
        }
    }
}

impl Settings {
    /// Reads a configuration file's text; `path` is for the messages.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once.
    pub(crate) fn read(text: &str, path: &Path) -> Result<Self, Problems> {
        let mut reader = Reader::new(text);
        let [daemon, pacman, network, discovery, fetch, seed, replicate, cache_server, publishers] = reader.sections([
            "daemon",
            "pacman",
            "network",
            "discovery",
            "fetch",
            "seed",
            "replicate",
            "cache_server",
            "publishers",
        ]);
        let mut settings = Self::default();
        settings.daemon.read(&mut reader, daemon);
        settings.pacman.read(&mut reader, pacman);
        settings.network.read(&mut reader, network);
        settings.discovery.read(&mut reader, discovery);
        settings.fetch.read(&mut reader, fetch);
        settings.seed.read(&mut reader, seed);
        settings.replicate.read(&mut reader, replicate);
        settings.cache_server.read(&mut reader, cache_server);
        settings.publishers = Publisher::read_all(&mut reader, publishers);
        reader.finish(path).map(|()| settings)
    }
}

impl Daemon {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take(&mut section, "socket", &mut self.socket, socket_path);
        reader.take(&mut section, "state_dir", &mut self.state_dir, value::absolute_path);
        reader.take_list(&mut section, "fetch_users", &mut self.fetch_users, value::text);
        reader.take(&mut section, "fetch_group", &mut self.fetch_group, value::text);
        reader.finish_section(section);
    }
}

impl Pacman {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take(&mut section, "config", &mut self.config, value::absolute_path);
        reader.finish_section(section);
    }
}

impl Network {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take(&mut section, "listen", &mut self.listen, value::listen_address);
        reader.take(&mut section, "upload_limit", &mut self.upload_limit, value::rate);
        reader.take(&mut section, "download_limit", &mut self.download_limit, value::rate);
        reader.take(&mut section, "port_mapping", &mut self.port_mapping, value::switch);
        reader.finish_section(section);
    }
}

impl Discovery {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take(&mut section, "scope", &mut self.scope, scope);
        reader.take(&mut section, "lan", &mut self.lan, value::switch);
        reader.take(&mut section, "dht", &mut self.dht, value::switch);
        reader.take(&mut section, "dht_listen", &mut self.dht_listen, value::listen_address_v4);
        reader.take_list(&mut section, "dht_bootstrap", &mut self.dht_bootstrap, value::host_and_port);
        reader.take_list(&mut section, "trackers", &mut self.trackers, value::tracker);
        reader.take_list(&mut section, "peers", &mut self.peers, value::host_and_port);
        reader.take(&mut section, "announce_budget", &mut self.announce_budget, announce_budget);
        reader.finish_section(section);
    }
}

impl Fetch {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        let minute = Duration::from_mins(1);
        reader.take(&mut section, "policy", &mut self.policy, policy);
        reader.take(&mut section, "metainfo_mirrors", &mut self.metainfo_mirrors, value::count(0..=16));
        reader.take(&mut section, "metainfo_timeout", &mut self.metainfo_timeout, value::duration_up_to(minute));
        reader.take_list(&mut section, "metainfo_urls", &mut self.metainfo_urls, value::metainfo_template);
        reader.take(&mut section, "mirror_connections", &mut self.mirror_connections, value::count(1..=32));
        reader.take(&mut section, "prefetch", &mut self.prefetch, value::switch);
        reader.finish_section(section);
    }
}

impl CacheServer {
    fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take(&mut section, "listen", &mut self.listen, value::optional_listen_address);
        reader.finish_section(section);
    }
}

/// The longest path that a Unix socket can have (`sun_path` in unix(7), with its final NUL).
const MAX_SOCKET_PATH: usize = 107;

fn socket_path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = value::absolute_path(value)?;
    let length = path.as_os_str().len();
    if length <= MAX_SOCKET_PATH {
        return Ok(path);
    }
    Err(format!("a socket's path has at most {MAX_SOCKET_PATH} bytes; this one has {length}"))
}

fn scope(value: &DeValue<'_>) -> Result<Scope, String> {
    match value::text(value)?.as_str() {
        "public" => Ok(Scope::Public),
        "lan" => Ok(Scope::Lan),
        other => Err(format!("{other:?} is neither \"public\" nor \"lan\"")),
    }
}

/// A thousand packets a second are more than any tracker or DHT node would thank for.
fn announce_budget(value: &DeValue<'_>) -> Result<u32, String> {
    let budget = value::count(0..=1000)(value)?;
    Ok(u32::try_from(budget).expect("at most 1000"))
}

fn policy(value: &DeValue<'_>) -> Result<Policy, String> {
    match value::text(value)?.as_str() {
        "balanced" => Ok(Policy::Balanced),
        "speed" => Ok(Policy::Speed),
        "spare-mirrors" => Ok(Policy::SpareMirrors),
        other => Err(format!("{other:?} is none of \"balanced\", \"speed\" and \"spare-mirrors\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(text, Path::new("p2pd.toml")).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(read(""), Ok(Settings::default()));
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_place() {
        let text = "[network]\nlisten = \"everywhere\"\nupload_limit = \"fast\"\nuplod = 1\n\n[fetch]\nmetainfo_mirrors = 99\n[fetsh]\n";
        assert_eq!(
            read(text).expect_err("five problems"),
            "p2pd.toml:2:10: network.listen: \"everywhere\" is not \"address:port\", for example \"[::]:6881\"\n\
             p2pd.toml:3:16: network.upload_limit: \"fast\" is not a rate, for example \"2MiB/s\"; \"0\" is no limit\n\
             p2pd.toml:4:1: unknown key \"uplod\" in [network]\n\
             p2pd.toml:7:20: fetch.metainfo_mirrors: a whole number from 0 to 16 is needed\n\
             p2pd.toml:8:2: unknown section \"fetsh\"; the sections are [daemon] [pacman] [network] [discovery] [fetch] \
             [seed] [replicate] [cache_server] [publishers]"
        );
    }

    #[test]
    fn a_syntax_error_does_not_hide_the_other_problems() {
        let problems = read("[network]\nlisten = \nport_mapping = 3\n").expect_err("two problems");
        assert!(problems.contains("p2pd.toml:2:") && problems.contains("port_mapping"), "{problems}");
    }

    #[test]
    fn values_mean_what_they_say() {
        let text = "[network]\nlisten = \"127.0.0.1:0\"\nupload_limit = \"0\"\ndownload_limit = \"512KiB/s\"\n\
                    [discovery]\nscope = \"lan\"\npeers = [\"[::1]:6881\", \"host:1\"]\ntrackers = [\"udp://t:1/announce\"]\n\
                    [fetch]\nmetainfo_timeout = \"500ms\"\nmetainfo_urls = [\"https://h/{filename}.torrent\"]\npolicy = \"speed\"\n";
        let settings = read(text).expect("a valid file");
        assert_eq!(settings.network.upload_limit, None);
        assert_eq!(settings.network.download_limit.map(NonZeroU64::get), Some(512 * 1024));
        assert_eq!(settings.discovery.scope, Scope::Lan);
        assert_eq!(settings.discovery.peers, ["[::1]:6881", "host:1"]);
        assert_eq!(settings.fetch.metainfo_timeout, Duration::from_millis(500));
        assert_eq!(settings.fetch.policy, Policy::Speed);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in [
            "[discovery]\npeers = [\"::1:6881\"]",
            "[discovery]\npeers = [\"host:0\"]",
            "[discovery]\ndht_listen = \"[::]:1\"",
            "[discovery]\ntrackers = [\"ftp://t\"]",
            "[discovery]\nannounce_budget = 1001",
            "[discovery]\nannounce_budget = \"5\"",
            "[fetch]\nmetainfo_timeout = \"1h\"",
            "[fetch]\nmetainfo_urls = [\"https://h/x.torrent\"]",
            "[daemon]\nsocket = \"relative\"",
            "[daemon]\nfetch_group = 7",
            "daemon = 1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
