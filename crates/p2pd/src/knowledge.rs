//! What pacman's configuration and sync databases say at this moment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use p2p_package::{FileName, PackageId};
use p2p_pacman::{ConfError, Kind, Known, PacmanConf, Request, SyncDatabases};
use tokio::sync::watch;
use url::Url;

use crate::cache_server::OwnAddress;
use crate::config::Seed;
use crate::fetch::Wanted;
use crate::sharing::{List, Sharing, SharingRules};

/// The most mirrors that one fetch tries.
const MAX_MIRRORS: usize = 16;
/// How often strangers may have us look whether a database has changed.
const RECENT: Duration = Duration::from_secs(1);

/// Pacman's side of the world; read again when a file behind it has changed.
#[derive(Debug)]
pub(crate) struct Knowledge {
    config: PathBuf,
    view: RwLock<Arc<View>>,
    /// What may be shared, as of the last look at the databases.
    sharing: watch::Sender<Arc<Sharing>>,
    /// What the configuration says of it; locked by the one who looks.
    rules: Mutex<Arc<SharingRules>>,
    /// When a stranger last had us look.
    looked: tokio::sync::Mutex<Option<Instant>>,
    /// What the files looked like that could not be read.
    unreadable: RwLock<Option<Vec<Stamp>>>,
    /// Our own cache server, which is no mirror.
    cache_server: OnceLock<OwnAddress>,
}

/// One consistent reading of `pacman.conf` and what it includes.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) conf: PacmanConf,
    pub(crate) databases: SyncDatabases,
    stamps: Vec<Stamp>,
}

/// What a URL asks for, and where else it can be had.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) request: Request,
    /// The package, where a sync database knows it.
    pub(crate) known: Option<Known>,
    /// It is not our database that says so.
    pub(crate) claimed: bool,
    /// See [`Wanted::force`].
    pub(crate) force: bool,
    /// The bytes of the file, where it is a signature that a sync database holds.
    pub(crate) signature: Option<Vec<u8>>,
    /// The package, where the file is the signature of one that a sync database knows.
    pub(crate) signed: Option<PackageId>,
    /// The repository below one of whose servers the URL is.
    pub(crate) repository: Option<String>,
    /// Where the file is on each mirror, in the order in which they are to be asked.
    pub(crate) mirrors: Vec<Url>,
    /// The mirrors' directories, for `.torrent` files: all of the repository's.
    pub(crate) servers: Vec<String>,
}

impl Knowledge {
    /// Reads `pacman.conf` and the databases.
    pub(crate) fn load(config: &Path, seed: &Seed) -> Result<Self, ConfError> {
        let view = View::load(config)?;
        let rules = Arc::new(SharingRules::new(seed));
        let sharing = Arc::new(view.sharing(&rules));
        Ok(Self {
            config: config.to_owned(),
            view: RwLock::new(Arc::new(view)),
            sharing: watch::Sender::new(sharing),
            rules: Mutex::new(rules),
            looked: tokio::sync::Mutex::default(),
            unreadable: RwLock::default(),
            cache_server: OnceLock::new(),
        })
    }

