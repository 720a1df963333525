//! One request for a file of a repository, from its path to its answer.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use p2p_api::{FailureCode, Ready};
use p2p_pacman::{Kind, Known, Request};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::CacheServer;
use super::asked::Asked;
use super::awaited::Awaited;
use super::content::{self, Growing};
use super::decision::{DECIDE_WITHIN, Decision, Trust, Wish};
use super::guests::Visit;
use super::reply::{Reply, beyond_the_end, has_condition, redirect, refuse, reply, wanted_range};
use super::validators::Validators;
use super::wanted::Wanted;
use crate::fetch::{Outcome, Snapshot};
use crate::sharing::Reach;

/// The largest signature, in bytes (pacman's `dload.c`).
const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;

/// A request that has passed all checks but those of its repository.
#[derive(Debug)]
pub(super) struct Inquiry {
    server: Arc<CacheServer>,
    visit: Arc<Visit>,
    asked: Asked,
    headers: HeaderMap,
    arrived: Instant,
    deadline: Instant,
}

/// What pacman's configuration and databases say about the file.
#[derive(Debug)]
struct Found {
    /// The file's URL at the first mirror of its repository.
    request: Request,
    /// The file on each mirror that the client may be sent to.
    mirrors: Vec<Url>,
    known: Option<Known>,
    shared: bool,
    /// Whether a pacman may ask for the signature of a package.
    checked: bool,
    /// A signature that is here already: in the database, or beside the package in pacman's cache.
    signature: Option<Bytes>,
}

/// What is known about a package's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    /// We have it.
    Here,
    /// The mirrors have none.
    Without,
    /// No mirror could be asked.
    Unknown,
}

impl Inquiry {
    pub(super) fn new(server: Arc<CacheServer>, visit: Arc<Visit>, asked: Asked, headers: HeaderMap) -> Arc<Self> {
        let arrived = Instant::now();
        Arc::new(Self { server, visit, asked, headers, arrived, deadline: arrived + DECIDE_WITHIN })
    }

