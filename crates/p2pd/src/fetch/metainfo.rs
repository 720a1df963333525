//! The race for a `.torrent`: a few random mirrors are asked at once, and the first good answer wins.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use p2p_package::{MAX_METAINFO_BYTES, Metainfo, PackageId};
use p2p_webseed::{MirrorFault, Mirrors};
use rand::seq::IndexedRandom;
use url::Url;

use super::mirror_book::MirrorBook;
use crate::services::Services;

/// A mirror that lacked this many `.torrent` files in a row has none.
const LACKS_BEFORE_REST: u32 = 2;
/// How long such a mirror is not asked again.
const REST: Duration = Duration::from_hours(24);
/// Mirrors that are remembered.
const MAX_REMEMBERED: usize = 1000;

/// Which mirrors have no `.torrent` files, as learnt in this run.
#[derive(Debug, Default)]
pub(crate) struct MetainfoMemory {
    lacking: Mutex<HashMap<String, (u32, Instant)>>,
}

/// How the race is run.
#[derive(Debug, Clone)]
pub(crate) struct Race {
    /// How many mirrors are asked.
    pub(crate) mirrors: usize,
    /// When the race is lost.
    pub(crate) timeout: Duration,
    /// `fetch.metainfo_urls`, with `{filename}` to be replaced; asked beside the mirrors.
    pub(crate) templates: Vec<String>,
}

impl MetainfoMemory {
    fn is_worth_asking(&self, server: &str, now: Instant) -> bool {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.get(server).is_none_or(|(times, since)| *times < LACKS_BEFORE_REST || now.duration_since(*since) > REST)
    }

    fn note(&self, server: &str, lacks: bool, now: Instant) {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        if !lacks {
            lacking.remove(server);
        } else if lacking.len() < MAX_REMEMBERED || lacking.contains_key(server) {
            let (times, since) = lacking.entry(server.to_owned()).or_insert((0, now));
            (*times, *since) = (times.saturating_add(1), now);
        }
    }
}

impl Race {
    /// As the configuration says.
    pub(crate) fn configured(services: &Services) -> Self {
        let settings = &services.settings().fetch;
        Self {
            mirrors: settings.metainfo_mirrors,
            timeout: settings.metainfo_timeout,
            templates: settings.metainfo_urls.clone(),
        }
    }

    /// [`Self::run`] with what the daemon knows of the mirrors.
    pub(crate) async fn run_for(&self, services: &Services, servers: &[String], id: &PackageId) -> Option<Metainfo> {
        let memory = (&services.metainfo_memory, &services.mirror_book);
        self.run(&services.mirrors, memory, servers, id).await
    }

    /// The first metainfo of exactly this package that anybody sends.
    async fn run(
        &self,
        client: &Mirrors,
        (memory, book): (&MetainfoMemory, &MirrorBook),
        servers: &[String],
        id: &PackageId,
    ) -> Option<Metainfo> {
        let now = Instant::now();
        let worth: Vec<&String> = servers.iter().filter(|server| memory.is_worth_asking(server, now)).collect();
        let chosen: Vec<&String> = worth.sample(&mut rand::rng(), self.mirrors).copied().collect();
        let from_mirrors =
            chosen.iter().map(|server| (Some(server.as_str()), format!("{server}/{}.torrent", id.file_name)));
        let from_templates =
            self.templates.iter().map(|template| (None, template.replace("{filename}", id.file_name.as_str())));
        let mut asked: FuturesUnordered<_> = from_mirrors
            .chain(from_templates)
            .map(|(server, url)| ask(client, (memory, book), server, url, id))
            .collect();
        let first = async {
            while let Some(answer) = asked.next().await {
                if answer.is_some() {
                    return answer;
                }
            }
            None
        };
        tokio::time::timeout(self.timeout, first).await.ok().flatten()
    }
}

async fn ask(
    client: &Mirrors,
    (memory, book): (&MetainfoMemory, &MirrorBook),
    server: Option<&str>,
    url: String,
    id: &PackageId,
) -> Option<Metainfo> {
    let text = download(client, book, &Url::parse(&url).ok()?).await;
    if let Some(server) = server {
        memory.note(server, matches!(text, Err(MirrorFault::Lacks(_))), Instant::now());
    }
    let metainfo = Metainfo::read(&text.ok()?);
    let metainfo = metainfo.inspect_err(|error| {
        let error = p2p_api::Report(error).to_string();
        tracing::debug!(package = %id.file_name, mirror = url, error, "a torrent is unfit");
    });
    let metainfo = metainfo.ok()?;
    metainfo.info.clone().expect(id).ok()?;
    Some(metainfo)
}

async fn download(client: &Mirrors, book: &MirrorBook, url: &Url) -> Result<Vec<u8>, MirrorFault> {
    let mut download = client.get(url, 0).await?;
    book.note_first_byte(url, download.first_byte());
    let mut text = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_METAINFO_BYTES {
            break;
        }
    }
    Ok(text)
}