    /// What holds now. A configuration that has become unreadable leaves the last good one in force.
    pub(crate) fn view(&self) -> Arc<View> {
        let view = self.last_view();
        let now = stamps(&view.conf);
        let is_unreadable = || *self.unreadable.read().unwrap_or_else(PoisonError::into_inner) == Some(now.clone());
        if view.stamps == now || is_unreadable() {
            return view;
        }
        match View::load(&self.config) {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
                fresh
            }
            Err(error) => {
                tracing::warn!(error = %p2p_api::Report(&error), "pacman's configuration cannot be read");
                *self.unreadable.write().unwrap_or_else(PoisonError::into_inner) = Some(now);
                view
            }
        }
    }

    /// The same as of the last reading: this neither waits nor looks at a file.
    pub(crate) fn last_view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over a changed `[seed]`. Reads databases that changed: call it where blocking is allowed.
    pub(crate) fn share(&self, seed: &Seed) {
        let mut rules = self.lock_rules();
        *rules = Arc::new(SharingRules::new(seed));
        self.look(&rules);
    }

    /// What may be shared at this moment. Reads databases that changed: call it where blocking is allowed.
    pub(crate) fn sharing(&self) -> Arc<Sharing> {
        self.look(&self.lock_rules())
    }

    /// The same as of the last look at the databases: this neither waits nor looks at a file. The rules are always those in
    /// force.
    pub(crate) fn last_sharing(&self) -> Arc<Sharing> {
        Arc::clone(&self.sharing.borrow())
    }

    /// What may be shared, at most a second ago: for strangers, who may come in any number.
    pub(crate) async fn recent_sharing(self: &Arc<Self>) -> Arc<Sharing> {
        let mut looked = self.looked.lock().await;
        if looked.is_none_or(|at| at.elapsed() >= RECENT) {
            let knowledge = Arc::clone(self);
            let look = tokio::task::spawn_blocking(move || knowledge.sharing()).await;
            look.expect("reading databases does not panic");
            *looked = Some(Instant::now());
        }
        self.last_sharing()
    }

    /// Changes whenever the answers may.
    pub(crate) fn watch_sharing(&self) -> watch::Receiver<Arc<Sharing>> {
        self.sharing.subscribe()
    }

    /// Whoever holds the rules looks, so that no older look replaces a newer one.
    fn look(&self, rules: &MutexGuard<'_, Arc<SharingRules>>) -> Arc<Sharing> {
        let fresh = self.view().sharing(rules);
        self.sharing.send_if_modified(|last| {
            let is_news = !last.is_same(&fresh);
            if is_news {
                *last = Arc::new(fresh);
            }
            is_news
        });
        self.last_sharing()
    }

    fn lock_rules(&self) -> MutexGuard<'_, Arc<SharingRules>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where our own cache server listens.
    pub(crate) fn set_cache_server(&self, bound: SocketAddr) {
        let _ = self.cache_server.set(OwnAddress::new(bound));
    }

    /// Where our own cache server listens, if there is one.
    pub(crate) fn cache_server(&self) -> Option<SocketAddr> {
        self.cache_server.get().map(OwnAddress::bound)
    }

    /// These `Server`s without our own cache server.
    pub(crate) fn mirrors_of(&self, servers: &[String]) -> Vec<String> {
        let is_other = |server: &&String| Url::parse(server).is_ok_and(|url| !self.is_our_own(&url));
        servers.iter().filter(is_other).cloned().collect()
    }

    fn is_our_own(&self, url: &Url) -> bool {
        self.cache_server.get().is_some_and(|own| own.is_named_by(url))
    }

    /// Whether this signature of a package has to be asked of a mirror: pacman will want it, and no database holds it.
    pub(crate) fn needs_signature(&self, signature: &Request) -> bool {
        let view = self.view();
        let Kind::Signature(name) = &signature.kind else { return false };
        let Some((repository, _)) = signature.below(&view.conf.repositories) else { return true };
        let is_held = || view.databases.lookup_in(repository, name).is_some_and(|known| known.signature.is_some());
        self.checks_signature(signature) && !is_held()
    }

    /// Whether pacman looks at this signature, as far as its configuration tells: `SigLevel` may say `Never`.
    /// By the last reading of it: this neither waits nor looks at a file.
    pub(crate) fn checks_signature(&self, signature: &Request) -> bool {
        let view = self.last_view();
        let is_package = matches!(signature.kind, Kind::Signature(_));
        let below = signature.below(&view.conf.repositories);
        let repository = below.and_then(|(name, _)| view.conf.repositories.iter().find(|other| other.name == name));
        repository.is_none_or(|repository| !is_package || repository.checks_packages)
    }

    /// What is wanted. Reads databases that changed: call it where blocking is allowed.
    pub(crate) fn target(&self, wanted: Wanted) -> Target {
        let Wanted { request, force, claim } = wanted;
        let view = self.view();
        let below = request.below(&view.conf.repositories);
        // A URL below none of our servers may be another root's, with other packages of the same names.
        let look_up = |name: &FileName| view.databases.lookup_in(below?.0, name);
        let (mut known, mut signature, mut signed) = (None, None, None);
        match &request.kind {
            Kind::Package(name) => known = look_up(name),
            Kind::Signature(name) => {
                (signed, signature) = look_up(name).map(|known| (known.id, known.signature)).unzip();
            }
            Kind::Database | Kind::DatabaseSignature | Kind::Files | Kind::Other => {}
        }
        let repository = below.map(|(repository, _)| repository.to_owned());
        let ours = view.conf.repositories.iter().filter(|other| Some(&other.name) == repository.as_ref());
        let servers: Vec<String> = ours.flat_map(|repository| self.mirrors_of(&repository.servers)).collect();
        let mut mirrors = if self.is_our_own(&request.url) { Vec::new() } else { vec![request.url.clone()] };
        for server in &servers {
            let Ok(url) = Url::parse(&format!("{server}/{}", request.file_name)) else { continue };
            if mirrors.len() < MAX_MIRRORS && !mirrors.contains(&url) {
                mirrors.push(url);
            }
        }
        let claim =
            claim.zip(repository.as_deref()).filter(|(id, _)| known.as_ref().is_none_or(|known| known.id != *id));
        let claimed = claim.is_some();
        if let Some((id, repository)) = claim {
            known = Some(Known { id, repository: repository.into(), signature: None });
        }
        // The fetch asks how far the package may go, and must not hear it of an older database.
        self.sharing();
        let signature = signature.flatten();
        Target { request, known, claimed, force, signature, signed, repository, mirrors, servers }
    }
}

impl View {
    fn load(config: &Path) -> Result<Self, ConfError> {
        // Somebody may be writing: only what is read after the stamps were taken is sure to be as fresh as they say.
        let stamps = stamps(&PacmanConf::load(config)?);
        let conf = PacmanConf::load(config)?;
        let databases = SyncDatabases::new(&conf.db_path, conf.repositories.iter().map(|repository| &repository.name));
        Ok(Self { conf, databases, stamps })
    }