    /// The answer, within five seconds.
    pub(super) async fn answer(self: Arc<Self>) -> Response<Body> {
        let inquiry = Arc::clone(&self);
        let looking = tokio::task::spawn_blocking(move || inquiry.look_up());
        let found = match timeout_at(self.deadline, looking).await {
            Ok(found) => found.expect("reading databases does not panic"),
            Err(_) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "the databases are being read"),
        };
        let Some(found) = found else { return refuse(StatusCode::NOT_FOUND, "there is no such file here") };
        let found = Arc::new(found);
        match &self.asked.kind {
            Kind::Package(_) => self.package(&found).await,
            Kind::Signature(_) => self.signature(&found).await,
            Kind::Database | Kind::DatabaseSignature | Kind::Files | Kind::Other => {
                self.file(&found, Trust::Mirror { dated: true }, None).await
            }
        }
    }

    /// What is known about the file; none where there is nothing for this client. Reads databases that changed.
    fn look_up(&self) -> Option<Found> {
        let knowledge = &self.server.services.knowledge;
        let view = knowledge.view();
        let repository = view.conf.repositories.iter().find(|repository| repository.name == self.asked.repository)?;
        let is_ours = view.conf.architectures.first().is_none_or(|first| *first == self.asked.architecture);
        let sharing = knowledge.sharing();
        let known = match &self.asked.kind {
            Kind::Package(name) | Kind::Signature(name) => view.databases.lookup_in(&repository.name, name),
            Kind::Database | Kind::DatabaseSignature | Kind::Files | Kind::Other => None,
        };
        let shared = match &self.asked.kind {
            Kind::Package(_) | Kind::Signature(_) => {
                let reach = |known: &Known| sharing.reach(&known.id, &known.repository);
                known.as_ref().map_or(Reach::Nobody, reach) == Reach::Public
            }
            Kind::Database | Kind::DatabaseSignature | Kind::Files | Kind::Other => {
                sharing.rules().shares(&repository.name)
            }
        };
        let is_allowed = self.visit.is_at_home() || shared;
        if !is_ours || !is_allowed {
            return None;
        }
        let others = knowledge.mirrors_of(&repository.servers);
        let others: Vec<Url> = others.iter().filter_map(|server| self.asked.below(server)).collect();
        let all = repository.servers.iter().chain(&repository.cache_servers);
        let first = others.first().cloned().or_else(|| all.clone().find_map(|server| self.asked.below(server)))?;
        let request = Request::from_url(first.as_str()).ok()?;
        let mirrors = others.into_iter().filter(|url| self.visit.is_at_home() || is_for_others(url)).collect();
        let signature = known.as_ref().and_then(|known| self.signature_at_hand(known));
        // Who knows what another machine's pacman checks.
        let checked = repository.checks_packages || !self.visit.is_at_home();
        Some(Found { request, mirrors, known, shared, checked, signature })
    }

    fn signature_at_hand(&self, known: &Known) -> Option<Bytes> {
        if let Some(signature) = &known.signature {
            return Some(signature.clone().into());
        }
        let row = self.server.services.catalog.by_name(&known.id.file_name).filter(|row| row.id == known.id)?;
        let mut beside = row.path.clone().into_os_string();
        beside.push(".sig");
        let beside = PathBuf::from(beside);
        let metadata = fs_err::symlink_metadata(&beside).ok()?;
        let is_small = metadata.is_file() && metadata.len() <= MAX_SIGNATURE_BYTES;
        if is_small { fs_err::read(beside).ok().map(Bytes::from) } else { None }
    }

    async fn package(self: &Arc<Self>, found: &Arc<Found>) -> Response<Body> {
        let Some(known) = &found.known else {
            let signed = self.begin_signature(found);
            return self.file(found, Trust::Mirror { dated: false }, Some(signed)).await;
        };
        let range = wanted_range(&self.headers).filter(|_| !has_condition(&self.headers));
        if Wanted::of(range, known.id.size) == Wanted::Nothing {
            return beyond_the_end(known.id.size);
        }
        let signed = self.begin_signature(found);
        self.file(found, Trust::Database { shared: found.shared }, Some(signed)).await
    }

    /// Gets the signature that pacman will ask for next, beside the package.
    fn begin_signature(self: &Arc<Self>, found: &Arc<Found>) -> AbortOnDropHandle<Signed> {
        let (inquiry, found) = (Arc::clone(self), Arc::clone(found));
        AbortOnDropHandle::new(tokio::spawn(async move { inquiry.get_signature(&found).await }))
    }

    async fn get_signature(&self, found: &Found) -> Signed {
        let (signatures, repository) = (&self.server.signatures, &self.asked.repository);
        let (key, now) = (found.key(), std::time::Instant::now());
        if found.signature.is_some() || signatures.get(&key, now).is_some() {
            return Signed::Here;
        }
        // Whoever asks for the signature itself wants it looked for.
        let is_beside = matches!(self.asked.kind, Kind::Package(_));
        if is_beside && (!found.checked || signatures.are_missing(repository, now)) {
            return Signed::Without;
        }
        let wanted = if is_beside { found.request.signature() } else { Some(found.request.clone()) };
        let Some(wanted) = wanted else { return Signed::Unknown };
        let Ok(mut snapshots) = self.server.services.fetches.join(&self.server.services, wanted).await else {
            return Signed::Unknown;
        };
        let ended = snapshots.wait_for(|snapshot| snapshot.outcome.is_some()).await;
        let outcome = ended.ok().and_then(|snapshot| snapshot.outcome.clone());
        match outcome {
            Some(Outcome::Ready(ready)) => match content::small(&ready.path, MAX_SIGNATURE_BYTES).await {
                Ok(bytes) => {
                    signatures.put(repository, &key, bytes, std::time::Instant::now());
                    Signed::Here
                }
                Err(_) => Signed::Unknown,
            },
            Some(Outcome::Failed(failed)) if failed.code == FailureCode::NotFound => {
                signatures.note_unsigned(repository, std::time::Instant::now());
                Signed::Without
            }
            Some(Outcome::Failed(_) | Outcome::Abandoned) | None => Signed::Unknown,
        }
    }

    async fn signature(&self, found: &Found) -> Response<Body> {
        let Some(_errand) = self.visit.begin_errand() else { return self.redirect(found) };
        let signed = timeout_at(self.deadline, self.get_signature(found)).await.unwrap_or(Signed::Unknown);
        let kept = || self.server.signatures.get(&found.key(), std::time::Instant::now());
        match (signed, found.signature.clone().or_else(kept)) {
            (Signed::Here, Some(bytes)) => self.small(&bytes),
            (Signed::Without, _) => refuse(StatusCode::NOT_FOUND, "no mirror has this signature"),
            (Signed::Here | Signed::Unknown, _) => self.redirect(found),
        }
    }

    fn small(&self, bytes: &Bytes) -> Response<Body> {
        let size = bytes.len() as u64;
        match reply(&self.headers, &Validators::default(), size) {
            Reply::Finished(response) => response,
            Reply::Follows(head, range) => {
                let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                head.with(Body::from(bytes.slice(bound(range.start)..bound(range.end))))
            }
        }
    }

    /// Waits for the file's fetch until it is clear what to do.
    async fn file(&self, found: &Found, trust: Trust, mut signed: Option<AbortOnDropHandle<Signed>>) -> Response<Body> {
        let Some(mut awaited) = self.join(found).await else { return self.redirect(found) };
        let range = wanted_range(&self.headers).filter(|_| !has_condition(&self.headers));
        let wish = Wish { trust, range: range.map(str::to_owned) };
        let store = self.server.services.store.directory();
        loop {
            let snapshot = awaited.snapshots.borrow_and_update().clone();
            match wish.decide(&snapshot, self.arrived.elapsed(), store) {
                Decision::Wait => match timeout_at(self.deadline, awaited.snapshots.changed()).await {
                    Ok(Ok(())) | Err(_) => {}
                    Ok(Err(_)) => return self.redirect(found),
                },
                Decision::Serve(ready) => {
                    return match self.wait_for(signed.take()).await {
                        Some(_) => self.serve(found, &ready).await,
                        None => self.redirect(found),
                    };
                }
                // While the signature takes its time, all may change.
                Decision::Stream if signed.is_some() => match self.wait_for(signed.take()).await {
                    Some(Signed::Here | Signed::Without) => {}
                    Some(Signed::Unknown) | None => return self.redirect(found),
                },
                Decision::Stream => return self.stream(found, wish, snapshot, awaited).await,
                Decision::Redirect if is_silent(&snapshot) => return self.redirect_past_the_first(found),
                Decision::Redirect => return self.redirect(found),
                Decision::Lack => return refuse(StatusCode::NOT_FOUND, "no mirror has this file"),
            }
        }
    }

    /// Joins the fetch, if this client may have one more.
    async fn join(&self, found: &Found) -> Option<Awaited> {
        let errand = self.visit.begin_errand()?;
        let services = &self.server.services;
        let joining = services.fetches.join(services, found.request.clone());
        let snapshots = timeout_at(self.deadline, joining).await.ok()?.ok()?;
        Some(Awaited::new(snapshots, errand))
    }

    /// What became of the signature, in time; where nobody asks for one, there is nothing to wait for.
    async fn wait_for(&self, signed: Option<AbortOnDropHandle<Signed>>) -> Option<Signed> {
        match signed {
            Some(signed) => timeout_at(self.deadline, signed).await.ok()?.ok(),
            None => Some(Signed::Here),
        }
    }

    async fn serve(&self, found: &Found, ready: &Ready) -> Response<Body> {
        let validators = found.validators(ready.modified, ready.size);
        let (head, range) = match reply(&self.headers, &validators, ready.size) {
            Reply::Finished(response) => return response,
            Reply::Follows(head, range) => (head, range),
        };
        match content::open(&ready.path).await {
            Ok((file, size)) if size == ready.size => head.with(content::complete(file, range)),
            // It has gone, or changed, since a moment ago.
            Ok(_) | Err(_) => self.redirect(found),
        }
    }

    async fn stream(&self, found: &Found, wish: Wish, snapshot: Snapshot, awaited: Awaited) -> Response<Body> {
        let Some((source, size)) = snapshot.source.zip(snapshot.total) else { return self.redirect(found) };
        let validators = found.validators(snapshot.modified, size);
        let (head, range) = match reply(&self.headers, &validators, size) {
            Reply::Finished(response) => return response,
            Reply::Follows(head, range) => (head, range),
        };
        let Ok((file, _)) = content::open(&source).await else { return self.redirect(found) };
        if !self.server.services.fetches.pin(&awaited.snapshots) {
            return self.redirect(found);
        }
        head.with(Growing { file, source, size, range, rewinds: snapshot.rewinds, wish, awaited }.body())
    }

    /// Sends the client to the mirror that is most likely to deliver.
    fn redirect(&self, found: &Found) -> Response<Body> {
        redirect_to(self.by_health(found).first())
    }

    /// Sends the client to another mirror than the one that we have been waiting for, if there is one.
    fn redirect_past_the_first(&self, found: &Found) -> Response<Body> {
        let mirrors = self.by_health(found);
        redirect_to(mirrors.get(1).or(mirrors.first()))
    }

    fn by_health(&self, found: &Found) -> Vec<Url> {
        let mut mirrors = found.mirrors.clone();
        self.server.services.mirror_book.choose(&mut mirrors, std::time::Instant::now());
        mirrors
    }
}