    /// One stat(2) for each shared repository.
    fn sharing(&self, rules: &Arc<SharingRules>) -> Sharing {
        let shared = self.conf.repositories.iter().filter(|repository| rules.shares(&repository.name));
        let list = |name: &str| {
            let database = self.databases.database(name)?;
            Some(List { repository: name.into(), database })
        };
        Sharing::new(Arc::clone(rules), shared.filter_map(|repository| list(&repository.name)))
    }
}

/// When a file was modified last, and its length: a file that was emptied and one that was filled may have the same time.
type Stamp = Option<(SystemTime, u64)>;

fn stamps(conf: &PacmanConf) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = fs_err::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    conf.sources().iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "[options]\nArchitecture = x86_64\nDBPath = /nonexistent\n\
                                 [core]\nServer = http://one/core\nServer = http://two/core\n\
                                 [private]\nServer = http://home/private\n";

    fn knowledge() -> (tempfile::TempDir, Knowledge) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = directory.path().join("pacman.conf");
        fs_err::write(&config, CONFIGURATION).expect("a small file");
        let knowledge = Knowledge::load(&config, &seed("core")).expect("a valid configuration");
        (directory, knowledge)
    }

    fn seed(repository: &str) -> Seed {
        Seed { repositories: vec![repository.to_owned()], ..Seed::default() }
    }

    fn target(knowledge: &Knowledge, url: &str) -> Target {
        knowledge.target(Request::from_url(url).expect("a URL").into())
    }

    fn mirrors(target: &Target) -> Vec<&str> {
        target.mirrors.iter().map(Url::as_str).collect()
    }

    #[test]
    fn the_other_mirrors_of_the_repository_have_the_same_file() {
        let (_directory, knowledge) = knowledge();
        let target = target(&knowledge, "http://two/core/core.db");
        assert_eq!(mirrors(&target), ["http://two/core/core.db", "http://one/core/core.db"]);
        assert_eq!(target.repository.as_deref(), Some("core"));
    }

    #[test]
    fn a_url_below_no_server_of_ours_is_asked_for_nowhere_else() {
        let (_directory, knowledge) = knowledge();
        let target = target(&knowledge, "http://three/core/a-1-1-any.pkg.tar.zst");
        assert_eq!(mirrors(&target), ["http://three/core/a-1-1-any.pkg.tar.zst"]);
        assert!(target.known.is_none() && target.repository.is_none() && target.servers.is_empty());
    }

    #[test]
    fn our_own_cache_server_is_no_mirror() {
        let (directory, knowledge) = knowledge();
        let own = "http://localhost:9717/core/os/x86_64";
        let text = format!("{CONFIGURATION}[extra]\nServer = {own}\nServer = http://one/extra\n");
        fs_err::write(directory.path().join("pacman.conf"), text).expect("a small file");
        knowledge.set_cache_server(([127, 0, 0, 1], 9717).into());
        let target = target(&knowledge, &format!("{own}/a-1-1-any.pkg.tar.zst"));
        assert_eq!(target.repository.as_deref(), Some("extra"));
        assert_eq!((mirrors(&target), target.servers.len()), (vec!["http://one/extra/a-1-1-any.pkg.tar.zst"], 1));
    }

    #[test]
    fn a_changed_configuration_holds_at_once_and_what_has_not_changed_is_no_news() {
        let (_directory, knowledge) = knowledge();
        let mut watch = knowledge.watch_sharing();
        let shares = |repository| knowledge.last_sharing().rules().shares(repository);
        assert!(shares("core") && !shares("private"));
        knowledge.share(&seed("private"));
        assert!(shares("private") && !shares("core"));
        assert!(watch.has_changed().expect("a living sender"));
        watch.mark_unchanged();
        assert!(Arc::ptr_eq(&knowledge.sharing(), &knowledge.last_sharing()));
        assert!(!watch.has_changed().expect("a living sender"));
    }

    #[test]
    fn a_changed_configuration_is_read_again_and_a_broken_one_is_not_taken() {
        let (directory, knowledge) = knowledge();
        let config = directory.path().join("pacman.conf");
        let later = SystemTime::now() + Duration::from_secs(5);
        let rewrite = |text: &str, at: SystemTime| {
            fs_err::write(&config, text).expect("a small file");
            fs_err::File::options()
                .write(true)
                .open(&config)
                .and_then(|file| file.file().set_modified(at))
                .expect("our file");
        };
        rewrite("[new]\nServer = http://new\n", later);
        assert_eq!(knowledge.view().conf.repositories[0].name, "new");
        rewrite("[newer]\nServer = http://newer\n", later);
        assert_eq!(knowledge.view().conf.repositories[0].name, "newer", "within one tick of the clock");
        rewrite("[new\nServer", later + Duration::from_secs(5));
        assert_eq!(knowledge.view().conf.repositories[0].name, "newer");
    }
}