impl Found {
    /// What tells the package, or file, from others in the table of signatures.
    fn key(&self) -> String {
        self.known.as_ref().map_or_else(
            || self.request.url.as_str().trim_end_matches(".sig").to_owned(),
            |known| known.id.sha256.to_string(),
        )
    }

    fn validators(&self, modified: Option<u64>, size: u64) -> Validators {
        match &self.known {
            Some(known) => Validators::of_package(&known.id.sha256, modified),
            None => Validators::of_file(modified, size),
        }
    }
}

fn redirect_to(mirror: Option<&Url>) -> Response<Body> {
    mirror.map_or_else(|| refuse(StatusCode::NOT_FOUND, "nobody delivers this file now"), redirect)
}

/// Whether the mirror that was asked has sent nothing.
fn is_silent(snapshot: &Snapshot) -> bool {
    snapshot.outcome.is_none() && snapshot.mirrors_alone && snapshot.contiguous == 0
}

/// Whether another machine may be sent there: not to its own loopback, and not with our password.
fn is_for_others(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => true,
    };
    !is_loopback && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_not_sent_to_our_loopback_or_with_our_password() {
        let is_theirs = |url: &str| is_for_others(&Url::parse(url).expect("a URL"));
        assert!(is_theirs("https://mirror.example/core/a") && is_theirs("http://192.168.1.7:8080/core/a"));
        for url in
            ["http://127.0.0.1:8080/a", "http://[::1]/a", "http://localhost/a", "http://me:word@mirror.example/a"]
        {
            assert!(!is_theirs(url), "{url}");
        }
    }

    #[test]
    fn a_mirror_is_silent_while_nothing_has_come_from_it_and_nobody_else_has_helped() {
        let nothing = Snapshot::default();
        assert!(is_silent(&nothing));
        assert!(!is_silent(&Snapshot { contiguous: 1, ..nothing.clone() }));
        assert!(!is_silent(&Snapshot { mirrors_alone: false, ..nothing.clone() }));
        assert!(!is_silent(&Snapshot { outcome: Some(Outcome::Abandoned), ..nothing }));
    }
}
